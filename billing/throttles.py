"""How often an organization may ask. Counters live in Redis; without Redis each process counts for itself.

A window opens with its first request and is forgotten when it ends: a counter is back to zero a minute later.
A refusal says when that is, and `standings` tells whoever answers the request how much is left.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import redis
from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts.models import ApiKey, Organization
from accounts.tenancy import Caller
from billing.errors import RateLimited
from billing.quotas import limits_of

if TYPE_CHECKING:
    # The views module reads the default throttle, which is in this module: at run time it comes after us.
    from rest_framework.views import APIView

log = logging.getLogger(__name__)

MINUTE_MS = 60_000
SECOND_MS = 1000
HOUR_MS = 3_600_000
# Tries of a password in a window. All addresses together have more, so that one of them locks nobody else out.
GUESSES = 10
GUESSES_OF_ALL = 200
GUESSES_MS = 10 * MINUTE_MS

# Atomic in Redis: two processes cannot both take the last place, and of several counters all are taken or none. A
# refusal is not counted, so asking too often does not prolong the wait. A counter without an expiry (somebody's
# PERSIST) gets one again. Answers for each counter whether it had a place, how many are used, and the milliseconds
# until its window ends.
TAKE = """
local found, free = {}, true
for n, key in ipairs(KEYS) do
    local limit, window = tonumber(ARGV[2 * n - 1]), tonumber(ARGV[2 * n])
    local used = tonumber(redis.call('GET', key) or '0')
    local left = redis.call('PTTL', key)
    if used > 0 and left < 0 then
        redis.call('PEXPIRE', key, window)
    end
    if left <= 0 then
        left = window
    end
    local room = used < limit
    free = free and room
    found[n] = {room and 1 or 0, used, left}
end
if free then
    for n, key in ipairs(KEYS) do
        redis.call('INCR', key)
        if found[n][2] == 0 then
            redis.call('PEXPIRE', key, ARGV[2 * n])
        end
        found[n][2] = found[n][2] + 1
    end
end
return found
"""
# A request waits at most this long for Redis, and after a failure none asks again for a while: a dead Redis
# costs one request in each process a fraction of a second every few seconds, not every request.
REDIS_SECONDS = 0.25
REDIS_PAUSE_SECONDS = 5.0
# Expired local windows are swept out when there are this many.
LOCAL_WINDOWS = 10_000


@dataclass(frozen=True)
class Window:
    """How a counter stands after it was asked."""

    taken: bool
    left: int
    ends_ms: int

    @property
    def wait(self) -> int:
        """0, or the milliseconds until a place is free again."""
        return 0 if self.taken else self.ends_ms


@dataclass(frozen=True)
class Place:
    """What a request asks for: a place among `limit` in a window, in the counter of `who`."""

    name: str
    who: str
    limit: int
    window_ms: int

    @property
    def key(self) -> str:
        return f"{self.name}:{self.who}"


@dataclass(frozen=True)
class Standing:
    """One limit as a request met it: so many in a window, what is left of them, and when the window ends."""

    name: str
    limit: int
    window_ms: int
    now: Window


_asked: ContextVar[list[Standing] | None] = ContextVar("limits that were asked", default=None)


@contextmanager
def standings() -> Iterator[list[Standing]]:
    """Every limit that is asked inside, as it stands then."""
    seen: list[Standing] = []
    before = _asked.set(seen)
    try:
        yield seen
    finally:
        _asked.reset(before)


class LocalWindows:
    """The same counter in this process: n processes together let through up to n times the limit."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.windows: dict[str, tuple[int, float]] = {}

    def take(self, wanted: Sequence[Place]) -> list[Window]:
        now = time.monotonic()
        with self.lock:
            if len(self.windows) >= LOCAL_WINDOWS:
                self.windows = {key: window for key, window in self.windows.items() if window[1] > now}
            found = [self._window(place, now) for place in wanted]
            free = all(used < place.limit for place, (used, _) in zip(wanted, found, strict=True))
            if free:
                found = [(used + 1, ends) for used, ends in found]
                self.windows |= {place.key: window for place, window in zip(wanted, found, strict=True)}
        return [
            Window(
                taken=free or used < place.limit,
                left=max(place.limit - used, 0),
                ends_ms=max(1, math.ceil((ends - now) * 1000)),
            )
            for place, (used, ends) in zip(wanted, found, strict=True)
        ]

    def _window(self, place: Place, now: float) -> tuple[int, float]:
        used, ends = self.windows.get(place.key, (0, 0.0))
        return (used, ends) if ends > now else (0, now + place.window_ms / 1000)


