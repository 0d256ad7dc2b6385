"""Following a job live: Redis wakes the reader, the rows tell what happened.

The generators that use this live on the event loop and read their rows in a thread. While Redis is away they read
on a clock of their own.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Self
from uuid import UUID
from weakref import WeakKeyDictionary

import redis.asyncio
from django.conf import settings
from django.db import connection

log = logging.getLogger(__name__)

AWAY_SECONDS = 1.0
# Several events of one transaction are read together.
GATHER_SECONDS = 0.05
CONNECT_SECONDS = 1.0
CHANNELS = "events:*"
CLIENT_NAME = "voicereel-streams"  # in Redis' list of clients


class Hub:
    """What all streams of one event loop hear of Redis: one connection, open while there is a stream."""

    def __init__(self) -> None:
        self.streams: dict[bytes, set[Wakes]] = {}
        self.reader: asyncio.Task[None] | None = None
        self.listening = asyncio.Event()

    async def join(self, stream: Wakes) -> None:
        """Returns when Redis has confirmed that it will be heard, or has not for a while."""
        self.streams.setdefault(stream.about, set()).add(stream)
        if self.reader is None:
            self.reader = asyncio.create_task(self._read())
        await heard(self.listening, CONNECT_SECONDS)

    def leave(self, stream: Wakes) -> None:
        self.streams[stream.about].discard(stream)
        if not self.streams[stream.about]:
            del self.streams[stream.about]
        if not self.streams and self.reader is not None:
            self.reader.cancel()
            self.reader = None
            self.listening.clear()

    async def _read(self) -> None:
        while True:
            try:
                await self._listen()
            except Exception:
                log.debug("Redis is away; streams read on their own clocks", exc_info=True)
            self.listening.clear()
            self._wake_all()
            await asyncio.sleep(AWAY_SECONDS)

    async def _listen(self) -> None:
        client = redis.asyncio.Redis.from_url(
            settings.REDIS_URL,
            client_name=CLIENT_NAME,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_keepalive=True,
        )
        async with client, client.pubsub() as pubsub:
            await pubsub.psubscribe(CHANNELS)
            async for message in pubsub.listen():
                if message["type"] == "psubscribe":
                    self.listening.set()
                    self._wake_all()  # whatever was published before, nobody heard
                    continue
                job, organization = message["data"].partition(b":")[0], message["channel"].partition(b":")[2]
                for stream in (*self.streams.get(job, ()), *self.streams.get(organization, ())):
                    stream.news.set()

    def _wake_all(self) -> None:
        for streams in self.streams.values():
            for stream in streams:
                stream.news.set()


# Servers have one loop a process.
_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


class Wakes:
    """One stream's ear: `wait` ends early for news of its job, or of any job of an organization."""

    def __init__(self, about: UUID) -> None:
        self.about = str(about).encode()
        self.news = asyncio.Event()
        self.hub = _hubs.setdefault(asyncio.get_running_loop(), Hub())

    async def __aenter__(self) -> Self:
        try:
            await self.hub.join(self)
        except BaseException:
            self.hub.leave(self)
            raise
        self.news.clear()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.hub.leave(self)

    async def wait(self, seconds: float) -> bool:
        """Whether there may be news: it was heard of, or Redis is away and nobody would hear of it."""
        deaf = not self.hub.listening.is_set()
        if not await heard(self.news, min(seconds, AWAY_SECONDS) if deaf else seconds):
            return deaf
        await asyncio.sleep(GATHER_SECONDS)
        self.news.clear()
        return True


async def heard(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True


def let_go() -> None:
    """Gives the connection back while nothing is read; a caller's open transaction keeps it."""
    if not connection.in_atomic_block:
        connection.close()
