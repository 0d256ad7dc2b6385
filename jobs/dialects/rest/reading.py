"""Jobs with what belongs to them, read for answers and webhooks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from django.db.models import Count, OuterRef, Subquery

from jobs import storage
from jobs.dialects.rest.wire import jobs as jobs_wire
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
    places = queue_positions(
        [row.pk for row in rows if row.status == Status.QUEUED and row.first_place is None]
    )
    places |= {row.pk: row.first_place for row in rows if row.first_place is not None}
    return [jobs_wire.job(row, outputs[row.pk], places.get(row.pk)) for row in rows]


def told(seen: Snapshot) -> dict[str, Any]:
    """One job as it is now; one that waits costs a statement, for its place in the queue."""
    row = seen.job
    done = seen.outputs if row.status == Status.SUCCEEDED else []
    outputs = [(item, address(item)) for item in sorted(done, key=lambda item: item.role, reverse=True)]
    places = queue_positions([row.pk] if row.status == Status.QUEUED else [])
    return jobs_wire.job(row, outputs, places.get(row.pk))


def queue_positions(ids: Sequence[UUID]) -> dict[UUID, int]:
    """How many queued jobs were there before each, over all organizations, plus one."""
    if not ids:
        return {}
    before = Job.objects.filter(status=Status.QUEUED, pk__lte=OuterRef("pk")).order_by().values("status")
    counted = before.annotate(n=Count("pk")).values("n")
    return dict(Job.objects.filter(pk__in=ids).annotate(place=Subquery(counted)).values_list("pk", "place"))


def address(asset: Asset) -> str:
    return storage.asset_url(asset.id, asset.filename)
