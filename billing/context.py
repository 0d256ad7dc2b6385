"""What the frame of every page shows of money. Lazy: pages without a frame cost no query."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts.tenancy import Caller, caller_of
from billing import ledger
from billing.money import MICROS

MICROS_PER_CENT = MICROS // 100


def balance(request: HttpRequest) -> dict[str, Any]:
    return {"balance": SimpleLazyObject(lambda: _read(request))}


def _read(request: HttpRequest) -> str:
    caller = caller_of(request)
    return left(caller) if caller else ""


def left(caller: Caller) -> str:
    """Whole cents, rounded down: a page never promises more than there is. Blank for whoever may not know."""
    if not caller.can("billing:read"):
        return ""
    return shown(ledger.balance(caller.organization))


def shown(books: ledger.Balance) -> str:
    """Whole cents, rounded down: a page never promises more than there is."""
    cents = books.available_micros // MICROS_PER_CENT
    return f"{'-' if cents < 0 else ''}${abs(cents) // 100:,}.{abs(cents) % 100:02d}"
