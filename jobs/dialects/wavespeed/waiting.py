"""Sync mode's wait: for the row, with nothing held meanwhile but a thread."""

from __future__ import annotations

import threading
import time
from uuid import UUID

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.db import connection
from django.http import HttpRequest

from jobs.models import Job
from jobs.states import FINAL

FIRST_PAUSE, LONGEST_PAUSE, GROWTH = 0.25, 0.5, 1.1
# Under ASGI every request has a thread of its own.
ASGI_WAITERS = 128


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


def wait_final(job_id: UUID, request: HttpRequest) -> str:
    """Returns "" when the job has ended, else why the wait is over."""
    most = ASGI_WAITERS if isinstance(request, ASGIRequest) else settings.WAVESPEED_SYNC_WAITERS
    if not waiters.enter(most):
        return "too many requests are waiting here already."
    try:
        seconds = settings.WAVESPEED_SYNC_SECONDS
        return "" if _wait(job_id, seconds) else f"the video was not finished within {seconds} s."
    finally:
        waiters.leave()


def _wait(job_id: UUID, seconds: float) -> bool:
    end, pause = time.monotonic() + seconds, FIRST_PAUSE
    while not Job.objects.filter(pk=job_id, status__in=FINAL).exists():
        _let_go()
        left = end - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(pause, left))
        pause = min(pause * GROWTH, LONGEST_PAUSE)
    return True


def _let_go() -> None:
    """Gives the connection back while nothing is read; a caller's open transaction keeps it."""
    if not connection.in_atomic_block:
        connection.close()
