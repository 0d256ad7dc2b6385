"""manage.py poller: polls the providers, sends webhooks and sweeps. Any number may run; one of them sweeps."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.core.management.base import BaseCommand
from django.db import close_old_connections

from jobs import poll
from jobs.couriers import Couriers
from jobs.sweep import Sweeper

log = logging.getLogger(__name__)

POLL_PAUSE = 0.2
POLLS_AT_ONCE = 4
UNKNOWN_PAUSE = 1.0
SWEEP_PAUSE = 1.0


async def repeat(step: Callable[[], Awaitable[object]], pause: float, stop: asyncio.Event) -> None:
    """Call `step` until told to stop. A step that fails (the database restarts, say) is logged and called again."""
    while not stop.is_set():
        try:
            await step()
        except Exception:
            log.exception("%s failed; trying again", getattr(step, "__name__", step))
            await sync_to_async(close_old_connections)()
        try:
            await asyncio.wait_for(stop.wait(), pause)
        except TimeoutError:
            continue


async def overlap(
    step: Callable[[], Awaitable[object]], pause: float, stop: asyncio.Event, *, most: int
) -> None:
    """As `repeat`, but up to `most` calls run at once: one slow provider does not keep the others waiting."""
    await asyncio.gather(*(repeat(step, pause * most, stop) for _ in range(most)))


async def main() -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    sweeper = Sweeper()
    log.info("polling")
    await asyncio.gather(
        overlap(poll.poll_due, POLL_PAUSE, stop, most=POLLS_AT_ONCE),
        repeat(poll.resolve_unknown, UNKNOWN_PAUSE, stop),
        repeat(sync_to_async(sweeper.tick), SWEEP_PAUSE, stop),
        repeat(Couriers().round, 0, stop),
    )
    sweeper.close()


class Command(BaseCommand):
    help = "Polls providers for running attempts and re-wakes whatever is due."

    def handle(self, *args: Any, **options: Any) -> None:
        asyncio.run(main())
