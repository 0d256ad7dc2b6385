"""The threads that carry webhooks, in the poller's process: many wait for slow receivers, and none for another."""

from __future__ import annotations

import asyncio
import logging
import threading

from asgiref.sync import sync_to_async
from django.db import connection

from jobs import lanes, notify
from jobs.lanes import Turn

log = logging.getLogger(__name__)

# A thread waits for nearly all of its time. Half of them at most are with receivers that failed before, so receivers
# that answer always find one.
THREADS = 32
SUSPECTS = THREADS // 2
# Seconds between two looks at what is due: while there is something to carry, and while there is nothing.
BRISK, IDLE = 0.05, 0.25


class Couriers:
    """Claims what is due for as many threads as are free."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.away: dict[bool, int] = {True: 0, False: 0}  # by whether the lane is suspect

    async def round(self) -> None:
        """One look, and the pause after it."""
        pause = IDLE  # also after a failure: a database that is away is not asked without end
        try:
            if await sync_to_async(self.send_out)() or any(self.away.values()):
                pause = BRISK
        finally:
            await asyncio.sleep(pause)

    def send_out(self) -> int:
        """Start a thread for each delivery whose turn it is; how many."""
        with self.lock:
            free, suspects = THREADS - sum(self.away.values()), SUSPECTS - self.away[True]
        turns = lanes.claim(free, suspects)
        for turn in turns:
            with self.lock:
                self.away[turn.suspect] += 1
            # Nobody waits for it at the end: what a stopped process had claimed is claimed again when the lease is over.
            threading.Thread(target=self._carry, args=(turn,), daemon=True, name="courier").start()
        return len(turns)

    def _carry(self, turn: Turn) -> None:
        try:
            notify.attempt(turn.delivery)
        except Exception:
            log.exception("webhook %s was not settled; it is tried again", turn.delivery.pk)
        finally:
            connection.close()
            with self.lock:
                self.away[turn.suspect] -= 1
