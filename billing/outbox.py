"""Use that is paid later: what a postpaid job cost leaves for Stripe through a row written with its capture.

A report that was never answered is sent again under the same identifier, so Stripe counts it once. Stripe forgets
identifiers after 24 hours: a report first tried more than 20 hours ago is never sent again. Instead Stripe is asked
what it counted in that minute, and what is missing goes to the invoice as a line of its own.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import F
from django.db.models.functions import Now

from accounts.models import BillingMode
from billing import collectors
from billing.errors import GatewayError, GatewayRefused
from billing.gateway_models import Customer, ReportState, UsageLine, UsageReport
from billing.models import Hold

log = logging.getLogger(__name__)

LEASE_SECONDS = 60
STOP_LINE = timedelta(hours=20)
# By then no request can still be under way, and Stripe has counted what it received.
SETTLED = timedelta(hours=21)
# States in which a meter may be said to have counted a report, or may yet count it.
COUNTABLE = [ReportState.WAITING, ReportState.SENT]
COLLECTORS: dict[str, collectors.Collector] = {
    "meters": collectors.Meters(),
    "invoice_items": collectors.InvoiceItems(),
}


@dataclass(frozen=True)
class Use:
    """What was captured, in the units of its price; `micros_per_unit` is the frozen price."""

    unit: str
    units: int
    micros_per_unit: int

    @property
    def micros(self) -> int:
        return self.units * self.micros_per_unit

    def without(self, micros: int) -> Use:
        """Less the units that would cost so much."""
        return replace(self, units=self.units - micros // self.micros_per_unit) if micros else self


def enqueue(hold: Hold, taken: int, use: Use | None) -> None:
    """The report of a capture, in the transaction that captures: of what is to be paid, free units left out. Nothing for
    jobs that were paid before.
    """
    if hold.funding != BillingMode.POSTPAID or not taken or not settings.STRIPE_SECRET_KEY:
        return
    whole = use.without(hold.free_micros) if use else None
    if whole is None or whole.micros != taken:
        whole = Use("micro", taken, 1)
    UsageReport.objects.create(
        organization_id=hold.organization_id,
        job_id=hold.job_id,
        model=hold.model,
        unit=whole.unit,
        units=whole.units,
        micros_per_unit=whole.micros_per_unit,
        amount_micros=taken,
        collector=settings.STRIPE_COLLECTOR,
    )


def send(report_id: str) -> None:
    """Hands a report over, if it is due and nobody else is at it."""
    report = UsageReport.objects.claim(report_id, seconds=LEASE_SECONDS)
    if report is None:
        return
    customer = Customer.objects.filter(organization_id=report.organization_id).first()
    if customer is None or not customer.billed:
        UsageReport.objects.later(report, "The organization has no subscription that could be billed.")
        return
    try:
        if _stopped(report):
            collectors.reconcile(report, settled=Now() - SETTLED)
        else:
            COLLECTORS[report.collector].take(report, customer)
    except GatewayRefused as refusal:
        log.exception("use of job %s cannot be reported", report.job_id)
        _give_up(report, str(refusal))
    except GatewayError as error:
        UsageReport.objects.later(report, str(error))


def refused(identifier: str, code: str) -> None:
    """A meter says later that it could not count a report: a person must look. Not at one that became a line meanwhile:
    tried again, it would be billed twice.
    """
    job_id = identifier.removeprefix("job:")
    try:
        UsageReport.objects.filter(job_id=job_id, state__in=COUNTABLE, line=None).update(
            state=ReportState.FAILED,
            waiting=False,
            lease_until=None,
            fence=F("fence") + 1,
            problem=f"Stripe: {code}"[:300],
        )
    except ValidationError:  # not a report of ours
        log.warning("a meter refused an event that is not ours: %s", identifier)


def _stopped(report: UsageReport) -> bool:
    return report.collector == "meters" and _older(report, STOP_LINE)


def _older(report: UsageReport, age: timedelta) -> bool:
    """By the database's clock since the first try."""
    return UsageReport.objects.filter(pk=report.pk, first_tried_at__lte=Now() - age).exists()


def _give_up(report: UsageReport, problem: str) -> None:
    UsageReport.objects.mine(report).update(
        state=ReportState.FAILED, waiting=False, lease_until=None, problem=problem[:300]
    )


def retry(report: UsageReport) -> None:
    """The operator's button, once what was wrong is mended. A report that was ever tried keeps its stop line."""
    given_up = UsageReport.objects.filter(pk=report.pk, line=None)
    given_up.filter(state__in=[ReportState.FAILED, ReportState.STOPPED]).update(
        state=ReportState.WAITING, tries=0
    )
    UsageReport.objects.filter(state=ReportState.WAITING).hint(report.pk)


@shared_task(name="billing.report_use")
def report_use(report_id: str) -> None:
    send(report_id)


@shared_task(name="billing.send_line")
def send_line(line_id: str) -> None:
    line = UsageLine.objects.claim(line_id, seconds=LEASE_SECONDS)
    if line is not None:
        collectors.send_line(line)
