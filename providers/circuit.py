"""A circuit for each route: opened when too many of its attempts fail, tried by one at a time, closed by a success.

The row is the truth for every dispatcher. What was counted fades, so that the count is one of lately.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models.functions import Now

from providers.models import Circuit

# Half of the count is forgotten in so many seconds.
HALF_LIFE = 300
# Fewer attempts say nothing. Fading takes a little off each of five.
ENOUGH = 4.5
SHARE = 0.5
# Until the first probe; each that fails doubles it, five times at most.
PAUSE_SECONDS = 20
MOST_DOUBLINGS = 5

COUNT = """
INSERT INTO providers_circuit AS c (route_id, attempts, failures, counted_at, failed_probes, pace)
SELECT id, 1, %(bad)s, statement_timestamp(), 0, {pace} FROM providers_route WHERE id = %(route)s
ON CONFLICT (route_id) DO UPDATE SET
    attempts = 1 + c.attempts * power(0.5, extract(epoch FROM statement_timestamp() - c.counted_at) / %(half_life)s),
    failures = %(bad)s
        + c.failures * power(0.5, extract(epoch FROM statement_timestamp() - c.counted_at) / %(half_life)s),
    counted_at = statement_timestamp(),
    pace = coalesce(c.pace + %(newest)s * (excluded.pace - c.pace), excluded.pace, c.pace)
RETURNING attempts, failures, opened_at
"""
# Of an attempt of so many ms, from its order to its end.
PACE = "extract(epoch FROM %(ended)s::timestamptz - %(began)s::timestamptz) * 1000 / %(length)s::float"
# How much the newest pace weighs in the mean.
NEWEST = 0.2
OPENED = (
    "SELECT route_id, probe_at <= statement_timestamp() FROM providers_circuit WHERE opened_at IS NOT NULL"
)


def take_in(
    route_id: int, *, good: bool, began_at: datetime, ended_at: datetime | None = None, length_ms: int = 0
) -> None:
    """Count the outcome of an attempt that began then, and open or close the circuit by it. `length_ms`: of the video
    that it had made when it ended.

    An open one heeds only what began after it opened: an old success says nothing of what happened since.
    """
    with connection.cursor() as cursor:
        values: dict[str, Any] = {"route": route_id, "bad": 0 if good else 1, "half_life": HALF_LIFE}
        values |= {"newest": NEWEST, "began": began_at, "ended": ended_at, "length": length_ms}
        cursor.execute(COUNT.format(pace=PACE if good and ended_at and length_ms else "NULL"), values)
        row = cursor.fetchone()
    if row is None:
        return  # the route was deleted
    attempts, failures, opened_at = row
    if opened_at is not None:
        _probed(route_id, good=good, began_at=began_at)
    elif not good and attempts >= ENOUGH and failures >= SHARE * attempts:
        pause = Now() + timedelta(seconds=PAUSE_SECONDS)
        closed = Circuit.objects.filter(route_id=route_id, opened_at=None)
        closed.update(opened_at=Now(), probe_at=pause, failed_probes=0)


def _probed(route_id: int, *, good: bool, began_at: datetime) -> None:
    rows = Circuit.objects.filter(route_id=route_id, opened_at__lte=began_at)
    if good:
        rows.update(opened_at=None, probe_at=None, failed_probes=0, attempts=0, failures=0)
        return
    for failed in rows.values_list("failed_probes", flat=True):
        doubled = min(failed + 1, MOST_DOUBLINGS)
        pause = timedelta(seconds=PAUSE_SECONDS * 2**doubled)
        rows.filter(failed_probes=failed).update(failed_probes=doubled, probe_at=Now() + pause)


def opened() -> tuple[frozenset[int], frozenset[int]]:
    """The routes whose circuit is open: those that wait, and those that may be tried by one attempt now."""
    with connection.cursor() as cursor:
        cursor.execute(OPENED)
        due = dict(cursor.fetchall())
    return frozenset(pk for pk, now in due.items() if not now), frozenset(
        pk for pk, now in due.items() if now
    )


def paces(route_ids: Collection[int]) -> dict[int, float]:
    """Seconds that a second of video took lately, by route; those that nothing succeeded on are left out."""
    rows = Circuit.objects.filter(route_id__in=route_ids, pace__isnull=False)
    return {pk: pace for pk, pace in rows.values_list("route_id", "pace") if pace is not None}


def probe(route_id: int) -> bool:
    """Take the one place for a probe, for a pause: whatever becomes of it, there will be another then."""
    rows = Circuit.objects.filter(route_id=route_id, probe_at__lte=Now())
    return rows.update(probe_at=Now() + timedelta(seconds=PAUSE_SECONDS)) == 1
