"""What was used: reads over the books for usage and billing pages. Days are UTC; amounts are micro-dollars.

A job counts on the day it was captured, since that is when it cost something.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Max, QuerySet, Sum
from django.db.models.functions import TruncDate

from accounts.models import Organization
from billing.models import Hold, HoldStatus, Transfer, TransferKind

# What a customer's bill shows: money in, and what jobs cost. Holds and releases are in `ledger.history`.
BILLED_KINDS = (
    TransferKind.GRANT,
    TransferKind.TOPUP,
    TransferKind.CAPTURE,
    TransferKind.REFUND,
    TransferKind.ADJUSTMENT,
)
PAGE = 100


@dataclass(frozen=True)
class DayUsage:
    day: date
    jobs: int
    micros: int


@dataclass(frozen=True)
class ModelUsage:
    model: str
    jobs: int
    micros: int
    last_used: datetime


def by_day(
    organization: Organization, start: datetime, end: datetime, *, model: str | None = None
) -> list[DayUsage]:
    """One entry for each day with a captured job, oldest first; start included, end excluded."""
    days = (
        _captured(organization, start, end, model)
        .annotate(day=TruncDate("resolved_at"))
        .values("day")
        .annotate(jobs=Count("id"), micros=Sum("captured_micros"))
        .order_by("day")
    )
    return [DayUsage(row["day"], row["jobs"], row["micros"]) for row in days]


def by_model(
    organization: Organization, start: datetime, end: datetime, *, model: str | None = None
) -> list[ModelUsage]:
    """One entry for each model with a captured job, the dearest first."""
    models = (
        _captured(organization, start, end, model)
        .values("model")
        .annotate(jobs=Count("id"), micros=Sum("captured_micros"), last_used=Max("resolved_at"))
        .order_by("-micros", "model")
    )
    return [ModelUsage(row["model"], row["jobs"], row["micros"], row["last_used"]) for row in models]


@dataclass(frozen=True)
class Usage:
    """What one day, model and key cost together; what is not grouped by is None. `key` is also None for the dashboard."""

    day: date | None
    model: str | None
    key_id: UUID | None
    key_name: str | None
    jobs: int
    billed_ms: int
    micros: int


# What usage may be grouped by, in the order of columns and of rows.
GROUPS: dict[str, dict[str, Any]] = {
    "day": {"day": TruncDate("resolved_at", tzinfo=UTC)},
    "model": {},
    "key": {},
}
COLUMNS = {"day": ("day",), "model": ("model",), "key": ("key_id", "key__name")}


def grouped(
    organization: Organization,
    start: datetime,
    end: datetime,
    by: Collection[str],
    *,
    model: str | None = None,
    key_id: UUID | None = None,
    most: int,
) -> list[Usage]:
    """What was captured, one entry for each mixture of what it is grouped by, `most` at most. One statement."""
    captured = _captured(organization, start, end, model)
    if key_id:
        captured = captured.filter(key_id=key_id)
    chosen = [group for group in GROUPS if group in by]
    columns = [column for group in chosen for column in COLUMNS[group]]
    for group in chosen:
        captured = captured.annotate(**GROUPS[group])
    rows = captured.values(*columns).annotate(
        jobs=Count("id"), ms=Sum("billed_ms"), micros=Sum("captured_micros")
    )
    return [
        Usage(
            day=row.get("day"),
            model=row.get("model"),
            key_id=row.get("key_id"),
            key_name=row.get("key__name"),
            jobs=row["jobs"],
            billed_ms=row["ms"],
            micros=row["micros"],
        )
        for row in rows.order_by(*columns)[:most]
        if row["jobs"]
    ]


@dataclass(frozen=True)
class Page:
    """`after` is the id to pass for the next page; None on the last one."""

    rows: list[Transfer]
    after: int | None


def billings(
    organization: Organization,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    kinds: tuple[str, ...] = BILLED_KINDS,
    key_id: UUID | None = None,
    model: str | None = None,
    after: int | None = None,
    skip: int = 0,
    size: int = PAGE,
) -> Page:
    """The ledger's rows, newest first, each with its key and hold.

    With `after` page n costs the same as page 1; `skip` is for wires that number their pages.
    """
    rows = Transfer.objects.for_org(organization).filter(kind__in=kinds)
    if start:
        rows = rows.filter(created_at__gte=start)
    if end:
        rows = rows.filter(created_at__lt=end)
    if key_id:
        rows = rows.filter(key_id=key_id)
    if model:
        rows = rows.filter(hold__model=model)
    if after:
        rows = rows.filter(id__lt=after)
    found = list(rows.select_related("key", "hold").order_by("-id")[skip : skip + size + 1])
    return Page(found[:size], found[size - 1].pk if len(found) > size else None)


def _captured(
    organization: Organization, start: datetime, end: datetime, model: str | None
) -> QuerySet[Hold]:
    holds = Hold.objects.for_org(organization).filter(
        status=HoldStatus.CAPTURED, resolved_at__gte=start, resolved_at__lt=end
    )
    return holds.filter(model=model) if model else holds
