"""Room for files: what an organization keeps is measured and added to under one lock."""

from __future__ import annotations

from django.db import connection, transaction
from django.db.models import Sum

from accounts.models import Organization
from billing import quotas
from billing.errors import QuotaReached
from jobs.errors import Invalid
from jobs.models import Asset


def used(organization: Organization) -> int:
    """The bytes of its files that are not deleted, results too. An index-only scan: the sum cannot drift."""
    total = Asset.objects.for_org(organization).live().aggregate(total=Sum("bytes"))["total"]
    return int(total or 0)


def keep(asset: Asset) -> None:
    """Inserts the row of a new file if there is room for it; raises Invalid with storage_full else.

    Two uploads of one organization wait for each other here, and nothing else does: the lock is its own.
    """
    with transaction.atomic():
        _check(asset, asset.bytes)
        asset.save(force_insert=True)


def found_larger(asset: Asset, size: int) -> None:
    """More bytes lie there than were announced: they count from now on. Raises Invalid if there is no room for them."""
    more, asset.bytes = size - asset.bytes, size
    refusal = None
    with transaction.atomic():
        try:
            _check(asset, more)
        except Invalid as full:
            refusal = full
        asset.save(update_fields=["bytes"])
    if refusal:
        raise refusal


def _check(asset: Asset, more: int) -> None:
    """Holds the organization's lock until the caller's transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"room:{asset.organization_id}"]
        )
    try:
        quotas.may_keep(asset.organization, used(asset.organization), more)
    except QuotaReached as full:
        raise Invalid(full.code, full.message, field="file") from None
