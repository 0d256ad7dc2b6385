"""A job as the studio follows it: one JSON object, whole at every change, so that a stream that broke begins anew.

The stream looks at the job's snapshot, which costs the database nothing while Redis answers.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async
from django.urls import reverse
from django.utils import timezone

from accounts import members
from accounts.tenancy import Caller
from jobs import estimates, snapshots, storage
from jobs.gallery import workspace_prefix
from jobs.live import GATHER_SECONDS, Wakes, let_go
from jobs.models import Asset, Attempt, Job
from jobs.snapshots import Snapshot
from jobs.states import Status
from jobs.views import words
from providers.base import clip_name
from providers.registry import adapter_class

log = logging.getLogger(__name__)

# Progress within a clip is no event, so a job that renders is looked at once a second.
LOOK_SECONDS = 1.0
# How often a new guess of the seconds left is told by itself.
LEFT_SECONDS = 5.0
BEAT_SECONDS = 15.0
BEAT = b": still here\n\n"
# Where a server cannot keep a stream open, the browser comes back after this many milliseconds.
AGAIN = b"retry: 2000\n\n"
LATER = b"retry: 15000\n\ndata: changed\n\n"
CHANGED = b"data: changed\n\n"
CLIP_SECONDS = 900
RENDERING = frozenset({Status.RUNNING, Status.SAVING})
SHOWN_WORDS = {"image": "picture", "audio": "voice"}


def state(seen: Snapshot) -> dict[str, Any]:
    """What a person wants to know now. A job that waits costs a statement, for its place."""
    job = seen.job
    word, tone = words.state(job)
    answer: dict[str, Any] = {
        "id": str(job.pk),
        "model": job.model,
        "status": job.status,
        "word": word,
        "tone": tone,
        "final": job.final,
        "percent": words.percent(job),
        "clip": job.detail.get("clip"),
        "clips": job.detail.get("clips"),
        "ready": _clips(seen),
        "price": words.price(job),
        "preview": job.preview,
        "seed": job.options.get("seed"),
        "canceling": bool(job.cancel_requested_at) and not job.final,
        "page": reverse("job", args=[job.pk]),
        **ahead(job),
    }
    if job.final:
        answer |= _end(job, seen.outputs)
    return answer


def ahead(job: Job) -> dict[str, int | None]:
    """The place in the queue, and the seconds left."""
    if job.status == Status.QUEUED and (place := estimates.places([job.pk]).get(job.pk)):
        return {"place": place.number, "seconds": estimates.queued(job, place, timezone.now()).seconds}
    return {"place": None, "seconds": estimates.running(job, timezone.now()).seconds}


def _end(job: Job, outputs: list[Asset]) -> dict[str, Any]:
    by_role = {asset.role: asset for asset in outputs}
    found: dict[str, Any] = {"charged": words.price(job), "length": words.length(job.length_ms)}
    if video := by_role.get("video"):
        found["video"] = {"url": address(video), "width": video.width, "height": video.height}
    if poster := by_role.get("poster"):
        found["poster"] = address(poster)
    if job.error_code:
        found["error"] = {"message": job.error_message, "code": job.error_code, "next": words.advice(job)}
    return found


def _clips(seen: Snapshot) -> int:
    """How many clips can be played already, while there is no film."""
    playing = seen.job.status in RENDERING and seen.provider and adapter_class(seen.provider).streams_clips
    return _made(seen.job) if playing else 0


def _made(job: Job) -> int:
    """How many clips are finished. They stay a while after the end: who plays them may ask for one just then."""
    done = job.detail.get("clip")
    return done if isinstance(done, int) and job.status in {*RENDERING, Status.SUCCEEDED} else 0


def clip_address(job: Job, index: int) -> str | None:
    """A short-lived address of one finished clip; None while there is none."""
    attempt = Attempt.objects.filter(job_id=job.pk).order_by("-number").first()
    if attempt is None or attempt.cleared or not adapter_class(attempt.provider).streams_clips:
        return None
    if not 0 <= index < _made(job):
        return None
    key = f"{workspace_prefix(attempt)}/{clip_name(index)}"
    return here(storage.signed_get(key, seconds=CLIP_SECONDS, content_type="video/mp4"))


def address(asset: Asset) -> str:
    """On this page's own host, by whichever name it was opened: the policy trusts only that one."""
    return urlsplit(storage.asset_url(asset.id, asset.filename)).path


