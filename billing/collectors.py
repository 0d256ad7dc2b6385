"""Two ways for use to reach the invoice: counted by Stripe's meters, or rated here and sent as lines.

Meters count units as they are captured, and Stripe rates them when it makes the invoice. Lines are rated by the
ledger, one for each organization and day; they know no window of 24 hours and no month to wait for, so they are also
the way out for whatever a meter did not count.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Protocol

from django.db import transaction
from django.db.models import Expression, F
from django.db.models.functions import Coalesce, Now, TruncDay

from billing import gateway
from billing.errors import GatewayError, GatewayRefused
from billing.gateway import MICROS_PER_CENT
from billing.gateway_models import (
    Customer,
    DueQuerySet,
    RateClass,
    ReportState,
    UsageLine,
    UsageReport,
)

log = logging.getLogger(__name__)

COUNTED_ALREADY = "duplicate_meter_event"
TOO_OLD = "timestamp_too_far_in_past"
# Stripe takes what is at most 35 days old.
OLDEST = timedelta(days=34)
AFTER_MIDNIGHT = timedelta(minutes=10)


class Collector(Protocol):
    def take(self, report: UsageReport, customer: Customer) -> None:
        """Brings a claimed report one step further. Raises GatewayError; then it is tried again or given up."""


class Meters:
    def take(self, report: UsageReport, customer: Customer) -> None:
        if not self._begun(report, customer):
            return
        try:
            gateway.report_use(
                event_name=report.event_name,
                customer=report.customer,
                value=report.value,
                identifier=report.identifier,
                at=report.created_at,
            )
        except GatewayRefused as refusal:
            if refusal.reason == TOO_OLD:
                move_to_line(report)
                return
            if refusal.reason != COUNTED_ALREADY:
                raise
        UsageReport.objects.mine(report).update(
            state=ReportState.SENT, waiting=False, lease_until=None, problem=""
        )

    def _begun(self, report: UsageReport, customer: Customer) -> bool:
        """What is sent is decided once, and written down before the first try: every later try is the same."""
        if report.event_name:
            return True
        if UsageReport.objects.filter(pk=report.pk, created_at__lt=Now() - OLDEST).exists():
            move_to_line(report)
            return False
        if not RateClass.objects.filter(event_name=RateClass.MICRO_EVENT).exists():
            UsageReport.objects.later(report, "There are no meters yet: run manage.py stripe_setup.")
            return False
        report.event_name, report.value = _meter_for(report, customer)
        report.customer = customer.number
        return bool(
            UsageReport.objects.mine(report).update(
                event_name=report.event_name,
                value=report.value,
                customer=report.customer,
                first_tried_at=Coalesce("first_tried_at", Now()),
            )
        )


def _meter_for(report: UsageReport, customer: Customer) -> tuple[str, int]:
    """The meter of the report's price, where the customer subscribes to it; else the one that counts micro-dollars."""
    classes = RateClass.objects.filter(price__in=customer.subscribed)
    own = classes.filter(unit=report.unit, micros_per_unit=report.micros_per_unit).first()
    if own:
        return own.event_name, report.units
    return RateClass.MICRO_EVENT, report.amount_micros


class InvoiceItems:
    def take(self, report: UsageReport, customer: Customer) -> None:
        move_to_line(report)


def move_to_line(report: UsageReport) -> None:
    """Onto the organization's open line, which is closed and sent when the day is over."""
    with transaction.atomic():
        line, _ = UsageLine.objects.select_for_update(of=("self",)).get_or_create(
            organization_id=report.organization_id,
            closed_at=None,
            defaults={"due_at": TruncDay(Now()) + timedelta(days=1) + AFTER_MIDNIGHT},
        )
        won = UsageReport.objects.mine(report).update(
            line=line, state=ReportState.LINED, waiting=False, lease_until=None, problem=""
        )
        if won:
            UsageLine.objects.filter(pk=line.pk).update(
                amount_micros=F("amount_micros") + report.amount_micros
            )


def send_line(line: UsageLine) -> None:
    """A claimed line, closed and put onto the customer's next invoice."""
    customer = Customer.objects.filter(organization_id=line.organization_id).first()
    if customer is None or customer.deleted:
        UsageLine.objects.later(line, "The organization is no customer at Stripe.")
        return
    line = _closed(line, customer)
    try:
        number = _line_sent_before(line, customer) or _sent(line, customer)
    except GatewayError as error:
        UsageLine.objects.later(line, str(error))
    else:
        UsageLine.objects.mine(line).update(number=number, waiting=False, lease_until=None, problem="")


