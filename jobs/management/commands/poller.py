"""manage.py poller: polls the providers, sends webhooks and sweeps. Any number may run; one of them sweeps."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import sync_to_async
from django.core.management.base import BaseCommand
from django.db import close_old_connections

from jobs import poll
from jobs.couriers import Couriers
from jobs.polling import Polling
from jobs.sweep import Sweeper
from providers.upstream import kept_connections

log = logging.getLogger(__name__)

# Between two looks at what is due, and at what was answered meanwhile.
POLL_PAUSE = 0.1
UNKNOWN_PAUSE = 1.0
# What has news is applied by so many threads, each with a connection meanwhile.
NEWS_THREADS = 3
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


async def main() -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    threads = ThreadPoolExecutor(NEWS_THREADS, thread_name_prefix="news")
    sweeper, polling = Sweeper(), Polling(threads)
    log.info("polling")
    async with kept_connections():
        await asyncio.gather(
            repeat(polling.round, POLL_PAUSE, stop),
            repeat(poll.resolve_unknown, UNKNOWN_PAUSE, stop),
            repeat(sync_to_async(sweeper.tick), SWEEP_PAUSE, stop),
            repeat(Couriers().round, 0, stop),
        )
        await polling.close()
    threads.shutdown()
    sweeper.close()


class Command(BaseCommand):
    help = "Polls providers for running attempts and re-wakes whatever is due."

    def handle(self, *args: Any, **options: Any) -> None:
        asyncio.run(main())
