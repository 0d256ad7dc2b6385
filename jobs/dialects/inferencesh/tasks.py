"""Jobs read for answers: three indexed statements for one, at most."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from accounts.models import Organization
from jobs import snapshots, storage
from jobs.dialects.inferencesh.wire import tasks as wire
from jobs.errors import NotFound
from jobs.models import Asset, Job, JobEvent
from jobs.snapshots import MOST_EVENTS, Snapshot
from jobs.states import Status


def find(organization: Organization, text: str) -> Job:
    """The organization's own job. Foreign ids, unknown ids, deleted jobs and garbage are all one NotFound."""
    job_id = wire.read_id(text)
    job = Job.objects.for_org(organization).visible().filter(pk=job_id).first() if job_id else None
    if job is None:
        raise NotFound("task_not_found", "There is no such task.")
    return job


def look(organization: Organization, text: str) -> Snapshot:
    """The same with its outputs and events, as it is now; no statement while it was looked at a moment ago."""
    job_id = wire.read_id(text)
    seen = snapshots.read(organization.pk, job_id, events=True) if job_id else None
    if seen is None or seen.job.deleted_at:
        raise NotFound("task_not_found", "There is no such task.")
    return seen


def told(seen: Snapshot) -> dict[str, Any]:
    done = seen.outputs if seen.job.status == Status.SUCCEEDED else []
    video = next(
        (storage.asset_url(asset.id, asset.filename) for asset in done if asset.role == "video"), None
    )
    return wire.task(seen.job, seen.events, video)


def events_of(job: Job) -> list[JobEvent]:
    """Oldest first."""
    if job.first_event:
        return [job.first_event]
    return list(JobEvent.objects.filter(job_id=job.pk).order_by("-id")[:MOST_EVENTS])[::-1]


def shown(job: Job) -> dict[str, Any]:
    return wire.task(job, events_of(job), video_of(job))


def video_of(job: Job) -> str | None:
    """The output's address; None before the end, and when the file was deleted or has run out."""
    if job.status != Status.SUCCEEDED:
        return None
    asset = outputs_of(job).filter(role="video").first()
    return storage.asset_url(asset.id, asset.filename) if asset else None


def outputs_of(job: Job) -> QuerySet[Asset]:
    return Asset.objects.live().filter(job_id=job.pk).order_by("id")


def inputs_of(job: Job) -> QuerySet[Asset]:
    """Those that are files of ours; an address that could not be fetched is none."""
    ids = [UUID(source["asset"]) for source in job.inputs.values() if "asset" in source]
    return Asset.objects.for_org(job.organization).live().filter(pk__in=ids).order_by("id")
