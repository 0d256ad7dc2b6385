"""Buying credit through Stripe's checkout.

Who says that it was paid does not matter: a webhook, the customer's way back, or the sweeper. Each only asks to look
again; the payment is read from Stripe, and the credit is posted in the transaction that marks the row paid.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.urls import reverse

from accounts import audit
from accounts.letters import compose
from accounts.models import Member, Organization
from accounts.scopes import ROLE_SCOPES
from accounts.tenancy import Caller
from billing import customers, gateway, ledger, quotas
from billing.errors import GatewayError, GatewayRefused, PaymentDeclined, TopUpAmount
from billing.gateway import MICROS_PER_CENT
from billing.gateway_models import UNPAID, AutoTopUp, Customer, TopUp, TopUpStatus
from billing.money import format_usd, parse_usd
from billing.wake import wake

log = logging.getLogger(__name__)

LEASE_SECONDS = 60
# The webhook comes within seconds; this is for the day it does not.
FIRST_LOOK = timedelta(minutes=10)
LABEL = "Voicereel credit"
TRIES = 20
PAYMENT_OVER = {"canceled", "requires_payment_method"}


def start(caller: Caller, amount_micros: int, *, save_card: bool = False) -> str:
    """The address of the page on which the credit is paid. With `save_card` the card stays for later top-ups."""
    check_amount(amount_micros)
    organization, user = caller.organization, caller.user
    customers.ensure(organization, email=user.email if user else "")
    with transaction.atomic():
        topup = TopUp.objects.create(
            organization=organization,
            created_by=user,
            amount_micros=amount_micros,
            due_at=Now() + FIRST_LOOK,
        )
        audit.record("topup.start", by=caller, target=topup, after={"usd": format_usd(amount_micros)})
    return offer(topup, save_card=save_card)


def check_amount(amount_micros: int) -> None:
    least, most = parse_usd(settings.TOPUP_MIN_USD), parse_usd(settings.TOPUP_MAX_USD)
    if not least <= amount_micros <= most or amount_micros % MICROS_PER_CENT:
        raise TopUpAmount(least_micros=least, most_micros=most)


def offer(topup: TopUp, *, save_card: bool) -> str:
    """Opens the checkout page of a top-up that has none yet."""
    session = _session(topup, save_card=save_card)
    _opened(topup, session)
    return str(session["url"])


def _session(topup: TopUp, *, save_card: bool) -> gateway.Snapshot:
    customer = customers.ensure(topup.organization)
    back = settings.PUBLIC_URL + reverse("topup_return", args=[topup.pk])
    with customers.known(customer):
        return gateway.checkout_payment(
            customer=customer.number,
            cents=topup.amount_micros // MICROS_PER_CENT,
            label=LABEL,
            metadata={"organization": str(topup.organization_id), "topup": str(topup.pk)},
            save_card=save_card,
            return_to=back,
            cancel_to=back,
            key=f"topup:{topup.pk}:{customer.number}",
        )


def _opened(topup: TopUp, session: gateway.Snapshot) -> None:
    TopUp.objects.filter(pk=topup.pk, status=TopUpStatus.CREATED).update(
        status=TopUpStatus.OPEN, checkout=session["id"]
    )


def look_again(topup: TopUp) -> None:
    """Somebody says that something happened to this payment."""
    if topup.status != TopUpStatus.PAID:
        TopUp.objects.hint(topup.pk)
        refresh(str(topup.pk))


def refresh(topup_id: str) -> None:
    """Reads the payment from Stripe, if it is due and nobody else is at it."""
    topup = TopUp.objects.claim(topup_id, seconds=LEASE_SECONDS)
    if topup is None:
        return
    try:
        if topup.checkout:
            _by_checkout(topup)
        elif topup.payment:
            by_payment(topup, gateway.payment(topup.payment))
        elif topup.automatic:
            _by_card(topup)
        elif topup.mailed:
            _open_by_mail(topup)
        else:
            # Its page was never opened, so nobody can pay it.
            _over(topup, TopUpStatus.FAILED, "The payment page could not be opened.")
    except GatewayError as error:
        TopUp.objects.later(topup, str(error))


def _by_checkout(topup: TopUp) -> None:
    session = gateway.checkout(topup.checkout)
    if session["status"] == "expired":
        _over(topup, TopUpStatus.EXPIRED, "")
    elif session["status"] == "open" and topup.mailed and topup.status == TopUpStatus.CREATED:
        _mail(topup, session)
    elif session["status"] == "open" or not session.get("payment_intent"):
        TopUp.objects.later(topup, "")
    else:
        paid = gateway.payment(session["payment_intent"])
        tax = session["total_details"]["amount_tax"]
        by_payment(topup, paid, tax_cents=tax)
        if paid["status"] == "succeeded" and paid.get("setup_future_usage"):
            customers.keep_card(topup.organization_id, paid["payment_method"])


def _by_card(topup: TopUp) -> None:
    """Charges the saved card, once. Whoever had the row before may have died after it was charged: that is looked for."""
    customer = Customer.objects.filter(organization_id=topup.organization_id).first()
    try:
        known = _charged_before(topup, customer) if customer and topup.fence > 1 else None
        payment = known or _charge(topup, customer)
    except PaymentDeclined as declined:
        TopUp.objects.mine(topup).update(payment=declined.payment)
        _over(topup, TopUpStatus.FAILED, declined.message)
    except GatewayRefused as refusal:
        log.exception("the card of %s cannot be charged", topup.organization_id)
        _over(topup, TopUpStatus.FAILED, str(refusal))
    except GatewayError as error:
        if topup.tries < TRIES or not error.unknown:
            raise
        # Its mark was looked for in vain many times. Should it turn up after all, it is credited.
        _over(topup, TopUpStatus.FAILED, error.message)
    else:
        if payment:
            by_payment(topup, payment)


def _charge(topup: TopUp, customer: Customer | None) -> gateway.Snapshot | None:
    """Only while the organization still wants it, which it may have taken back since the row was made. Without a charge
    the row is over.
    """
    agreed = AutoTopUp.objects.in_force().filter(pk=topup.organization_id).exists()
    if topup.status not in UNPAID or not agreed or settings.STRIPE_TAX:
        _over(topup, TopUpStatus.EXPIRED, "Automatic top-up ended before the card was charged.")
    elif customer is None or not customer.card:
        _over(topup, TopUpStatus.FAILED, "There is no saved card.")
    else:
        return gateway.charge_card(
            customer=customer.number,
            card=customer.card,
            cents=topup.amount_micros // MICROS_PER_CENT,
            label=LABEL,
            metadata={"organization": str(topup.organization_id), "topup": str(topup.pk)},
            key=f"topup:{topup.pk}",
        )
    return None


def _charged_before(topup: TopUp, customer: Customer) -> gateway.Snapshot | None:
    since = topup.created_at - timedelta(hours=1)
    for payment in gateway.payments_of(customer.number, since=since):
        if (payment.get("metadata") or {}).get("topup") == str(topup.pk):
            return payment
    return None


def _open_by_mail(topup: TopUp) -> None:
    """The page (the same however often) is written down before anybody can pay on it."""
    session = _session(topup, save_card=True)
    if TopUp.objects.mine(topup).update(checkout=session["id"]):
        _mail(topup, session)


def _mail(topup: TopUp, session: gateway.Snapshot) -> None:
    """First the mail, then the note that it is out."""
    context = {
        "organization": topup.organization,
        "usd": topup.usd,
        "pay": session["url"],
        "page": settings.PUBLIC_URL + reverse("billing"),
    }
    people = [
        member.user.email
        for member in Member.objects.for_org(topup.organization).select_related("user")
        if "billing:write" in ROLE_SCOPES[member.role]
    ]
    try:
        compose("Your top-up needs you", "billing/email/payment_failed", context, people).send()
    except OSError:  # every SMTP error is one
        log.warning("top-up %s could not be mailed", topup.pk, exc_info=True)
        TopUp.objects.later(topup, "The mail could not be sent.")
        return
    TopUp.objects.mine(topup).update(status=TopUpStatus.OPEN)
    TopUp.objects.later(topup, "")


def by_payment(topup: TopUp, payment: gateway.Snapshot, *, tax_cents: int = 0) -> None:
    """Brings a claimed row to what the payment is now."""
    TopUp.objects.mine(topup).update(payment=payment["id"])
    if payment["status"] == "succeeded":
        _credit(topup, payment, tax_cents)
    elif payment["status"] in PAYMENT_OVER:
        _over(topup, TopUpStatus.FAILED, "The bank declined the payment.")
    else:
        TopUp.objects.mine(topup).update(status=TopUpStatus.PROCESSING)
        TopUp.objects.later(topup, "")


def _credit(topup: TopUp, payment: gateway.Snapshot, tax_cents: int) -> None:
    paid = int(payment["amount_received"])
    credit = (paid - tax_cents) * MICROS_PER_CENT
    if credit != topup.amount_micros:
        log.error("top-up %s was asked for %d micros, paid are %d", topup.pk, topup.amount_micros, credit)
    with transaction.atomic():
        unpaid = TopUp.objects.mine(topup).exclude(status=TopUpStatus.PAID)
        if unpaid.update(
            status=TopUpStatus.PAID, paid_cents=paid, credited_micros=credit, paid_at=Now(), problem=""
        ):
            reason = "Automatic top-up" if topup.automatic else "Top-up"
            ledger.topup(topup.organization, credit, reference=payment["id"], reason=reason)
        _done(topup)
    quotas.forget()  # money paid in may have raised the tier


def _over(topup: TopUp, status: TopUpStatus, problem: str) -> None:
    with transaction.atomic():
        unpaid = TopUp.objects.mine(topup).filter(status__in=UNPAID)
        changed = unpaid.update(status=status, problem=problem[:300])
        if changed and topup.automatic and status == TopUpStatus.FAILED:
            again = TopUp.objects.create(
                organization_id=topup.organization_id, amount_micros=topup.amount_micros, mailed=True
            )
            wake("billing.refresh_topup", str(again.pk))
        _done(topup)


def _done(topup: TopUp) -> None:
    TopUp.objects.mine(topup).update(waiting=False, lease_until=None)


def newest(organization: Organization, number: int = 10) -> list[TopUp]:
    return list(TopUp.objects.for_org(organization).order_by("-created_at")[:number])


@shared_task(name="billing.refresh_topup")
def refresh_topup(topup_id: str) -> None:
    refresh(topup_id)
