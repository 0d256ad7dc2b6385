"""Changes of the price book. A change never reaches a job that was quoted before it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django.http import HttpRequest

from accounts import audit
from billing.errors import BillingError
from billing.models import Price
from billing.money import format_usd


class PriceOverlap(BillingError):
    def __init__(self, other: Price) -> None:
        until = f"{other.valid_to:%Y-%m-%d %H:%M}" if other.valid_to else "further notice"
        message = (
            f"Another price for the same thing is valid until {until} (#{other.pk}); end that one first."
        )
        super().__init__("price_overlap", message)


def save(
    price: Price, *, by: audit.Actor, before: dict[str, Any] | None = None, request: HttpRequest | None = None
) -> Price:
    """Writes a new or changed price unless another one for the same thing is valid at the same time."""
    with transaction.atomic():
        _lock()
        if not _has_start(price.valid_from):
            price.valid_from = _now()
        if other := overlapping(price):
            raise PriceOverlap(other)
        action = "price.change" if price.pk else "price.add"
        price.save()
        audit.record(
            action,
            by=by,
            target=price,
            organization=price.organization,
            before=before,
            after=facts(price),
            request=request,
        )
    return price


def overlapping(price: Price) -> Price | None:
    """Validity is from (included) to (excluded), so one price may begin in the moment another ends."""
    same = Price.objects.filter(
        model=price.model, resolution=price.resolution, unit=price.unit, organization=price.organization
    ).exclude(pk=price.pk)
    if price.valid_to:
        same = same.filter(valid_from__lt=price.valid_to)
    return same.filter(Q(valid_to=None) | Q(valid_to__gt=price.valid_from)).first()


def facts(price: Price) -> dict[str, Any]:
    """What the audit record keeps of a price."""
    return {
        "model": price.model,
        "resolution": price.resolution,
        "unit": price.unit,
        "usd_per_unit": format_usd(price.micros_per_unit),
        "step_ms": price.step_ms,
        "min_units": price.min_units,
        "max_units": price.max_units,
        "valid_from": price.valid_from.isoformat(),
        "valid_to": price.valid_to.isoformat() if price.valid_to else None,
    }


def _has_start(value: object) -> bool:
    """Not given, it is None from a form and an expression of Django's from code."""
    return isinstance(value, datetime)


def _lock() -> None:
    """One change of the book at a time. Quotes read on: this lock conflicts with writers only."""
    with connection.cursor() as cursor:
        cursor.execute("LOCK TABLE billing_price IN SHARE ROW EXCLUSIVE MODE")


def _now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        now: datetime = cursor.fetchone()[0]
    return now
