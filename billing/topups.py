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
from accounts.models import Organization
from accounts.tenancy import Caller
from billing import customers, gateway, ledger, quotas
from billing.errors import GatewayError, TopUpAmount
from billing.gateway import MICROS_PER_CENT
from billing.gateway_models import UNPAID, TopUp, TopUpStatus
from billing.money import format_usd, parse_usd

log = logging.getLogger(__name__)

LEASE_SECONDS = 60
# The webhook comes within seconds; this is for the day it does not.
FIRST_LOOK = timedelta(minutes=10)
LABEL = "Voicereel credit"
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
    customer = customers.ensure(topup.organization)
    back = settings.PUBLIC_URL + reverse("topup_return", args=[topup.pk])
    session = gateway.checkout_payment(
        customer=customer.number,
        cents=topup.amount_micros // MICROS_PER_CENT,
        label=LABEL,
        metadata={"organization": str(topup.organization_id), "topup": str(topup.pk)},
        save_card=save_card,
        return_to=back,
        cancel_to=back,
        key=f"topup:{topup.pk}",
    )
    TopUp.objects.filter(pk=topup.pk, status=TopUpStatus.CREATED).update(
        status=TopUpStatus.OPEN, checkout=session["id"]
    )
    return str(session["url"])


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
        else:
            # Its page was never opened, so nobody can pay it.
            _over(topup, TopUpStatus.FAILED, "The payment page could not be opened.")
    except GatewayError as error:
        TopUp.objects.later(topup, str(error))


def _by_checkout(topup: TopUp) -> None:
    session = gateway.checkout(topup.checkout)
    if session["status"] == "expired":
        _over(topup, TopUpStatus.EXPIRED, "")
    elif session["status"] == "open" or not session.get("payment_intent"):
        TopUp.objects.later(topup, "")
    else:
        paid = gateway.payment(session["payment_intent"])
        tax = session["total_details"]["amount_tax"]
        by_payment(topup, paid, tax_cents=tax)
        if paid["status"] == "succeeded" and paid.get("setup_future_usage"):
            customers.keep_card(topup.organization_id, paid["payment_method"])


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
        TopUp.objects.mine(topup).filter(status__in=UNPAID).update(status=status, problem=problem)
        _done(topup)


def _done(topup: TopUp) -> None:
    TopUp.objects.mine(topup).update(waiting=False, lease_until=None)


def newest(organization: Organization, number: int = 10) -> list[TopUp]:
    return list(TopUp.objects.for_org(organization).order_by("-created_at")[:number])


@shared_task(name="billing.refresh_topup")
def refresh_topup(topup_id: str) -> None:
    refresh(topup_id)
