"""How much of what its limits allow an organization uses at this moment; billing's pages ask for it by name."""

from __future__ import annotations

from typing import Any

from django.db import connection

from accounts.models import Organization
from jobs.states import Status

# The index of open jobs, and the one that carries the bytes of live files.
IN_USE = """
SELECT (SELECT count(*) FROM jobs_job WHERE organization_id = %(organization)s AND status = ANY(%(runs)s)),
       (SELECT count(*) FROM jobs_job WHERE organization_id = %(organization)s AND status = ANY(%(waits)s)),
       (SELECT coalesce(sum(bytes), 0) FROM jobs_asset
        WHERE organization_id = %(organization)s AND deleted_at IS NULL)
"""


def in_use(organization: Organization) -> dict[str, int]:
    """By the names of the limits. One statement."""
    values: dict[str, Any] = {
        "organization": organization.pk,
        "runs": [Status.RUNNING.value, Status.SAVING.value],
        "waits": [Status.PREPARING.value, Status.QUEUED.value],
    }
    with connection.cursor() as cursor:
        cursor.execute(IN_USE, values)
        running, queued, storage_bytes = cursor.fetchone()
    return {"running": running, "queued": queued, "storage_bytes": int(storage_bytes)}
