"""The nightly comparison of books, Stripe and jobs: what the jobs and their providers say, for `billing.reconcile`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any

from celery import shared_task
from django.db import connection

from billing import reconcile
from billing.control_models import Reconciliation
from billing.findings import Finding, Span
from jobs.settle import LENGTH_TOLERANCE_MS

log = logging.getLogger(__name__)

# What was charged and what is held, by the job and by the books.
JOBS = """
SELECT 'hold of a job that is over, micro-dollars', j.id, 0, h.amount_micros, j.finished_at
FROM billing_hold h JOIN jobs_job j ON j.id = h.job_id
WHERE h.status = 'open' AND j.finished_at <= %(until)s
  AND j.status IN ('succeeded', 'failed', 'canceled', 'expired')
UNION ALL
SELECT 'charge of a job, micro-dollars', j.id, coalesce(j.charged_micros, 0), h.captured_micros, j.finished_at
FROM billing_hold h JOIN jobs_job j ON j.id = h.job_id
WHERE h.status <> 'open' AND h.resolved_at BETWEEN %(since)s AND %(until)s
  AND coalesce(j.charged_micros, 0) <> h.captured_micros
"""
# Every captured second, free ones too, has an order that a provider fulfilled, and every order fulfilled was captured.
# A look at a picture is answered at once and makes no order.
MADE = """
SELECT 'orders a provider fulfilled for a captured job', h.job_id, 1, 0, h.resolved_at
FROM billing_hold h
WHERE h.status = 'captured' AND h.billed_ms > 0 AND h.resolved_at BETWEEN %(since)s AND %(until)s
  AND NOT EXISTS (SELECT FROM jobs_attempt a WHERE a.job_id = h.job_id AND a.status = 'succeeded')
UNION ALL
SELECT 'captures of a job that a provider made', a.job_id, 1, 0, a.finished_at
FROM jobs_attempt a JOIN jobs_job j ON j.id = a.job_id
WHERE a.status = 'succeeded' AND a.finished_at BETWEEN %(since)s AND %(until)s AND j.quoted_micros > 0
  AND j.status IN ('succeeded', 'failed', 'canceled', 'expired')
  AND NOT EXISTS (SELECT FROM billing_hold h WHERE h.job_id = a.job_id AND h.status = 'captured')
"""
# A film is as long as its sound, and what was captured of it as much as was quoted.
LENGTHS = """
SELECT 'captured milliseconds of a job', j.id, (j.quote->>'billed_units')::bigint * (j.quote->>'step_ms')::bigint,
       h.billed_ms, h.resolved_at
FROM billing_hold h JOIN jobs_job j ON j.id = h.job_id
WHERE h.status = 'captured' AND h.resolved_at BETWEEN %(since)s AND %(until)s AND j.quote->>'unit' <> 'image'
  AND (j.quote->>'billed_units')::bigint * (j.quote->>'step_ms')::bigint <> h.billed_ms
UNION ALL
SELECT 'milliseconds of a captured film', j.id, j.length_ms, f.duration_ms, h.resolved_at
FROM billing_hold h JOIN jobs_job j ON j.id = h.job_id
JOIN jobs_asset f ON f.job_id = j.id AND f.role = 'video' AND f.origin = 'output'
WHERE h.status = 'captured' AND h.resolved_at BETWEEN %(since)s AND %(until)s
  AND abs(f.duration_ms - j.length_ms) > %(tolerance)s
"""
# A job's end counts what its attempts cost in the same commit, so the days are equal whenever they are looked at. What a
# look at a picture cost is of no attempt.
COSTS = """
SELECT concat(organization_id, ' on ', day), coalesce(made.micros, 0), coalesce(counted.micros, 0), day
FROM (
    SELECT j.organization_id, (j.finished_at AT TIME ZONE 'UTC')::date AS day, sum(a.cost_micros) AS micros
    FROM jobs_job j JOIN jobs_attempt a ON a.job_id = j.id
    WHERE j.finished_at >= %(first)s::date AT TIME ZONE 'UTC' AND a.cost_micros > 0
      AND j.status IN ('succeeded', 'failed', 'canceled', 'expired')
    GROUP BY 1, 2
) made FULL JOIN (
    SELECT organization_id, day, sum(cost_micros) AS micros FROM billing_dayuse
    WHERE day >= %(first)s AND unit <> 'image' AND cost_micros > 0
    GROUP BY 1, 2
) counted USING (organization_id, day)
WHERE coalesce(made.micros, 0) <> coalesce(counted.micros, 0)
"""


def run(*, settled: timedelta = reconcile.SETTLED) -> Reconciliation:
    return reconcile.run({"R2": _charged, "R6": _made}, settled=settled)


def _charged(span: Span) -> Iterator[Finding]:
    return _findings(JOBS, span)


def _made(span: Span) -> Iterator[Finding]:
    yield from _findings(MADE, span)
    yield from _findings(LENGTHS, span)
    yield from _costs(span)


def _costs(span: Span) -> Iterator[Finding]:
    """Of whole days."""
    first = span.since.astimezone(UTC).date() + timedelta(days=1)
    with connection.cursor() as cursor:
        cursor.execute(COSTS, {"first": first})
        for whose, expected, found, day in cursor.fetchall():
            at = datetime.combine(day, time.min, UTC)
            yield Finding("cost of a day, micro-dollars", whose, int(expected), int(found), at=at)


def _findings(sql: str, span: Span) -> Iterator[Finding]:
    values: dict[str, Any] = {"since": span.since, "until": span.until, "tolerance": LENGTH_TOLERANCE_MS}
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        for what, job, expected, found, at in cursor.fetchall():
            yield Finding(what, f"job {job}", int(expected), int(found), job_id=job, at=at)


@shared_task(name="jobs.reconcile")
def reconcile_task() -> None:
    report = run()
    log.info("reconciliation: %d differences", report.differences)
