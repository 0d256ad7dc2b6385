"""A job's events as server-sent events: replayed from the client's last id, then live, with heart-beats."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from asgiref.sync import sync_to_async

from accounts import keys
from accounts.tenancy import Caller
from jobs.dialects.rest.wire import jobs as jobs_wire
from jobs.events import job_events
from jobs.live import Wakes, let_go
from jobs.models import Job, JobEvent
from jobs.states import FINAL

# Proxies drop a connection that is silent for a minute; a comment keeps it open.
BEAT_SECONDS = 15.0
BEAT = b": still here\n\n"
PAGE = 200


async def follow(caller: Caller, job: Job, after: int) -> AsyncIterator[bytes]:
    """Every event after the id, once, in order, until the one that ends the job, or until the key does not hold."""
    read = sync_to_async(_read, thread_sensitive=False)
    # Subscribed before the first read, so that nothing falls between the two.
    async with Wakes(job.pk) as wakes:
        while True:
            events = await read(caller, job, after)
            if events is None:
                return
            for event in events:
                yield frame(event)
                after = event.id
                if event.type in FINAL:
                    return
            if len(events) < PAGE:
                await wakes.wait(BEAT_SECONDS)
                if not events:
                    yield BEAT


def now(_: Caller, job: Job, after: int) -> list[bytes]:
    """What can be told without waiting: servers with few threads must not keep them for streams."""
    return [frame(event) for event in job_events(job.pk, after=after, limit=PAGE)]


def frame(event: JobEvent) -> bytes:
    data = json.dumps(jobs_wire.event(event), separators=(",", ":"))
    return f"id: {event.id}\nevent: {event.type}\ndata: {data}\n\n".encode()


def _read(caller: Caller, job: Job, after: int) -> list[JobEvent] | None:
    """None when the caller may not read any more."""
    try:
        return job_events(job.pk, after=after, limit=PAGE) if keys.holds(caller, "jobs:read") else None
    finally:
        let_go()
