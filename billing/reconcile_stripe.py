"""The rules that ask Stripe. Never called inside a transaction; each reads lists: a lost event hides nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Sum

from billing import gateway, inbox, reversals
from billing.findings import Finding, Span
from billing.gateway import MICROS_PER_CENT
from billing.gateway_models import (
    Customer,
    EventState,
    Invoice,
    RateClass,
    ReportState,
    Reversal,
    StripeEvent,
    TopUp,
    TopUpStatus,
    UsageLine,
    UsageReport,
)

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
# A report may wait this long before somebody has to look: the outbox's own stop line, and a little.
REPORTED_WITHIN = timedelta(hours=24)
STUCK = [ReportState.STOPPED, ReportState.FAILED]
ISSUED = ["open", "paid"]
# Why Stripe made an invoice: only these are of a period whose use must be on them.
MONTHLY = "subscription_cycle"


def _at(found: gateway.Snapshot) -> datetime:
    return datetime.fromtimestamp(found["created"], tz=UTC)


# --- R3 -------------------------------------------------------------------------------------------------------


def meters(span: Span) -> Iterator[Finding]:
    yield from _unreported(span)
    start = span.since.replace(minute=0, second=0, microsecond=0) + HOUR
    # Summaries end on a full hour; the one that runs is looked at as soon as it is over, or at once when asked to.
    end = span.until.replace(minute=0, second=0, microsecond=0) + HOUR
    rows = UsageReport.objects.filter(created_at__gte=start, created_at__lt=end).exclude(event_name="")
    pairs = rows.values_list("customer", "event_name").order_by().distinct()
    known = dict(RateClass.objects.values_list("event_name", "meter"))
    for customer, event_name in pairs:
        mine = rows.filter(customer=customer, event_name=event_name)
        counted = gateway.counted_by_hour(known[event_name], customer, start, end)
        yield from _by_hour(f"{customer} {event_name}", mine, counted)


def _unreported(span: Span) -> Iterator[Finding]:
    """Reports that no meter and no line has, each with its job."""
    rows = UsageReport.objects.filter(created_at__gte=span.since)
    late = rows.filter(state=ReportState.WAITING, created_at__lt=span.until - REPORTED_WITHIN)
    for report in rows.filter(state__in=STUCK).union(late):
        yield Finding(
            "use that reached no invoice",
            f"report of job {report.job_id}",
            ReportState.SENT.value,
            report.state,
            job_id=report.job_id,
            at=report.created_at,
        )


def _by_hour(whose: str, reports: Any, counted: dict[datetime, int]) -> Iterator[Finding]:
    sent: dict[datetime, list[UsageReport]] = defaultdict(list)
    unsure = set()
    for report in reports:
        hour = report.created_at.replace(minute=0, second=0, microsecond=0)
        if report.state == ReportState.SENT:
            sent[hour].append(report)
        else:
            unsure.add(hour)  # it may have been counted although nobody knows: it is named by itself
    for hour in sorted((sent.keys() | counted.keys()) - unsure):
        expected, found = sum(report.value for report in sent[hour]), counted.get(hour, 0)
        if expected != found:
            yield Finding(
                "units of an hour at the meter",
                f"{whose} {hour:%Y-%m-%d %H}h",
                expected,
                found,
                job_id=_job_of(sent[hour], expected - found),
                at=hour,
            )


def _job_of(reports: Sequence[UsageReport], missing: int) -> UUID | None:
    """The job that it is about, where that is known: the only one, or the only one with what is missing."""
    about = reports if len(reports) == 1 else [report for report in reports if report.value == missing]
    return about[0].job_id if len(about) == 1 else None


# --- R4 -------------------------------------------------------------------------------------------------------


def payments(span: Span) -> Iterator[Finding]:
    yield from _paid(span)
    for kind, listed in (("refund", gateway.refunds), ("dispute", gateway.disputes)):
        for found in listed(since=span.since):
            if _at(found) <= span.until and _known(found.get("payment_intent") or "none"):
                yield from _reversed(kind, found)


def _known(payment: str) -> bool:
    topups, invoices = TopUp.objects.filter(payment=payment), Invoice.objects.filter(payment=payment)
    return topups.exists() or invoices.exists()


def _paid(span: Span) -> Iterator[Finding]:
    seen = set()
    what = "payment at Stripe, cents"
    for found in gateway.payments(since=span.since):
        booked = _booked(found) if found["status"] == "succeeded" else None
        if booked is None:
            continue
        seen.add(found["id"])
        if booked != found["amount_received"] and _at(found) <= span.until:
            yield Finding(
                what, f"payment {found['id']}", int(found["amount_received"]), booked, at=_at(found)
            )
    topups = TopUp.objects.filter(
        status=TopUpStatus.PAID, created_at__gte=span.since, created_at__lte=span.until
    )
    # An invoice may be issued a little after its payment was made.
    issued = Invoice.objects.filter(issued_at__gte=span.since + DAY, issued_at__lte=span.until)
    for rows in (topups, issued.filter(credited_micros__gt=0)):
        facts = rows.exclude(payment="").exclude(payment__in=seen)
        for payment, cents, at in facts.values_list("payment", "paid_cents", "created_at"):
            yield Finding(what, f"payment {payment}", 0, cents, at=at)


def _booked(found: gateway.Snapshot) -> int | None:
    """What the books have for a payment, in cents. None: it is another programme's."""
    if (found.get("metadata") or {}).get("topup"):
        topup = TopUp.objects.filter(payment=found["id"], status=TopUpStatus.PAID).first()
        return topup.paid_cents if topup else 0
    invoice = Invoice.objects.filter(payment=found["id"]).first()
    if invoice:
        return invoice.paid_cents if invoice.credited_micros else 0
    ours = Customer.objects.filter(number=found.get("customer") or "").exists()
    return 0 if ours else None


