"""What Stripe tells: each event is verified, stored once, answered, and only then looked into.

An event is a hint. Its kind and the id of its subject say which of our rows to look at again; what is true is read
from Stripe at that moment. So neither order nor repetition can matter, and a lost event only costs time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NoReturn

from celery import shared_task
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.functions import Now

from billing import customers, gateway, outbox, reversals, subscriptions, topups
from billing.errors import GatewayBusy, GatewayError, GatewayRefused
from billing.gateway_models import (
    Customer,
    EventState,
    Invoice,
    ReversalKind,
    StripeEvent,
    TopUp,
    TopUpStatus,
)
from billing.wake import wake

log = logging.getLogger(__name__)

LEASE_SECONDS = 60
TRIES = 30

THIN_KINDS = ("v1.billing.meter.error_report_triggered", "v1.billing.meter.no_meter_found")

Handler = Callable[[StripeEvent], None]


def receive(body: bytes, signature: str) -> bool:
    """Stores the event, once. False: it is not from Stripe, or too old to be believed."""
    event = gateway.verified(body, signature)
    if event is None:
        return False
    subject = event.get("related_object") or event.get("data", {}).get("object") or {}
    row = StripeEvent(
        number=event["id"], kind=event["type"][:80], subject=str(subject.get("id", ""))[:120], body=event
    )
    with transaction.atomic():
        StripeEvent.objects.bulk_create([row], ignore_conflicts=True)
        wake("billing.apply_event", str(StripeEvent.objects.get(number=row.number).pk))
    return True


def apply(event_id: str) -> None:
    """Acts on an event, if it waits and nobody else is at it."""
    event = StripeEvent.objects.claim(event_id, seconds=LEASE_SECONDS)
    if event is None:
        return
    handler = HANDLERS.get(event.kind)
    if handler is None:
        _finish(event, EventState.IGNORED)
        return
    try:
        handler(event)
    except GatewayRefused as error:
        gone = error.reason == GatewayRefused.MISSING
        _finish(event, EventState.IGNORED if gone else EventState.FAILED, str(error))
    except GatewayError as error:
        _again(event, str(error))
    except Exception:
        log.exception("event %s could not be applied", event.number)
        _again(event, "It could not be applied; the log says why.")
    else:
        _finish(event, EventState.DONE)


def _again(event: StripeEvent, problem: str) -> None:
    """Later, but not for ever: then an operator must look."""
    if event.tries >= TRIES:
        _finish(event, EventState.FAILED, problem)
    else:
        StripeEvent.objects.later(event, problem)


def retry(event: StripeEvent) -> None:
    """The operator's button: another look, from the start."""
    StripeEvent.objects.filter(pk=event.pk).update(state=EventState.WAITING, tries=0)
    StripeEvent.objects.hint(event.pk)
    wake("billing.apply_event", str(event.pk))


def _finish(event: StripeEvent, state: EventState, problem: str = "") -> None:
    StripeEvent.objects.mine(event).update(
        state=state, waiting=False, lease_until=None, done_at=Now(), problem=problem[:300]
    )


# --- what each kind of event is about -------------------------------------------------------------------------


def _checkout(event: StripeEvent) -> None:
    session = gateway.checkout(event.subject)
    organization = _ours(session)
    if organization is None:
        return
    if session["mode"] == "payment":
        _topup(session["metadata"].get("topup", ""), checkout=session["id"])
    elif session["mode"] == "setup" and session["status"] == "complete":
        saved = gateway.setup(session["setup_intent"])
        customers.keep_card(organization, saved["payment_method"])
    elif session["mode"] == "subscription" and session["subscription"]:
        _look_at_customer(number=session["customer"])


def _payment(event: StripeEvent) -> None:
    payment = gateway.payment(event.subject)
    _topup((payment.get("metadata") or {}).get("topup", ""), payment=payment["id"])


def _charge(event: StripeEvent) -> None:
    charge = gateway.charge(event.subject)
    _topup((charge.get("metadata") or {}).get("topup", ""), payment=charge.get("payment_intent") or "")


def _refunded(event: StripeEvent) -> None:
    """Of a charge: each of its refunds."""
    _charge(event)
    payment = gateway.charge(event.subject).get("payment_intent")
    for refund in gateway.refunds_of(payment) if payment else ():
        _reversal(ReversalKind.REFUND, refund)


def _refund(event: StripeEvent) -> None:
    _reversal(ReversalKind.REFUND, gateway.refund(event.subject))


def _dispute(event: StripeEvent) -> None:
    _reversal(ReversalKind.DISPUTE, gateway.dispute(event.subject))


def _reversal(kind: ReversalKind, found: gateway.Snapshot) -> None:
    payment = found.get("payment_intent")
    source = (_credited(payment) or _credited_now(payment)) if payment else None
    if source:
        reversals.notice(source, kind, found)


