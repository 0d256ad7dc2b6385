"""Jobs and their outputs read for answers: at most two statements for one, three for a page."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.conf import settings

from accounts.tenancy import Caller
from jobs import snapshots, storage
from jobs.dialects.wavespeed.wire import predictions as wire
from jobs.errors import NotFound
from jobs.models import Asset, Job
from jobs.moderation import verdicts
from jobs.snapshots import Snapshot
from jobs.states import Status

# A larger video is answered as an address even where base64 was asked for: one answer must fit into memory.
BASE64_MAX_BYTES = 64 * 1024 * 1024
VIDEO = "video"


def find(caller: Caller, text: str) -> Snapshot:
    """The caller's own job, deleted ones too. Foreign ids, unknown ids and garbage are all one NotFound."""
    job_id = wire.read_id(text)
    seen = snapshots.read(caller.organization.pk, job_id) if job_id else None
    if seen is None:
        raise NotFound("prediction_not_found", "Prediction not found.")
    return seen


def told(seen: Snapshot) -> dict[str, Any]:
    job = seen.job
    done = job.status == Status.SUCCEEDED and not job.deleted_at
    videos = [asset for asset in seen.outputs if asset.role == VIDEO] if done else []
    outputs = [_output(asset, inline=bool(job.wire.get("base64"))) for asset in videos]
    return wire.prediction(job, outputs, settings.PUBLIC_URL, _flags(videos))


def shown(job: Job) -> dict[str, Any]:
    return page([job])[0]


def page(jobs: Sequence[Job], *, inline: bool = True) -> list[dict[str, Any]]:
    """Several at once. `inline`: base64 where the job asked for it; lists give addresses only."""
    videos = _videos([job.pk for job in jobs if job.status == Status.SUCCEEDED and not job.deleted_at])
    inlined = {job.pk for job in jobs if inline and job.wire.get("base64")}
    found = [(job, videos.get(job.pk, [])) for job in jobs]
    return [
        wire.prediction(
            job,
            [_output(asset, inline=job.pk in inlined) for asset in assets],
            settings.PUBLIC_URL,
            _flags(assets),
        )
        for job, assets in found
    ]


def _videos(ids: list[UUID]) -> dict[UUID, list[Asset]]:
    found: dict[UUID, list[Asset]] = defaultdict(list)
    if ids:
        for asset in Asset.objects.live().filter(job_id__in=ids, role=VIDEO).order_by("id"):
            assert asset.job_id is not None
            found[asset.job_id].append(asset)
    return found


def _flags(assets: Sequence[Asset]) -> list[bool | None]:
    return [verdicts.flagged(asset.moderation) for asset in assets]


def _output(asset: Asset, *, inline: bool) -> str:
    if inline and asset.bytes <= BASE64_MAX_BYTES:
        with storage.open(asset.key) as file:
            return base64.b64encode(file.read()).decode()
    return storage.asset_url(asset.id, asset.filename)
