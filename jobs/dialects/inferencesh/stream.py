"""A task followed live: the whole task on every line, as soon as it changes and at least every ten seconds.

The generators live on the event loop. Redis wakes them (`jobs.live`), each then reads its rows in a thread and gives
the connection back before it waits again. While Redis is away they read on a clock of their own.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async

from accounts import keys
from accounts.tenancy import Caller
from jobs.dialects.inferencesh import tasks
from jobs.dialects.inferencesh.wire.tasks import TERMINAL
from jobs.live import Wakes, let_go
from jobs.models import Job

# The SDK leaves a stream on which nothing but heartbeats came for 30 s.
LINE_SECONDS = 10.0

Frame = Callable[[Mapping[str, Any]], bytes]


async def follow(caller: Caller, job: Job, frame: Frame, last: bytes = b"") -> AsyncIterator[bytes]:
    """Frames until the task has ended, then `last`; or until the task is deleted or the key does not hold."""
    read = sync_to_async(_read, thread_sensitive=False)
    told: dict[str, Any] | None = None
    told_at = 0.0
    async with Wakes(job.pk) as wakes:
        while True:
            task = await read(caller, job.pk)
            if task is None:
                return
            now = time.monotonic()
            if task != told or now - told_at >= LINE_SECONDS:
                yield frame(task)
                told, told_at = task, now
            if task["status"] in TERMINAL:
                if last:
                    yield last
                return
            await wakes.wait(max(0.1, told_at + LINE_SECONDS - now))


def now(_: Caller, job: Job, frame: Frame, last: bytes = b"") -> list[bytes]:
    """What can be told without waiting: servers with few threads must not keep them for streams."""
    task = tasks.shown(job)
    return [frame(task), *([last] if last and task["status"] in TERMINAL else [])]


def _read(caller: Caller, job_id: UUID) -> dict[str, Any] | None:
    """None when the task was deleted meanwhile, or the caller may not read any more."""
    try:
        if not keys.holds(caller, "jobs:read"):
            return None
        job = Job.objects.visible().filter(pk=job_id).first()
        return tasks.shown(job) if job else None
    finally:
        let_go()
