"""Waiting for a job's end: with a place and a thread, but no database connection and no transaction.

Redis wakes the waiter and mostly answers it as well; while it is away, the row is looked at once a second.
"""

from __future__ import annotations

import threading
import time
from enum import Enum, auto
from uuid import UUID

from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

from jobs import snapshots
from jobs.live import Wakes, let_go

# Under ASGI every request has a thread of its own.
ASGI_WAITERS = 128
# A wake-up may be lost with the process that had to send it.
LOOK_SECONDS = 15.0


class Outcome(Enum):
    ENDED = auto()
    LATE = auto()
    FULL = auto()  # nobody waited: too many do


class Waiters:
    """How many requests of this process may wait at once: few threads must not all be waiting."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count = 0

    def enter(self, most: int) -> bool:
        with self.lock:
            if self.count >= most:
                return False
            self.count += 1
            return True

    def leave(self) -> None:
        with self.lock:
            self.count -= 1


waiters = Waiters()


def wait_final(organization_id: UUID, job_id: UUID, request: HttpRequest, seconds: float) -> Outcome:
    """Returns when the job has ended, when the time is over, or at once when there is no place."""
    most = ASGI_WAITERS if isinstance(request, ASGIRequest) else settings.SYNC_WAITERS
    if not waiters.enter(most):
        return Outcome.FULL
    let_go()
    try:
        ended = async_to_sync(_until_final)(organization_id, job_id, seconds)
    finally:
        waiters.leave()
    return Outcome.ENDED if ended else Outcome.LATE


async def _until_final(organization_id: UUID, job_id: UUID, seconds: float) -> bool:
    end = time.monotonic() + seconds
    look = sync_to_async(_ended)  # in the thread of the request, which would only wait otherwise
    # Subscribed before the first look, so that nothing falls between the two.
    async with Wakes(job_id) as wakes:
        while not await look(organization_id, job_id):
            left = end - time.monotonic()
            if left <= 0:
                return False
            await wakes.wait(min(left, LOOK_SECONDS))
    return True


def _ended(organization_id: UUID, job_id: UUID) -> bool:
    try:
        seen = snapshots.read(organization_id, job_id)
        return seen is None or seen.job.final
    finally:
        let_go()
