"""What an organization may do. Each limit is one function with one sentence; its own win over its tier's.

Rate excess is refused (`billing.throttles`), running jobs over the limit wait, queued ones are refused.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Q, Sum
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from accounts.models import Organization
from billing.errors import BillingError, ModelNotAllowed, QuotaReached
from billing.models import Limits, Tier, Transfer, TransferKind

Value = TypeVar("Value")

CACHED_SECONDS = 30
GB = 1000**3
# Beyond this many organizations the cache of a process starts anew: bounded memory without bookkeeping.
CACHED_ORGANIZATIONS = 10_000


@dataclass(frozen=True)
class LimitsView:
    tier: str
    submits_per_minute: int
    running: int
    queued: int
    weight: int
    reads_per_second: int
    requests_per_second: int
    storage_bytes: int
    longest_seconds: int | None
    allowed_models: frozenset[str] | None

    @property
    def storage_gb(self) -> str:
        """Decimal gigabytes, as the tiers are sold."""
        return f"{self.storage_bytes / GB:,.4g}"


_cache: dict[UUID, tuple[float, LimitsView]] = {}
_weights: dict[UUID, tuple[float, int]] = {}
_lock = threading.Lock()


def limits_of(organization: Organization) -> LimitsView:
    """The limits that hold now; a change reaches every process within 30 seconds."""
    now = time.monotonic()
    cached = _cache.get(organization.pk)
    if cached and cached[0] > now:
        return cached[1]
    view = _read(organization)
    with _lock:
        if len(_cache) >= CACHED_ORGANIZATIONS:
            _cache.clear()
        _cache[organization.pk] = (now + CACHED_SECONDS, view)
    return view


def credit_limit(organization: Organization) -> int:
    """How far below zero its available balance may go, in micro-dollars, as of now."""
    rows = Limits.objects.filter(organization=organization)
    return rows.values_list("credit_limit_micros", flat=True).first() or 0


# For all of them at once, what `_read` and `tier_of` find for one.
WEIGHTS = """
SELECT o.id, coalesce(own.weight, given.weight, reached.weight, 1)
FROM accounts_organization o
LEFT JOIN billing_limits own ON own.organization_id = o.id
    AND (own.until IS NULL OR own.until > statement_timestamp())
