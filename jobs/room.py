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
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"room:{asset.organization_id}"]
            )
        try:
            quotas.may_keep(asset.organization, used(asset.organization), asset.bytes)
        except QuotaReached as full:
            raise Invalid(full.code, full.message, field="file") from None
        asset.save(force_insert=True)
