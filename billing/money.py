"""Money is an integer number of micro-dollars (1e-6 USD). Nothing here computes with floats."""

from __future__ import annotations

import re

MICROS = 1_000_000

# ASCII digits only: \d would let other scripts' digits through.
USD = re.compile(r"(?P<sign>-?)(?P<dollars>[0-9]{1,12})(?:\.(?P<fraction>[0-9]{1,6}))?")


def parse_usd(text: str) -> int:
    """Reads "12.5" as 12_500_000. More than six decimals would be rounded away, so they are refused."""
    found = USD.fullmatch(text.strip())
    if not found:
        raise ValueError(f"not an amount in dollars with at most six decimals: {text!r}")
    micros = int(found["dollars"]) * MICROS + int((found["fraction"] or "").ljust(6, "0"))
    return -micros if found["sign"] else micros


def format_usd(micros: int) -> str:
    """12_500_000 is "12.50"; at least two decimals, as many as it takes to be exact."""
    dollars, rest = divmod(abs(micros), MICROS)
    fraction = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if micros < 0 else ''}{dollars}.{fraction}"


def to_number(micros: int) -> float:
    """Dollars as a JSON number, for wires that demand one. Never computed with."""
    return micros / MICROS