def _reversed(kind: str, found: gateway.Snapshot) -> Iterator[Finding]:
    expected = reversals.cents_gone(kind, found)
    row = Reversal.objects.filter(number=found["id"]).first()
    if expected != (row.cents if row else 0):
        yield Finding(
            f"{kind} at Stripe, cents",
            f"{kind} {found['id']}",
            expected,
            row.cents if row else 0,
            at=_at(found),
        )


# --- R5 -------------------------------------------------------------------------------------------------------


def invoices(span: Span) -> Iterator[Finding]:
    lines = UsageLine.objects.filter(closed_at__gte=span.since, closed_at__lte=span.until, waiting=False)
    owners = lines.values_list("organization_id", flat=True)
    for customer in Customer.objects.filter(organization_id__in=owners):
        yield from _own_lines(customer, lines.filter(organization_id=customer.organization_id), span)
    rates = {rate.price: rate for rate in RateClass.objects.all()}
    issued = Invoice.objects.filter(status__in=ISSUED, created_at__gte=span.since, created_at__lte=span.until)
    for invoice in issued:
        there = set()
        for line in gateway.invoice_lines(invoice.number):
            rate = rates.get(_price_of(line))
            if rate:
                there.add(rate.event_name)
                yield from _metered_line(invoice, rate, line["period"], int(line["amount"]))
        wanting = [rate for rate in rates.values() if rate.event_name not in there]
        found = gateway.invoice(invoice.number) if wanting else {}
        if found.get("billing_reason") == MONTHLY:
            period = {"start": found["period_start"], "end": found["period_end"]}
            for rate in wanting:
                yield from _metered_line(invoice, rate, period, 0)


def _own_lines(customer: Customer, lines: Any, span: Span) -> Iterator[Finding]:
    listed = gateway.lines_of(customer.number, since=span.since - HOUR)
    there = {(item.get("metadata") or {}).get("line"): int(item["amount"]) for item in listed}
    for line in lines:
        found = there.get(str(line.pk), 0)
        if abs(found - line.cents) > 1:
            job = line.reports.first() if line.reports.count() == 1 else None
            yield Finding(
                "line of the books, cents",
                f"line {line.pk}",
                line.cents,
                found,
                job_id=job.job_id if job else None,
                at=line.closed_at,
            )


def _price_of(line: gateway.Snapshot) -> str:
    details = (line.get("pricing") or {}).get("price_details") or {}
    return str(details.get("price") or "")


def _metered_line(
    invoice: Invoice, rate: RateClass, period: gateway.Snapshot, cents: int
) -> Iterator[Finding]:
    """What its line says of one rate, nothing where there is no line, against the use that the meter has counted."""
    start, end = (datetime.fromtimestamp(period[end], tz=UTC) for end in ("start", "end"))
    reports = UsageReport.objects.filter(
        organization_id=invoice.organization_id,
        event_name=rate.event_name,
        state=ReportState.SENT,
        created_at__gte=start,
        created_at__lt=end,
    )
    units = reports.aggregate(units=Sum("value"))["units"] or 0
    price = 1 if rate.event_name == RateClass.MICRO_EVENT else rate.micros_per_unit
    expected = units * price // MICROS_PER_CENT
    if abs(cents - expected) > 1:
        missing = (expected - cents) * MICROS_PER_CENT // price
        yield Finding(
            "metered line of an invoice, cents",
            f"invoice {invoice.number} {rate.event_name}",
            expected,
            cents,
            job_id=_job_of(list(reports.filter(value=missing)[:2] or reports[:2]), missing),
            at=invoice.created_at,
        )


# --- R7 -------------------------------------------------------------------------------------------------------


def events(span: Span) -> Iterator[Finding]:
    """Those of our kinds that Stripe gave up to deliver, and those that arrived and were given up here."""
    what = "event applied"
    done = [EventState.DONE.value, EventState.IGNORED.value]
    here = StripeEvent.objects.filter(created_at__gte=span.since, created_at__lte=span.until)
    for event in here.exclude(state__in=done):
        yield Finding(what, f"{event.kind} {event.number}", "done", event.state, at=event.created_at)
    for found in gateway.undelivered(since=span.since):
        ours = found["type"] in inbox.HANDLERS and _at(found) <= span.until
        if ours and not StripeEvent.objects.filter(number=found["id"]).exists():
            yield Finding(what, f"{found['type']} {found['id']}", "done", "never arrived", at=_at(found))
