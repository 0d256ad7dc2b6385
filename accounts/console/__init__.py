"""The operator's console: who gets in, and what its pages share. Every room registers its own pages in its admin.py."""

from accounts.console.lists import Choices, LongList, Shortlist
from accounts.console.pages import Audited, Page, ReadOnly, Table, facts, operator
from accounts.console.site import ConsoleSite

__all__ = [
    "Audited",
    "Choices",
    "ConsoleSite",
    "LongList",
    "Page",
    "ReadOnly",
    "Shortlist",
    "Table",
    "facts",
    "operator",
]
