"""The one way a job changes its status, and the events that tell of it."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from functools import partial
from typing import Any
from uuid import UUID

import redis
from django.conf import settings
from django.db import connection, transaction
from psycopg.types.json import Jsonb

from jobs import snapshots
from jobs.models import Job, JobEvent
from jobs.states import EVERYTHING, OURS, Status, sources, told_as

log = logging.getLogger(__name__)


class _Hub:
    """The Redis connection that wakes live streams; made on first use, per process."""

    client: redis.Redis | None = None

    def publish(self, channel: str, message: str) -> None:
        if self.client is None:
            self.client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1)
        try:
            self.client.publish(channel, message)
        except redis.RedisError:
            log.debug("Redis is away; streams fall back to their own reads")


hub = _Hub()


# One statement, so that telling an organization's endpoints costs one that has none nothing.
EVENT = """event AS (
    INSERT INTO jobs_jobevent (organization_id, job_id, type, data)
    VALUES (%(organization)s, %(job)s, %(type)s, %(data)s)
    RETURNING id, at
), told AS (
    INSERT INTO jobs_delivery
        (id, organization_id, job_id, endpoint_id, event_id, type, dialect, url, lane,
         status, reason, tries, fence, last_answer)
    SELECT jobs_new_id(), endpoint.organization_id, %(job)s, endpoint.id, event.id, %(name)s, %(dialect)s,
           endpoint.url, endpoint.id, 'due', '', 0, 0, ''
    FROM event, jobs_webhookendpoint endpoint
    WHERE endpoint.organization_id = %(organization)s AND endpoint.enabled AND endpoint.events && %(names)s
)
"""
APPEND = "WITH {event} SELECT id, at FROM event"


def append(job: Job, kind: str, data: Mapping[str, Any] | None = None) -> JobEvent:
    """Write one event, and a delivery to each endpoint that asked for it. After the commit readers see the job as it is
    then, and streams wake.
    """
    event, values = worded(job, kind, data)
    with connection.cursor() as cursor:
        cursor.execute(APPEND.format(event=EVENT), values)
        event.id, event.at = cursor.fetchone()
    snapshots.renew(job.organization_id, job.id)
    announce(event)
    return event


def worded(job: Job, kind: str, data: Mapping[str, Any] | None) -> tuple[JobEvent, dict[str, Any]]:
    """The event, and what EVENT must be given to write it."""
    event = JobEvent(organization_id=job.organization_id, job_id=job.id, type=kind, data=dict(data or {}))
    name = told_as(kind)
    return event, {
        "organization": job.organization_id,
        "job": job.id,
        "type": kind,
        "data": Jsonb(event.data),
        "name": name,
        "names": [EVERYTHING, name],
        "dialect": OURS,
    }


def announce(event: JobEvent) -> None:
    """Wake the streams after the commit."""
    channel, message = f"events:{event.organization_id}", f"{event.job_id}:{event.id}"
    transaction.on_commit(partial(hub.publish, channel, message), robust=True)


def transition(
    job: Job,
    to: Status,
    *,
    given: frozenset[Status] | None = None,
    fence: int | None = None,
    data: Mapping[str, Any] | None = None,
    **fields: Any,
) -> bool:
    """Move the job to `to`, in one guarded UPDATE, and write its event. Call it inside a transaction.

    False when the row is no longer in a state that may lead there (or the fence was raised): somebody else was
    faster, and the caller stops. On True the given instance carries the new values that are plain.
    """
    guard = {"status__in": sources(to, given)} | ({} if fence is None else {"fence": fence})
    if Job.objects.filter(pk=job.pk, **guard).update(status=to, **fields) != 1:
        return False
    job.status = to
    append(job, to, data)
    return True


def job_events(job_id: UUID, *, after: int = 0, limit: int = 500) -> list[JobEvent]:
    return list(JobEvent.objects.filter(job_id=job_id, id__gt=after)[:limit])


FEED = """
SELECT id, job_id, type, data, at, organization_id, xid::text AS transaction FROM jobs_jobevent
WHERE organization_id = %s AND (xid, id) > (%s::xid8, %s) AND xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY xid, id LIMIT %s
"""
CURSOR = re.compile(r"(\d{1,18})\.(\d{1,18})", re.ASCII)


class CursorUnknown(ValueError):
    """Not a cursor that a feed gave."""


def feed(organization_id: UUID, *, after: str = "", limit: int = 100) -> tuple[list[JobEvent], str]:
    """An organization's events after a cursor, and the cursor for the next call. None is ever passed over.

    Only events below every transaction still running are given, so one that commits late is not overtaken.
    """
    found = CURSOR.fullmatch(after or "0.0")
    if found is None:
        raise CursorUnknown(after)
    rows = list(JobEvent.objects.raw(FEED, [organization_id, found[1], int(found[2]), limit]))
    return rows, f"{rows[-1].transaction}.{rows[-1].id}" if rows else after  # type: ignore[attr-defined]  # annotated above