def _credited(payment: str) -> TopUp | Invoice | None:
    topup = TopUp.objects.filter(payment=payment, status=TopUpStatus.PAID).first()
    return topup or Invoice.objects.filter(payment=payment, credited_micros__gt=0).first()


def _credited_now(payment: str) -> TopUp | Invoice | None:
    """What was paid may not have been heard of yet: first the credit, then what takes it back."""
    mark = (gateway.payment(payment).get("metadata") or {}).get("topup", "")
    if topup := _named(mark):
        _topup(mark, payment=payment)
        topup.refresh_from_db()
        return topup if topup.status == TopUpStatus.PAID else _not_yet()
    for number in gateway.invoices_paid_by(payment):
        subscriptions.notice(number)
        if invoice := Invoice.objects.filter(number=number).first():
            return invoice if invoice.credited_micros and invoice.paid_cents else _not_yet()
    return None


def _not_yet() -> NoReturn:
    """It is ours, and whoever looks at it has not credited it yet: the event waits."""
    raise GatewayBusy


def _customer(event: StripeEvent) -> None:
    _look_at_customer(number=event.subject)


def _card(event: StripeEvent) -> None:
    _look_at_customer(card=event.subject)


def _subscription(event: StripeEvent) -> None:
    _look_at_customer(number=gateway.subscription(event.subject)["customer"])


def _invoice(event: StripeEvent) -> None:
    subscriptions.notice(event.subject)


def _meter_errors(event: StripeEvent) -> None:
    """Meters count later than they answer; what they could not count comes back like this."""
    told = gateway.thin_event(event.number).get("data") or {}
    log.error("Stripe could not count use: %s", told.get("developer_message_summary", ""))
    for error in (told.get("reason") or {}).get("error_types", ()):
        for sample in error.get("sample_errors", ()):
            outbox.refused((sample.get("request") or {}).get("identifier", ""), str(error.get("code", "")))


def _look_at_customer(**which: str) -> None:
    for pk in Customer.objects.filter(**which).values_list("pk", flat=True):
        Customer.objects.hint(pk)
        customers.refresh(str(pk))


def _topup(number: str, *, checkout: str = "", payment: str = "") -> None:
    """The row that made this payment, whether or not it ever learned the payment's name."""
    found = _named(number)
    if found is None:
        return
    if checkout and not found.checkout:
        TopUp.objects.filter(pk=found.pk, checkout="").update(checkout=checkout)
    if payment and not found.payment and not found.checkout:
        TopUp.objects.filter(pk=found.pk, payment="").update(payment=payment)
    topups.look_again(found)


def _named(number: str) -> TopUp | None:
    try:
        return TopUp.objects.filter(pk=number).first()
    except ValidationError:  # metadata is anybody's text
        return None


def _ours(subject: gateway.Snapshot) -> Any:
    """The organization whose customer the subject names; None for what another programme does in the account."""
    number = subject.get("customer") or ""
    return Customer.objects.filter(number=number).values_list("organization_id", flat=True).first()


def _handlers() -> dict[str, Handler]:
    groups: dict[Handler, tuple[str, ...]] = {
        _checkout: (
            "checkout.session.completed",
            "checkout.session.async_payment_succeeded",
            "checkout.session.async_payment_failed",
            "checkout.session.expired",
        ),
        _payment: (
            "payment_intent.created",
            "payment_intent.processing",
            "payment_intent.succeeded",
            "payment_intent.payment_failed",
            "payment_intent.requires_action",
            "payment_intent.canceled",
        ),
        _charge: ("charge.pending", "charge.succeeded", "charge.failed", "charge.expired", "charge.updated"),
        _refunded: ("charge.refunded",),
        _refund: ("refund.created", "refund.updated", "refund.failed", "charge.refund.updated"),
        _dispute: (
            "charge.dispute.created",
            "charge.dispute.updated",
            "charge.dispute.closed",
            "charge.dispute.funds_withdrawn",
            "charge.dispute.funds_reinstated",
        ),
        _customer: ("customer.updated", "customer.deleted"),
        _card: (
            "payment_method.attached",
            "payment_method.detached",
            "payment_method.updated",
            "payment_method.automatically_updated",
        ),
        _subscription: (
            "customer.subscription.created",
            "customer.subscription.updated",
            "customer.subscription.deleted",
            "customer.subscription.paused",
            "customer.subscription.resumed",
            "customer.subscription.trial_will_end",
        ),
        _invoice: (
            "invoice.created",
            "invoice.finalized",
            "invoice.updated",
            "invoice.sent",
            "invoice.paid",
            "invoice.payment_succeeded",
            "invoice.payment_failed",
            "invoice.payment_action_required",
            "invoice.overdue",
            "invoice.voided",
            "invoice.marked_uncollectible",
        ),
        _meter_errors: THIN_KINDS,
    }
    return {kind: handler for handler, kinds in groups.items() for kind in kinds}


HANDLERS = _handlers()


@shared_task(name="billing.apply_event")
def apply_event(event_id: str) -> None:
    apply(event_id)