def here(url: str) -> str:
    """An address of our own without its host; the store's stays as it is."""
    path = urlsplit(url).path
    return path if path.startswith("/storage/") else url


# --- the stream ---

StillIn = Callable[[], bool]


async def follow(caller: Caller, job_id: UUID, signed_in: StillIn) -> AsyncIterator[bytes]:
    """The job's state, and again whenever it has changed, until it has ended or the person may not look any more."""
    allowed = sync_to_async(_allowed, thread_sensitive=False)
    clock = asyncio.get_running_loop().time
    shown: dict[str, Any] | None = None
    told = check = clock()
    async with Wakes(job_id) as wakes:
        while True:
            if clock() >= check:
                if not await allowed(caller, signed_in):
                    return
                check = clock() + BEAT_SECONDS
            found = await look(caller.organization.pk, job_id)
            if found is None:
                return
            if found.news != shown or (found.rendering and clock() >= told + LEFT_SECONDS):
                yield found.frame
                shown, told = found.news, clock()
            elif clock() >= told + BEAT_SECONDS:
                yield BEAT
                told = clock()
            if found.final:
                return
            await wakes.wait(LOOK_SECONDS if found.rendering else BEAT_SECONDS / 3)


async def follow_all(caller: Caller, signed_in: StillIn) -> AsyncIterator[bytes]:
    """A word whenever a job of the organization has changed, at most once a second, until the person may not look."""
    allowed = sync_to_async(_allowed, thread_sensitive=False)
    async with Wakes(caller.organization.pk) as wakes:
        yield AGAIN
        while await allowed(caller, signed_in):
            asked = asyncio.get_running_loop().time()
            while asyncio.get_running_loop().time() < asked + BEAT_SECONDS:
                heard = await wakes.wait(BEAT_SECONDS)
                yield CHANGED if heard else BEAT
                await asyncio.sleep(LOOK_SECONDS)


def _allowed(caller: Caller, signed_in: StillIn) -> bool:
    try:
        return signed_in() and members.holds(caller, "jobs:read")
    finally:
        let_go()


def now(caller: Caller, job_id: UUID) -> list[bytes]:
    """What can be told without waiting: servers with few threads must not keep them for streams."""
    seen = snapshots.read(caller.organization.pk, job_id)
    return [AGAIN, frame(state(seen))] if seen else []


def frame(told: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(told, separators=(",", ":")).encode() + b"\n\n"


@dataclass(frozen=True)
class Look:
    """The frame of a job, and what in it is news: all but the guess of the seconds left, which every look changes."""

    frame: bytes
    news: dict[str, Any]
    rendering: bool
    final: bool


# By loop: the looks that have been asked for and have not begun.
_looks: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[UUID, UUID], asyncio.Task[Look | None]]] = (
    WeakKeyDictionary()
)


async def look(organization_id: UUID, job_id: UUID) -> Look | None:
    """Viewers of one job who ask together share a look; None where there is no such job.

    It begins after the last of them has asked, so it tells each everything that was so when he asked.
    """
    looks = _looks.setdefault(asyncio.get_running_loop(), {})
    key = organization_id, job_id
    if key not in looks:
        looks[key] = asyncio.create_task(_look(looks, key))
    return await asyncio.shield(looks[key])  # one who leaves takes nothing from the others


async def _look(
    looks: dict[tuple[UUID, UUID], asyncio.Task[Look | None]], key: tuple[UUID, UUID]
) -> Look | None:
    await asyncio.sleep(GATHER_SECONDS)
    del looks[key]
    return await sync_to_async(_read, thread_sensitive=False)(*key)


def _read(organization_id: UUID, job_id: UUID) -> Look | None:
    try:
        seen = snapshots.read(organization_id, job_id)
        if seen is None or seen.job.deleted_at:
            return None
        told = state(seen)
        news = {name: value for name, value in told.items() if name != "seconds"}
        rendering = seen.job.status in RENDERING
        return Look(frame(told), news, rendering, seen.job.final)
    finally:
        let_go()
