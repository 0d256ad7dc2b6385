"""A task followed live: the whole task on every line, as soon as it changes and at least every ten seconds.

The generators live on the event loop. Redis wakes them (`events:<organization>`), each then reads its rows in a
thread and gives the connection back before it waits again. While Redis is away they read on a clock of their own.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Self
from uuid import UUID

import redis
import redis.asyncio
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection

from jobs.dialects.inferencesh import tasks
from jobs.dialects.inferencesh.wire.tasks import TERMINAL
from jobs.models import Job

log = logging.getLogger(__name__)

# The SDK leaves a stream on which nothing but heartbeats came for 30 s.
LINE_SECONDS = 10.0
AWAY_SECONDS = 1.0
# Several events of one transaction make one line.
GATHER_SECONDS = 0.05
CONNECT_SECONDS = 1.0

Frame = Callable[[Mapping[str, Any]], bytes]


class Wakes:
    """A subscription to an organization's events, one Redis connection. `wait` ends early for this job's."""

    def __init__(self, organization_id: UUID, job_id: UUID) -> None:
        self.channel = f"events:{organization_id}"
        self.start = f"{job_id}:".encode()
        self.client = redis.asyncio.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=CONNECT_SECONDS)
        self.pubsub = self.client.pubsub()
        self.away = False

    async def __aenter__(self) -> Self:
        await self._subscribe()
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.pubsub.aclose()  # type: ignore[no-untyped-call]
            await self.client.aclose()
        except (redis.RedisError, OSError):
            log.debug("Redis went away with a stream open")

    async def _subscribe(self) -> None:
        """Returns when Redis has confirmed it: whatever is published from now on is heard."""
        try:
            await self.pubsub.subscribe(self.channel)
            await self.pubsub.get_message(timeout=CONNECT_SECONDS)
            self.away = False
        except (redis.RedisError, OSError):
            self.away = True

    async def wait(self, seconds: float) -> None:
        if self.away:
            await asyncio.sleep(min(seconds, AWAY_SECONDS))
            await self._subscribe()
            return
        end = time.monotonic() + seconds
        try:
            while (left := end - time.monotonic()) > 0:
                message = await self.pubsub.get_message(ignore_subscribe_messages=True, timeout=left)
                if message and bytes(message["data"]).startswith(self.start):
                    await asyncio.sleep(GATHER_SECONDS)
                    return
        except (redis.RedisError, OSError):
            self.away = True


async def follow(job: Job, frame: Frame, last: bytes = b"") -> AsyncIterator[bytes]:
    """Frames until the task has ended, then `last`."""
    read = sync_to_async(_read, thread_sensitive=False)
    told: dict[str, Any] | None = None
    told_at = 0.0
    async with Wakes(job.organization_id, job.pk) as wakes:
        while True:
            task = await read(job.pk)
            if task is None:
                return  # deleted meanwhile
            now = time.monotonic()
            if task != told or now - told_at >= LINE_SECONDS:
                yield frame(task)
                told, told_at = task, now
            if task["status"] in TERMINAL:
                if last:
                    yield last
                return
            await wakes.wait(max(0.1, told_at + LINE_SECONDS - now))


def now(job: Job, frame: Frame, last: bytes = b"") -> list[bytes]:
    """What can be told without waiting: servers with few threads must not keep them for streams."""
    task = tasks.shown(job)
    return [frame(task), *([last] if last and task["status"] in TERMINAL else [])]


def _read(job_id: UUID) -> dict[str, Any] | None:
    try:
        job = Job.objects.visible().filter(pk=job_id).first()
        return tasks.shown(job) if job else None
    finally:
        let_go()


def let_go() -> None:
    """Gives the connection back while nothing is read; a caller's open transaction keeps it."""
    if not connection.in_atomic_block:
        connection.close()
