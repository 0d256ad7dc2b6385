"""The operator's console: who gets in, and what its pages share. Every room registers its own pages in its admin.py."""

from accounts.console.lists import LongList, one_of
from accounts.console.pages import Audited, Page, ReadOnly, Table, facts, operator
from accounts.console.site import ConsoleSite

__all__ = [
    "Audited",
    "ConsoleSite",
    "LongList",
    "Page",
    "ReadOnly",
    "Table",
    "facts",
    "one_of",
    "operator",
]
