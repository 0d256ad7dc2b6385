"""The rules that need the books alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, Sum

from accounts.models import BillingMode
from billing import ledger_check
from billing.findings import Finding, Rule, Span
from billing.gateway_models import UsageReport
from billing.models import Hold
from billing.money import format_usd

JOB = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Of the rules of `ledger_check`: those about single holds. All others are about balances and projections.
OF_HOLDS = {
    "an open hold is held, a resolved one is not",
    "a resolved hold is its capture and its release",
    "a hold's captured amount is what reached revenue",
    "money is held and captured for holds only",
}
# Each credited top-up, each paid invoice and each reversal against the transfers that carry its name.
CREDITS = """
SELECT 'top-up in the books, micro-dollars', 'top-up ' || p.id, p.credited_micros, coalesce(t.amount_micros, 0), p.paid_at
FROM billing_topup p LEFT JOIN billing_transfer t ON t.reference = 'topup:' || p.payment
WHERE p.status = 'paid' AND p.payment <> '' AND p.paid_at >= %(since)s
  AND coalesce(t.amount_micros, 0) <> p.credited_micros
UNION ALL
SELECT 'invoice in the books, micro-dollars', 'invoice ' || i.number, i.credited_micros, coalesce(t.amount_micros, 0),
  i.issued_at
FROM billing_invoice i LEFT JOIN billing_transfer t ON t.reference = 'topup:' || i.number
WHERE i.credited_micros > 0 AND i.issued_at >= %(since)s AND coalesce(t.amount_micros, 0) <> i.credited_micros
UNION ALL
SELECT 'reversal in the books, micro-dollars', r.kind || ' ' || r.id, r.taken_micros, moved.micros, r.created_at
FROM billing_reversal r CROSS JOIN LATERAL (
    SELECT coalesce(sum(CASE WHEN c.kind = 'funding' THEN t.amount_micros ELSE -t.amount_micros END), 0) AS micros
    FROM generate_series(1, r.stages) AS stage
    JOIN billing_transfer t ON t.reference = r.kind || ':' || r.id || ':' || stage
    JOIN billing_account c ON c.id = t.credit_id
) moved
WHERE r.created_at >= %(since)s AND moved.micros <> r.taken_micros
"""


def rules() -> dict[str, Rule]:
    """For one run, in which R1 and R2 share one pass over the books."""
    checked = cache(ledger_check.check)

    def part(*, of_holds: bool) -> Rule:
        return lambda _span: (_finding(found) for found in checked() if (found.rule in OF_HOLDS) is of_holds)

    return {"R1": part(of_holds=False), "R2": part(of_holds=True), "R4": credits_}


def _finding(found: ledger_check.Difference) -> Finding:
    job = JOB.search(found.subject) if found.rule in OF_HOLDS else None
    return Finding(
        found.rule, found.subject, found.expected, found.found, job_id=UUID(job.group()) if job else None
    )


def credits_(span: Span) -> Iterator[Finding]:
    with connection.cursor() as cursor:
        cursor.execute(CREDITS, {"since": span.since})
        for what, subject, expected, found, at in cursor.fetchall():
            yield Finding(what, subject, int(expected), int(found), at=at)


def unreported(span: Span) -> str:
    """A sentence on what was captured to be paid later and waits for no invoice, for want of a key at that time."""
    reported = UsageReport.objects.filter(job_id=OuterRef("job_id"))
    later = Hold.objects.filter(funding=BillingMode.POSTPAID, resolved_at__gte=span.since)
    micros = later.filter(~Exists(reported)).aggregate(micros=Sum("captured_micros"))["micros"]
    return f" Postpaid use of {format_usd(micros)} USD is invoiced by nobody but you." if micros else ""
