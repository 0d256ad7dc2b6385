"""Redis as a short cut to what the database knows: where it does not answer at once, the caller goes the long way."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import cache
from typing import TypeVar

import redis
from django.conf import settings

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

# A request waits at most this long for Redis, and after a failure none of this process asks again for a while.
SECONDS = 0.25
PAUSE_SECONDS = 5.0


class ShortCut:
    """One connection pool of this process."""

    def __init__(self, url: str) -> None:
        self.redis = redis.Redis.from_url(
            url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS, retry=None
        )
        self.paused_until = 0.0

    def ask(self, question: Callable[[redis.Redis], Answer], otherwise: Answer) -> Answer:
        """What Redis says; `otherwise` while it is away."""
        if time.monotonic() < self.paused_until:
            return otherwise
        return self.tell(question, otherwise)

    def tell(self, order: Callable[[redis.Redis], Answer], otherwise: Answer) -> Answer:
        """The same in a pause, too: news should reach a Redis that only this process could not reach."""
        try:
            return order(self.redis)
        except redis.RedisError as error:
            if time.monotonic() >= self.paused_until:
                log.warning("Redis is away, the database is asked instead: %s", error)
            self.paused_until = time.monotonic() + PAUSE_SECONDS
            return otherwise


@cache
def shortcut() -> ShortCut:
    return ShortCut(settings.REDIS_URL)
