"""Jobs with what belongs to them, read for answers and webhooks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from django.utils import timezone

from jobs import estimates, storage
from jobs.dialects.rest.wire import jobs as jobs_wire
from jobs.estimates import Estimate, Place
from jobs.models import Asset, Job
from jobs.snapshots import Snapshot
from jobs.states import Status


def shown(rows: Sequence[Job]) -> list[dict[str, Any]]:
    """Jobs with their outputs and places in the queue: two queries, however many they are."""
    done = [row.pk for row in rows if row.status == Status.SUCCEEDED]
    outputs: dict[UUID, list[tuple[Asset, str]]] = defaultdict(list)
    if done:
        for item in Asset.objects.live().filter(job_id__in=done).order_by("-role"):  # video, preview, poster
            outputs[cast(UUID, item.job_id)].append((item, address(item)))
    queued = [row.pk for row in rows if row.status == Status.QUEUED and row.first_place is None]
    places, now = estimates.places(queued), timezone.now()
    return [jobs_wire.job(row, outputs[row.pk], *_ahead(row, places.get(row.pk), now)) for row in rows]


def told(seen: Snapshot) -> dict[str, Any]:
    """One job as it is now; one that waits costs a statement, for its place in the queue, and once in a while another."""
    row = seen.job
    done = seen.outputs if row.status == Status.SUCCEEDED else []
    outputs = [(item, address(item)) for item in sorted(done, key=lambda item: item.role, reverse=True)]
    places = estimates.places([row.pk] if row.status == Status.QUEUED else [])
    return jobs_wire.job(row, outputs, *_ahead(row, places.get(row.pk), timezone.now()))


def _ahead(row: Job, place: Place | None, now: datetime) -> tuple[int | None, Estimate]:
    """The place in the queue, and what is to come; a job that does not wait costs no statement."""
    if place is None:
        return row.first_place, estimates.running(row, now)
    return place.number, estimates.queued(row, place, now)


def address(asset: Asset) -> str:
    return storage.asset_url(asset.id, asset.filename)
