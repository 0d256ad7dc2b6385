"""Lines of CSV files for people."""

from __future__ import annotations

import csv
from io import StringIO

# A spreadsheet takes these for the beginning of a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def line(*values: object) -> str:
    out = StringIO()
    csv.writer(out).writerow([_harmless(value) for value in values])
    return out.getvalue()


def _harmless(value: object) -> str:
    text = str(value)
    money = text.removeprefix("-").replace(".", "", 1).isdigit()
    return f"'{text}" if text.startswith(FORMULA) and not money else text
