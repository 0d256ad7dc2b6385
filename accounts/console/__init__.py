"""The operator's console: who gets in, and what its pages share. Every room registers its own pages in its admin.py."""

from accounts.console.filters import DaysFilter, OrganizationFilter
from accounts.console.lists import AFTER, KeysetList, LongList, key_of, one_of, values_of
from accounts.console.pages import Audited, Moment, Page, ReadOnly, Table, facts, link, operator
from accounts.console.site import ConsoleSite

__all__ = [
    "AFTER",
    "Audited",
    "ConsoleSite",
    "DaysFilter",
    "KeysetList",
    "LongList",
    "Moment",
    "OrganizationFilter",
    "Page",
    "ReadOnly",
    "Table",
    "facts",
    "key_of",
    "link",
    "one_of",
    "operator",
    "values_of",
]
