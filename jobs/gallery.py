"""What stays visible: deleting a finished job, and files whose time is up."""

from __future__ import annotations

import logging
from uuid import UUID

from celery import shared_task
from django.db.models import QuerySet
from django.db.models.functions import Now

from accounts.models import Organization
from jobs import storage
from jobs.models import Asset, Job
from jobs.states import FINAL

log = logging.getLogger(__name__)

BATCH = 500


def delete_jobs(organization: Organization, ids: list[UUID]) -> int:
    """Delete finished jobs and their output files; how many. Unknown, foreign and unfinished ids are passed over."""
    rows = Job.objects.for_org(organization).visible().filter(pk__in=ids, status__in=FINAL)
    chosen = list(rows.values_list("pk", flat=True))
    deleted = rows.filter(pk__in=chosen).update(deleted_at=Now())
    drop(Asset.objects.live().filter(job_id__in=chosen))
    return deleted


def drop(assets: QuerySet[Asset]) -> int:
    """Delete files: the rows are marked first, so that no address is given out for a file that is going."""
    chosen = list(assets.values_list("pk", "key"))
    Asset.objects.filter(pk__in=[pk for pk, _ in chosen]).update(deleted_at=Now())
    storage.delete([key for _, key in chosen])
    return len(chosen)


def expire_assets() -> int:
    """Delete the files whose retention is over; how many."""
    dropped = 0
    while count := drop(Asset.objects.live().filter(expires_at__lt=Now())[:BATCH]):
        dropped += count
    return dropped


@shared_task(name="jobs.expire_assets")
def expire_assets_task() -> None:
    expire_assets()
