"""Whose turn it is to be told: deliveries are claimed lane by lane, so that a dead receiver delays no other.

A lane is what fails together: one endpoint, or the addresses on one server that one organization's jobs named. Of each
lane only a few deliveries are on their way at once, and only one while an earlier failure waits for its next try.
Within a lane a job's events go one after the other: a later one waits until the earlier is delivered or given up.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet

from jobs.models import Delivery

LANE_CAP = 4
# A try may take WEBHOOK_TIMEOUT_SECONDS; the rest is for drawing the message and for writing down the answer.
LEASE_EXTRA_SECONDS = 20
# How many of a lane are looked at in one go; those that wait for an earlier event are put off by at most this long,
# so that they do not stand in the way. Not until the earlier one's own time: that may end meanwhile, unseen by us.
WINDOW = 20
PUT_OFF_SECONDS = 60
# Any number of processes claim, one at a time: the count of a lane's deliveries on their way must not be raced.
CLAIM_LOCK = 0x6C616E65

CLAIM = """
WITH RECURSIVE lanes AS (  -- a probe of the index for each lane, however many deliveries wait in it
    (SELECT lane FROM jobs_delivery WHERE status = 'due' ORDER BY lane LIMIT 1)
    UNION ALL
    SELECT (SELECT d.lane FROM jobs_delivery d WHERE d.status = 'due' AND d.lane > lanes.lane ORDER BY d.lane LIMIT 1)
    FROM lanes WHERE lanes.lane IS NOT NULL
), state AS MATERIALIZED (
    SELECT lane,
        (SELECT count(*) FROM jobs_delivery f
         WHERE f.lane = lanes.lane AND f.status = 'due' AND f.lease_until > statement_timestamp()) AS flying,
        EXISTS (SELECT FROM jobs_delivery f
                WHERE f.lane = lanes.lane AND f.status = 'due' AND f.tries > 0) AS suspect
    FROM lanes WHERE lane IS NOT NULL
), looked_at AS (
    SELECT state.*, d.id, d.due_at, d.event_id, earlier.until
    FROM state CROSS JOIN LATERAL (
        SELECT id, due_at, event_id, job_id FROM jobs_delivery
        WHERE lane = state.lane AND status = 'due' AND due_at <= statement_timestamp()
          AND (lease_until IS NULL OR lease_until < statement_timestamp())
        ORDER BY due_at, event_id LIMIT %(window)s
        FOR UPDATE SKIP LOCKED  -- never waits, so nothing can wait for it in a circle
    ) d LEFT JOIN LATERAL (
        SELECT greatest(b.due_at, b.lease_until) AS until FROM jobs_delivery b
        WHERE b.lane = state.lane AND b.job_id = d.job_id AND b.status = 'due' AND b.event_id < d.event_id
        ORDER BY b.event_id LIMIT 1
    ) earlier ON true
), put_off AS (
    UPDATE jobs_delivery d
    SET due_at = statement_timestamp() + least(
        greatest((SELECT until FROM looked_at l WHERE l.id = d.id) - statement_timestamp(), interval '1 s'),
        make_interval(secs => %(put_off)s)
    )
    WHERE d.id = ANY (ARRAY(SELECT id FROM looked_at WHERE until IS NOT NULL)) AND d.status = 'due'
), in_line AS (
    SELECT *, row_number() OVER (PARTITION BY lane ORDER BY due_at, event_id) AS place
    FROM looked_at WHERE until IS NULL
), fair AS (  -- the first of every lane before the second of any
    SELECT *, row_number() OVER (PARTITION BY suspect ORDER BY place, due_at) AS turn
    FROM in_line WHERE place + flying <= CASE WHEN suspect THEN 1 ELSE %(cap)s END
), chosen AS (
    SELECT id, suspect FROM fair WHERE NOT suspect OR turn <= %(suspects)s ORDER BY place, due_at LIMIT %(slots)s
)
UPDATE jobs_delivery d
SET lease_until = statement_timestamp() + make_interval(secs => %(lease)s), fence = d.fence + 1
FROM chosen
WHERE d.id = chosen.id AND d.status = 'due' AND (d.lease_until IS NULL OR d.lease_until < statement_timestamp())
RETURNING d.id, chosen.suspect
"""


@dataclass(frozen=True)
class Turn:
    """A delivery that is now ours to try; `suspect` when its lane has failures waiting."""

    delivery: Delivery
    suspect: bool


def claim(slots: int, suspects: int) -> list[Turn]:
    """Up to `slots` deliveries, `suspects` of them at most in lanes that failed before, now ours for the lease."""
    if slots <= 0:
        return []
    values = {
        "slots": slots,
        "suspects": max(suspects, 0),
        "cap": LANE_CAP,
        "window": WINDOW,
        "put_off": PUT_OFF_SECONDS,
        "lease": settings.WEBHOOK_TIMEOUT_SECONDS + LEASE_EXTRA_SECONDS,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [CLAIM_LOCK])
        cursor.execute(CLAIM, values)
        chosen: dict[UUID, bool] = dict(cursor.fetchall())
    if not chosen:
        return []
    whole = Delivery.objects.select_related("job__organization", "organization", "endpoint", "event", "alert")
    return [Turn(row, chosen[row.pk]) for row in whole.filter(pk__in=chosen)]


def lane_of(organization_id: UUID, url: str) -> str:
    """The lane of a job's own address: all on one server, for one organization."""
    parts = urlsplit(url)
    return f"{organization_id} {parts.scheme}://{parts.netloc}".lower()


def behind(delivery: Delivery) -> QuerySet[Delivery]:
    """The same job's later events that wait for this one."""
    if delivery.event_id is None or delivery.job_id is None:
        return Delivery.objects.none()
    later = Delivery.objects.due().filter(
        lane=delivery.lane, job_id=delivery.job_id, event_id__gt=delivery.event_id
    )
    return later.order_by("event_id")
