"""How long a route takes for a video, and from that when it is worth asking how an order does."""

from __future__ import annotations

import random
import time

from django.db import connection

# Seconds of rendering for each millisecond of video, the median of the route's last successes, parts among them.
PACE = """
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds / length_ms) FROM (
    SELECT extract(epoch FROM a.finished_at - a.submitted_at) AS seconds, CASE
        WHEN a.part > 0 AND jsonb_array_length(a.cuts) > a.part
        THEN (a.cuts ->> a.part::int)::float8 - (a.cuts ->> a.part - 1)::float8
        ELSE j.length_ms END AS length_ms
    FROM jobs_attempt a JOIN jobs_job j ON j.id = a.job_id
    WHERE a.route_id = %s AND a.status = 'succeeded' AND a.submitted_at IS NOT NULL
    ORDER BY a.finished_at DESC LIMIT %s
) lately WHERE length_ms > 0
"""
LATELY = 20
KEPT_SECONDS = 30.0
# Of the time to the expected end, or since it: so much passes until the next question.
SHARE = 1 / 4
JITTER = 0.1

_paces: dict[int, tuple[float, float | None]] = {}


def expected_seconds(route_id: int, length_ms: int) -> float | None:
    """From the order to its end, as the route did lately; None where it did nothing yet. A statement now and then."""
    known = _paces.get(route_id)
    if known is None or known[0] < time.monotonic():
        with connection.cursor() as cursor:
            cursor.execute(PACE, [route_id, LATELY])
            (pace,) = cursor.fetchone()
        known = time.monotonic() + KEPT_SECONDS, pace
        _paces[route_id] = known
    return None if known[1] is None else float(known[1]) * length_ms


def interval(age: float, expected: float | None, *, least: float, most: float) -> float:
    """Seconds until the next question: few near the expected end, more early and late, never outside `least` to `most`.

    Nothing is expected: a share of the age, so an end is seen late by no more than a part of what the order took.
    """
    distance = age if expected is None else abs(expected - age)
    return min(max(distance * SHARE, least), most)


def jittered(seconds: float) -> float:
    """Orders of one moment do not come back in one moment."""
    return seconds * random.uniform(1 - JITTER, 1 + JITTER)


def forget() -> None:
    """Drops what this process remembers."""
    _paces.clear()
