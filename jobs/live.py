"""Following a job live: Redis wakes the reader, the rows tell what happened.

The generators that use this live on the event loop and read their rows in a thread. While Redis is away they read
on a clock of their own.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Self
from uuid import UUID

import redis
import redis.asyncio
from django.conf import settings
from django.db import connection

log = logging.getLogger(__name__)

AWAY_SECONDS = 1.0
# Several events of one transaction are read together.
GATHER_SECONDS = 0.05
CONNECT_SECONDS = 1.0


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


def let_go() -> None:
    """Gives the connection back while nothing is read; a caller's open transaction keeps it."""
    if not connection.in_atomic_block:
        connection.close()