LEFT JOIN billing_tier given ON given.slug = o.tier
LEFT JOIN LATERAL (
    SELECT weight FROM billing_tier
    WHERE slug = %(default)s OR threshold_micros <= (
        SELECT coalesce(sum(amount_micros), 0) FROM billing_transfer WHERE organization_id = o.id AND kind = 'topup'
    )
    ORDER BY threshold_micros DESC LIMIT 1
) reached ON given.slug IS NULL
WHERE o.id = ANY(%(ids)s)
"""


def weights(organizations: Collection[UUID]) -> dict[UUID, int]:
    """How often each gets a free place beside the others. Remembered as the limits are; one statement for the rest."""
    now = time.monotonic()
    with _lock:
        known = {pk: kept[1] for pk in organizations if (kept := _weights.get(pk)) and kept[0] > now}
    missing = [pk for pk in organizations if pk not in known]
    if not missing:
        return known
    with connection.cursor() as cursor:
        cursor.execute(WEIGHTS, {"ids": missing, "default": settings.DEFAULT_TIER})
        found: dict[UUID, int] = dict(cursor.fetchall())
    with _lock:
        if len(_weights) + len(found) > CACHED_ORGANIZATIONS:
            _weights.clear()
        _weights.update({pk: (now + CACHED_SECONDS, weight) for pk, weight in found.items()})
    return known | found


@dataclass(frozen=True)
class Use:
    """How far a limit is used, in words: 2 of 5."""

    name: str
    used: str
    most: str
    percent: int


def uses(organization: Organization) -> list[Use]:
    """Of the limits that fill up: what runs, waits and is kept now (QUOTAS_IN_USE counts it)."""
    limits, now = limits_of(organization), import_string(settings.QUOTAS_IN_USE)(organization)
    running, queued, kept = now["running"], now["queued"], now["storage_bytes"]
    return [
        Use("Running jobs", f"{running:,}", f"{limits.running:,}", _percent(running, limits.running)),
        Use("Waiting jobs", f"{queued:,}", f"{limits.queued:,}", _percent(queued, limits.queued)),
        Use(
            "Kept files",
            f"{kept / GB:,.3g}",
            f"{limits.storage_gb} GB",
            _percent(kept, limits.storage_bytes),
        ),
    ]


def _percent(used: int, most: int) -> int:
    return min(100, used * 100 // most) if most else 100


def forget() -> None:
    """Drops what this process remembers; the next question is answered from the database."""
    with _lock:
        _cache.clear()
        _weights.clear()


def tier_of(organization: Organization) -> Tier:
    """The tier an operator gave, else the highest that lifetime top-ups reach, DEFAULT_TIER at least."""
    if organization.tier and (given := Tier.objects.filter(slug=organization.tier).first()):
        return given
    topups = Transfer.objects.for_org(organization).filter(kind=TransferKind.TOPUP)
    paid = topups.aggregate(total=Sum("amount_micros"))["total"] or 0
    reached = Tier.objects.filter(Q(threshold_micros__lte=paid) | Q(slug=settings.DEFAULT_TIER))
    tier = reached.order_by("-threshold_micros").first()
    if tier is None:
        raise BillingError(
            "tier_missing", "There is no tier for this organization; the operator must add one."
        )
    return tier


def may_queue(organization: Organization, queued_now: int) -> None:
    """An organization may have only so many jobs waiting; more are refused until one starts."""
    most = limits_of(organization).queued
    if queued_now >= most:
        message = f"{queued_now} jobs are waiting already, and {most} may. Try again when some have started."
        raise QuotaReached("queued_jobs_limit", message, retryable=True)


def may_run(organization: Organization, running_now: int) -> bool:
    """An organization may have only so many jobs running at once; the others wait, they are never refused."""
    return running_now < limits_of(organization).running


def may_use(organization: Organization, model: str) -> None:
    """An organization may use the models its tier or its own list allows."""
    allowed = limits_of(organization).allowed_models
    if allowed is not None and model not in allowed:
        raise ModelNotAllowed(model)


def may_last(organization: Organization, length_ms: int) -> None:
    """One video may be only so long."""
    longest = limits_of(organization).longest_seconds
    if longest is not None and length_ms > longest * 1000:
        message = (
            f"This would be {length_ms / 1000:.1f} s long; this organization's videos may last {longest} s."
        )
        raise QuotaReached("clip_too_long", message)


def may_keep(organization: Organization, kept_bytes: int, more_bytes: int) -> None:
    """An organization's files may take only so much room; more uploads are refused, results of its jobs never."""
    most = limits_of(organization).storage_bytes
    if kept_bytes + more_bytes > most:
        message = (
            f"The files of this organization take {kept_bytes / GB:.3g} GB of {most / GB:.3g} GB;"
            " this one has no room. Delete some, or ask for more."
        )
        raise QuotaReached("storage_full", message)


def _read(organization: Organization) -> LimitsView:
    tier = tier_of(organization)
    holds = Q(until=None) | Q(until__gt=Now())
    own = Limits.objects.filter(holds, organization=organization).first() or Limits()
    models = _own_or(own.allowed_models, tier.allowed_models)
    return LimitsView(
        tier=tier.slug,
        submits_per_minute=_own_or(own.submits_per_minute, tier.submits_per_minute),
        running=_own_or(own.running, tier.running),
        queued=_own_or(own.queued, tier.queued),
        weight=_own_or(own.weight, tier.weight),
        reads_per_second=_own_or(own.reads_per_second, tier.reads_per_second),
        requests_per_second=_own_or(own.requests_per_second, tier.requests_per_second),
        storage_bytes=_own_or(own.storage_bytes, tier.storage_bytes),
        longest_seconds=_own_or(own.longest_seconds, tier.longest_seconds),
        allowed_models=None if models is None else frozenset(models),
    )


def _own_or(own: Value | None, tiers: Value) -> Value:
    """Zero is a limit too: it closes the door."""
    return tiers if own is None else own
