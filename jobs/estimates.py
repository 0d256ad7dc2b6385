"""When a queued job may start and when one will be done, from how fast its model was rendered lately.

An estimate, no promise: turns are fair between organizations, and machines come and go.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

from jobs.models import Job
from jobs.states import Status

# One pass over the queue, however many of its jobs are asked for. What is ahead of a job, and what is being rendered,
# counts by length: a long video takes long.
PLACES = """
WITH waiting AS (
    SELECT id, model, row_number() OVER (ORDER BY id) AS place,
           sum(length_ms) OVER (PARTITION BY model ORDER BY id) - length_ms AS ahead_ms,
           now() - queued_at > make_interval(secs => %(moment)s) AS lasting
    FROM jobs_job WHERE status = 'queued'
), busy AS (
    SELECT model, count(*) AS running, sum(length_ms * (1 - progress)) AS left_ms
    FROM jobs_job WHERE status = 'running' GROUP BY model
)
SELECT w.id, w.place, w.ahead_ms, coalesce(w.lasting, false), coalesce(b.running, 0), coalesce(b.left_ms, 0)
FROM waiting w LEFT JOIN busy b USING (model) WHERE w.id = ANY(%(ids)s)
"""
# Milliseconds of rendering for each millisecond of video, by whose routes: an organization's own, or everybody's.
PACES = """
SELECT r.organization_id,
       sum(extract(epoch FROM a.finished_at - a.created_at) * 1000) / sum(j.length_ms)
FROM (
    SELECT id, length_ms FROM jobs_job WHERE model = %s AND status = 'succeeded'
    ORDER BY finished_at DESC LIMIT %s
) j
JOIN jobs_attempt a ON a.job_id = j.id AND a.status = 'succeeded'
JOIN providers_route r ON r.id = a.route_id
WHERE j.length_ms > 0
GROUP BY r.organization_id
"""
LATELY = 50
KEPT_SECONDS = 30.0
# A job that is queued for longer found no free place; before that its dispatcher may be on the way.
MOMENT = 2.0
# Sooner than that a share of the work says nothing of the rest.
TELLING = 0.05


@dataclass(frozen=True)
class Place:
    """A queued job's place over all organizations, and the work before it on its model, in ms of video."""

    number: int
    ahead_ms: int
    lasting: bool
    running: int
    left_ms: float

    @property
    def before_ms(self) -> float:
        """What each of those that render must get through before it is this job's turn."""
        if not self.ahead_ms and not self.lasting:
            return 0.0
        return (self.ahead_ms + self.left_ms) / max(self.running, 1)


@dataclass(frozen=True)
class Estimate:
    """`seconds` until the job has ended."""

    start_at: datetime | None = None
    seconds: int | None = None


NOTHING = Estimate()


def places(ids: Sequence[UUID]) -> dict[UUID, Place]:
    """Of those that are queued. One statement."""
    if not ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(PLACES, {"ids": list(ids), "moment": MOMENT})
        return {
            row[0]: Place(row[1], int(row[2]), row[3], row[4], float(row[5])) for row in cursor.fetchall()
        }


def queued(row: Job, place: Place, now: datetime) -> Estimate:
    """A statement for each model every KEPT_SECONDS, none else. Nothing where nothing was rendered lately."""
    by_owner = paces(row.model)
    pace = by_owner.get(row.organization_id, by_owner.get(None))
    if pace is None:
        return NOTHING
    wait = pace * place.before_ms / 1000
    return Estimate(now + timedelta(seconds=math.ceil(wait)), math.ceil(wait + pace * row.length_ms / 1000))


def running(row: Job, now: datetime) -> Estimate:
    """From its own progress: no statement. Nothing until that tells something."""
    if row.status != Status.RUNNING or row.started_at is None or not TELLING <= row.progress < 1:
        return NOTHING
    gone = max((now - row.started_at).total_seconds(), 0.0)
    return Estimate(seconds=math.ceil(gone * (1 - row.progress) / row.progress))


_paces: dict[str, tuple[float, dict[UUID | None, float]]] = {}


def paces(model: str) -> dict[UUID | None, float]:
    """By the owner of the routes; everybody's have None."""
    known = _paces.get(model)
    if known and known[0] > time.monotonic():
        return known[1]
    with connection.cursor() as cursor:
        cursor.execute(PACES, [model, LATELY])
        found = {owner: float(pace) for owner, pace in cursor.fetchall()}
    _paces[model] = (time.monotonic() + KEPT_SECONDS, found)
    return found


def forget() -> None:
    """Drops what this process remembers."""
    _paces.clear()
