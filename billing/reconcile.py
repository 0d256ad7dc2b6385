"""Holds the books, Stripe and the jobs against each other, by seven RULES; what differs is a row until it is mended.

Nothing is repaired here: correcting is a person's decision. R1, R2, R6 and the books' own side of R4 need no Stripe. What
jobs and providers say comes in from above (`Rule`), since billing knows neither.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, Q
from django.db.models.functions import Now
from django.utils import timezone

from billing import gateway, reconcile_books, reconcile_stripe
from billing.control_models import Difference, Reconciliation
from billing.errors import GatewayError
from billing.findings import Finding, Rule, Span

log = logging.getLogger(__name__)

WINDOW = timedelta(days=30)
# News of what happened a moment ago may still be on their way.
SETTLED = timedelta(hours=1)
# What each compares, as operators read it.
RULES = {
    "R1": "Every balance, key's spend, month and day of use is the fold of its transfers and holds.",
    "R2": "The hold of every job that is over is its capture and its release, and what the job says it was charged.",
    "R3": "Use in the outbox is what the meters counted, by customer and hour, and all of it has left.",
    "R4": "Payments, refunds and disputes at Stripe are top-ups and reversals in the books.",
    "R5": "Lines of invoices are what the books say, within a cent, and none is missing.",
    "R6": "What providers made is what was captured, in films and milliseconds; what they took is what margins count.",
    "R7": "No event that Stripe could not deliver is missing, and none was given up.",
}
# So many runs are looked back for the last that went through a rule.
LOOK_BACK = 30
STRIPE: dict[str, Rule] = {
    "R3": reconcile_stripe.meters,
    "R4": reconcile_stripe.payments,
    "R5": reconcile_stripe.invoices,
    "R7": reconcile_stripe.events,
}


def run(others: Mapping[str, Rule], *, settled: timedelta = SETTLED) -> Reconciliation:
    """Every rule once. `others` are the rules of those above: they add to ours of the same name."""
    report = Reconciliation.objects.create()
    now = timezone.now()
    span = Span(since=now - WINDOW, until=now - settled)
    sides = (reconcile_books.rules(), others)
    for rule in RULES:
        reason = _go_through(rule, span, sides)
        if reason:
            report.skipped[rule] = reason
    report.differences = Difference.objects.filter(resolved_at=None).count()
    report.ended_at = timezone.now()
    report.save()
    return report


def _go_through(rule: str, span: Span, sides: Iterable[Mapping[str, Rule]]) -> str:
    """Why the rule, or its part at Stripe, could not be gone through; nothing if it was."""
    local = [side[rule] for side in sides if rule in side]
    found = [finding for side in local for finding in side(span)]
    reason = ""
    if rule in STRIPE:
        try:
            if not gateway.configured():
                reason = "There are no keys for Stripe."
                if rule == "R3":
                    reason += reconcile_books.unreported(span)
            else:
                found += STRIPE[rule](span)
        except GatewayError as error:
            log.warning("reconciliation: %s could not be gone through: %s", rule, error)
            reason = error.message
    _write(rule, found, since=span.since, complete=not reason)
    return reason


def _write(rule: str, found: list[Finding], *, since: datetime, complete: bool) -> None:
    for finding in found:
        log.error("reconciliation: %s %s", rule, finding)
    rows = [
        Difference(
            rule=rule,
            what=finding.what[:100],
            subject=finding.subject[:200],
            expected=str(finding.expected)[:80],
            found=str(finding.found)[:80],
            job_id=finding.job_id,
            happened_at=finding.at,
        )
        for finding in found
    ]
    with transaction.atomic():
        seen = {(row.what, row.subject) for row in rows}
        known = Difference.objects.select_for_update().filter(rule=rule)
        for row in known.filter(subject__in=[subject for _, subject in seen]):
            if (row.what, row.subject) in seen:
                _seen_again(row, next(r for r in rows if (r.what, r.subject) == (row.what, row.subject)))
        Difference.objects.bulk_create(rows, ignore_conflicts=True)
        if complete:
            looked_at = Q(happened_at=None) | Q(happened_at__gte=since)
            for row in known.filter(looked_at, resolved_at=None):
                if (row.what, row.subject) not in seen:
                    Difference.objects.filter(pk=row.pk).update(resolved_at=Now())


def _seen_again(known: Difference, now: Difference) -> None:
    Difference.objects.filter(pk=known.pk).update(
        expected=now.expected,
        found=now.found,
        job_id=now.job_id,
        happened_at=now.happened_at,
        last_seen_at=Now(),
        resolved_at=None,
    )


@dataclass(frozen=True)
class State:
    """How a rule stands: `gone_through` is when the last run that did all of it began.

    `left_out` says why the last run did not.
    """

    rule: str
    compares: str
    gone_through: datetime | None
    left_out: str
    differences: int


def states() -> list[State]:
    """Of every rule. Two statements."""
    runs = list(Reconciliation.objects.exclude(ended_at=None).order_by("-pk")[:LOOK_BACK])
    open_ones = Difference.objects.filter(resolved_at=None).values_list("rule")
    counts = dict(open_ones.annotate(n=Count("pk")).order_by())
    return [
        State(
            rule,
            compares,
            next((run.started_at for run in runs if rule not in run.skipped), None),
            str(runs[0].skipped.get(rule, "")) if runs else "",
            counts.get(rule, 0),
        )
        for rule, compares in RULES.items()
    ]


def settle(difference: Difference) -> None:
    """The operator's word that it is mended or explained. Should a run find it again, it is open again."""
    Difference.objects.filter(pk=difference.pk, resolved_at=None).update(resolved_at=Now())
