"""What stays visible: deleting a finished job, and files whose time is up."""

from __future__ import annotations

import logging
from datetime import timedelta
from uuid import UUID

from celery import shared_task
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from accounts import audit
from accounts.models import Organization
from accounts.tenancy import Caller
from jobs import snapshots, storage
from jobs.errors import Conflict
from jobs.models import Asset, Attempt, Job
from jobs.states import FINAL, OPEN, Status

log = logging.getLogger(__name__)

BATCH = 500
GRACE = timedelta(hours=1)


def delete_jobs(caller: Caller, ids: list[UUID]) -> int:
    """Delete finished jobs and their output files; how many. Unknown, foreign and unfinished ids are passed over."""
    gone = hide(caller, ids)
    drop(Asset.objects.live().filter(job_id__in=gone))
    return len(gone)


def hide(caller: Caller, ids: list[UUID]) -> list[UUID]:
    """The half of it that the database holds: those of the jobs that had ended, gone for every reader."""
    organization = caller.organization
    rows = Job.objects.for_org(organization).visible().filter(pk__in=ids, status__in=FINAL)
    with transaction.atomic():
        chosen = list(rows.select_for_update().order_by("pk"))
        gone = [job.pk for job in chosen]
        Job.objects.filter(pk__in=gone).update(deleted_at=Now())
        for job in chosen:
            audit.record(
                "job.delete", by=caller, target=job, before={"model": job.model, "status": job.status}
            )
        snapshots.renew(organization.pk, *gone)
    return gone


def in_use(organization: Organization) -> set[str]:
    """The ids of the files that unfinished jobs still need."""
    open_jobs = Job.objects.for_org(organization).open().values_list("inputs", flat=True)
    return {source["asset"] for inputs in open_jobs for source in inputs.values() if "asset" in source}


def delete_file(asset: Asset) -> None:
    """Delete one file that the customer brought. Raises Conflict while an unfinished job needs it, and for an output."""
    if asset.origin == Asset.Origin.OUTPUT:
        raise Conflict("file_is_output", "This is the output of a job; delete the job instead.")
    if str(asset.pk) in in_use(asset.organization):
        raise Conflict("file_in_use", "A job that has not ended needs this file; wait for it, or cancel it.")
    drop(Asset.objects.live().filter(pk=asset.pk))


def drop(assets: QuerySet[Asset]) -> int:
    """Delete files: the rows are marked first, so that no address is given out for a file that is going."""
    chosen = list(assets.values_list("pk", "key", "organization_id", "job_id"))
    Asset.objects.filter(pk__in=[pk for pk, *_ in chosen]).update(deleted_at=Now())
    for organization_id, job_id in {(owner, job) for _, _, owner, job in chosen if job}:
        snapshots.renew(organization_id, job_id)
    storage.delete([key for _, key, *_ in chosen])
    return len(chosen)


def workspace_prefix(attempt: Attempt) -> str:
    """Where a render of this attempt keeps its clips and its result."""
    return f"work/{attempt.id}"


def expire_assets() -> int:
    """Delete the files whose retention is over; how many."""
    dropped = 0
    while count := drop(Asset.objects.live().filter(expires_at__lt=Now())[:BATCH]):
        dropped += count
    return dropped


def clear_workspaces() -> int:
    """Delete the clips and copies that finished attempts left behind; how many attempts.

    An hour's grace: a late worker that was fenced off may still be uploading its last clip.
    """
    rows = Attempt.objects.filter(cleared=False, finished_at__lt=Now() - GRACE).exclude(
        job__status=Status.SAVING
    )
    # Later parts of a job need the earlier ones.
    rows = rows.exclude(part__gt=0, job__status__in=OPEN)
    cleared = 0
    for attempt in rows.order_by("finished_at")[:BATCH]:
        storage.delete_under(workspace_prefix(attempt))
        cleared += Attempt.objects.filter(pk=attempt.pk).update(cleared=True)
    return cleared


@shared_task(name="jobs.expire_assets")
def expire_assets_task() -> None:
    expire_assets()
    clear_workspaces()