class Counter:
    """Redis while it answers, this process while it does not."""

    def __init__(self, url: str) -> None:
        self.redis = redis.Redis.from_url(
            url, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS, retry=None
        )
        self.script = self.redis.register_script(TAKE)
        self.local = LocalWindows()
        self.paused_until = 0.0

    def take(self, wanted: Sequence[Place]) -> list[Window]:
        """Takes one place in each window, if all have one free. One round trip."""
        if time.monotonic() >= self.paused_until:
            try:
                found = self.script(
                    keys=[f"throttle:{place.key}" for place in wanted],
                    args=[number for place in wanted for number in (place.limit, place.window_ms)],
                )
                return [
                    Window(taken=bool(taken), left=max(place.limit - used, 0), ends_ms=ends_ms)
                    for place, (taken, used, ends_ms) in zip(wanted, found, strict=True)
                ]
            except redis.RedisError as error:
                self.paused_until = time.monotonic() + REDIS_PAUSE_SECONDS
                log.warning("rate limits are counted in this process only: %s", error)
        return self.local.take(wanted)


@cache
def counter() -> Counter:
    return Counter(settings.REDIS_URL)


def submit_allowed(organization: Organization, key: ApiKey | None = None) -> None:
    """An organization may submit only so often a minute, over all its keys: more keys do not buy more."""
    limit = limits_of(organization).submits_per_minute
    wait = _take(Place("submits", str(organization.pk), limit, MINUTE_MS))
    if wait:
        log.info("organization %s, key %s: over %d submits a minute", organization.pk, key and key.pk, limit)
        seconds = _seconds(wait)
        raise RateLimited(
            f"Only {limit} submits a minute are allowed. Try again in {seconds} s.", retry_after=seconds
        )


def free_allowed(organization: Organization, what: str, per_hour: int) -> None:
    """What costs nothing is had only so often an hour, and takes no place among the submits of a minute."""
    wait = _take(Place("free", f"{what}:{organization.pk}", per_hour, HOUR_MS))
    if wait:
        minutes = -(-wait // MINUTE_MS)
        raise RateLimited(
            f"This is free {per_hour} times an hour. Try again in {minutes} min.", retry_after=_seconds(wait)
        )


def read_allowed(caller: Caller) -> None:
    """A key may ask only so often a second, and all keys of an organization together only so often.

    A person in the dashboard counts like a key of their own.
    """
    limits = limits_of(caller.organization)
    who = f"key:{caller.key.pk}" if caller.key else f"user:{caller.user.pk if caller.user else ''}"
    wait = _take(
        Place("reads", f"{caller.organization.pk}:{who}", limits.reads_per_second, SECOND_MS),
        Place("requests", str(caller.organization.pk), limits.requests_per_second, SECOND_MS),
    )
    if wait:
        message = (
            f"Only {limits.reads_per_second} requests a second are allowed with one key,"
            f" and {limits.requests_per_second} with all of the organization's."
        )
        raise RateLimited(message, retry_after=_seconds(wait))


def guess_allowed(what: str, address: str) -> None:
    """A password may be tried only so often: from one address, and from all of them together."""
    wait = _take(
        Place("guesses", f"{what}:{address}", GUESSES, GUESSES_MS),
        Place("guesses", what, GUESSES_OF_ALL, GUESSES_MS),
    )
    if wait:
        minutes = -(-wait // MINUTE_MS)
        raise RateLimited(
            f"That was tried too often. Try again in {minutes} min.", retry_after=_seconds(wait)
        )


def _take(*wanted: Place) -> int:
    """0, or the milliseconds to wait."""
    windows = counter().take(wanted)
    seen = _asked.get()
    if seen is not None:
        seen += [
            Standing(place.name, place.limit, place.window_ms, now)
            for place, now in zip(wanted, windows, strict=True)
        ]
    return max(now.wait for now in windows)


def _seconds(milliseconds: int) -> int:
    """Retry-After has whole seconds: rounded up, or the client comes back too early."""
    return -(-milliseconds // 1000)


class _Throttle(BaseThrottle):
    """REST framework's side of a limit: it answers 429 with Retry-After from `wait`."""

    retry_after: int | None = None

    def allow_request(self, request: Request, view: APIView) -> bool:
        if not isinstance(request.auth, Caller):
            return True  # a stranger is turned away by permissions, before any limit is asked
        try:
            self.check(request.auth)
        except RateLimited as refusal:
            self.retry_after = refusal.retry_after
            return False
        return True

    def wait(self) -> float | None:
        return self.retry_after

    def check(self, caller: Caller) -> None:
        raise NotImplementedError


class ReadThrottle(_Throttle):
    """Requests a second by key: the default of every API view."""

    def check(self, caller: Caller) -> None:
        read_allowed(caller)


class SubmitThrottle(_Throttle):
    """Submits a minute by organization, for a view whose verb does not call `submit_allowed` itself."""

    def check(self, caller: Caller) -> None:
        submit_allowed(caller.organization, caller.key)