def _closed(line: UsageLine, customer: Customer) -> UsageLine:
    """Whole cents go onto the invoice, the rest is carried to the next line: nothing is lost and nothing invented."""
    with transaction.atomic():
        customer = Customer.objects.select_for_update(of=("self",)).get(pk=customer.pk)
        open_line = UsageLine.objects.select_for_update(of=("self",)).get(pk=line.pk)
        if open_line.closed_at is None:
            cents, rest = divmod(open_line.amount_micros + customer.carried_micros, MICROS_PER_CENT)
            UsageLine.objects.filter(pk=line.pk).update(cents=cents, closed_at=Now())
            Customer.objects.filter(pk=customer.pk).update(carried_micros=rest)
    line.refresh_from_db(fields=["cents", "closed_at"])
    return line


def _line_sent_before(line: UsageLine, customer: Customer) -> str:
    """Whoever had the line before may have died after it was sent: its key is forgotten within a day, its mark is not."""
    if line.fence == 1:
        return ""
    mark = str(line.pk)
    since = line.closed_at or line.created_at
    known = gateway.lines_of(customer.number, since=since - timedelta(hours=1))
    return next((item["id"] for item in known if (item.get("metadata") or {}).get("line") == mark), "")


def _sent(line: UsageLine, customer: Customer) -> str:
    if not line.cents:
        return ""
    return str(
        gateway.add_line(
            customer=customer.number,
            cents=line.cents,
            text=f"Videos until {line.closed_at:%Y-%m-%d %H:%M} UTC",
            metadata={"line": str(line.pk), "organization": str(line.organization_id)},
            key=f"line:{line.pk}",
        )["id"]
    )


# --- what a meter may have missed -----------------------------------------------------------------------------


def reconcile(report: UsageReport, *, settled: Expression) -> None:
    """A report behind the stop line: did Stripe count it? Asked for its minute, among all of that minute's reports."""
    if _unsettled(report, settled):
        return
    minute = _minute(report)
    meter = RateClass.objects.get(event_name=report.event_name).meter
    counted = gateway.counted(meter, report.customer, minute)
    with transaction.atomic():
        # One at a time for a customer: what somebody else has just decided of the same minute is seen below.
        Customer.objects.select_for_update(of=("self",)).get(organization_id=report.organization_id)
        if UsageReport.objects.mine(report).exists() and not _unsettled(report, settled):
            _decide(report, counted)


def _minute(report: UsageReport) -> datetime:
    return report.created_at.replace(second=0, microsecond=0)


def _with(report: UsageReport) -> DueQuerySet[UsageReport]:
    """What the meter counts together with the report, itself included."""
    minute = _minute(report)
    return UsageReport.objects.filter(
        organization_id=report.organization_id,
        event_name=report.event_name,
        created_at__gte=minute,
        created_at__lt=minute + timedelta(minutes=1),
    )


def _unsettled(report: UsageReport, settled: Expression) -> bool:
    """Another may still be under way, or sent and not yet counted: one could be taken for the other."""
    fresh = _with(report).filter(
        state__in=[ReportState.WAITING, ReportState.SENT], first_tried_at__gt=settled
    )
    if fresh.exists():
        UsageReport.objects.later(report, "Waiting until Stripe has counted everything it received.")
        return True
    return False


def _decide(report: UsageReport, counted: int) -> None:
    sure = sum(_with(report).filter(state=ReportState.SENT).values_list("value", flat=True))
    others = _with(report).filter(state=ReportState.WAITING).exclude(pk=report.pk)
    unsure = list(others.values_list("value", flat=True))
    if _reachable(counted - sure - report.value, unsure):
        UsageReport.objects.mine(report).update(
            state=ReportState.SENT,
            waiting=False,
            lease_until=None,
            problem="Found counted after the stop line.",
        )
    elif _reachable(counted - sure, unsure):
        log.warning("use of job %s never reached its meter: it becomes a line", report.job_id)
        move_to_line(report)
    else:
        log.error(
            "%s counted %d in %s, which no reports add up to", report.event_name, counted, _minute(report)
        )
        UsageReport.objects.mine(report).update(
            state=ReportState.STOPPED, waiting=False, lease_until=None, problem=f"Stripe counted {counted}."
        )


def _reachable(total: int, values: list[int]) -> bool:
    """Whether some of the values add up to the total. Which ones does not matter: the sum billed is the same."""
    sums = {0}
    for value in values:
        sums |= {known + value for known in sums if known + value <= total}
    return total in sums
