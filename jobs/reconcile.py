"""The nightly comparison of books, Stripe and jobs: what the jobs and their providers say, for `billing.reconcile`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta

from celery import shared_task
from django.db import connection

from billing import reconcile
from billing.control_models import Reconciliation
from billing.findings import Finding, Span

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


def run(*, settled: timedelta = reconcile.SETTLED) -> Reconciliation:
    return reconcile.run({"R2": _charged, "R6": _made}, settled=settled)


def _charged(span: Span) -> Iterator[Finding]:
    return _findings(JOBS, span)


def _made(span: Span) -> Iterator[Finding]:
    return _findings(MADE, span)


def _findings(sql: str, span: Span) -> Iterator[Finding]:
    with connection.cursor() as cursor:
        cursor.execute(sql, {"since": span.since, "until": span.until})
        for what, job, expected, found, at in cursor.fetchall():
            yield Finding(what, f"job {job}", int(expected), int(found), job_id=job, at=at)


@shared_task(name="jobs.reconcile")
def reconcile_task() -> None:
    report = run()
    log.info("reconciliation: %d differences", report.differences)
