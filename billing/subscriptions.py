"""Paying later: the subscription that carries metered prices, its invoices, and what they bring into the books."""

from __future__ import annotations

from datetime import UTC, datetime

from celery import shared_task
from django.conf import settings
from django.db import transaction
from django.urls import reverse

from accounts import audit
from accounts.models import Organization
from accounts.tenancy import Caller
from billing import customers, gateway, ledger, quotas
from billing.errors import GatewayError, GatewayRefused
from billing.gateway import MICROS_PER_CENT
from billing.gateway_models import ENDED, Customer, Invoice, RateClass

LEASE_SECONDS = 60
# Stripe's limit for one subscription.
PRICES_MAX = 20
FINAL = {"paid", "void", "uncollectible"}


def subscribe(caller: Caller) -> str:
    """The address of the page on which the organization agrees to be invoiced each month for what it used."""
    organization = caller.organization
    prices = _prices()
    if not prices:
        raise GatewayRefused(reason="no_prices", detail="run manage.py stripe_setup")
    customer = customers.ensure(organization, email=caller.user.email if caller.user else "")
    with customers.known(customer):
        known = customers.ours(customer, gateway.subscriptions_of(customer.number))
        if any(one["status"] not in ENDED for one in known):
            return open_portal(caller)  # one is enough, and there it is mended
        session = _page(customer, prices)
    with transaction.atomic():
        audit.record("subscription.start", by=caller, target=customer)
    return str(session["url"])


def _page(customer: Customer, prices: list[str]) -> gateway.Snapshot:
    """The one that is open, or a new one. Two tabs and two people get the same, which can be completed once; its key is
    made of the one before, so that asking at the same moment makes one as well.
    """
    if customer.checkout:
        known = gateway.checkout(customer.checkout)
        if known["status"] == "open":
            return known
    back = settings.PUBLIC_URL + reverse("billing")
    session = gateway.checkout_subscription(
        customer=customer.number,
        prices=prices,
        metadata={"organization": str(customer.pk)},
        return_to=back,
        cancel_to=back,
        key=f"subscribe:{customer.number}:{customer.checkout}",
    )
    Customer.objects.filter(pk=customer.pk, checkout=customer.checkout).update(checkout=session["id"])
    return session


def _prices() -> list[str]:
    """The meter of micro-dollars first: whatever has no meter of its own is counted there."""
    classes = RateClass.objects.exclude(event_name=RateClass.MICRO_EVENT).order_by("pk")
    fallback = RateClass.objects.filter(event_name=RateClass.MICRO_EVENT)
    return [*fallback.values_list("price", flat=True), *classes.values_list("price", flat=True)][:PRICES_MAX]


def open_portal(caller: Caller) -> str:
    """Stripe's page for cards, addresses and invoices."""
    customer = customers.ensure(caller.organization, email=caller.user.email if caller.user else "")
    back = settings.PUBLIC_URL + reverse("billing")
    with customers.known(customer):
        return str(gateway.open_portal(customer=customer.number, return_to=back)["url"])


def invoices(organization: Organization, number: int = 12) -> list[Invoice]:
    return list(
        Invoice.objects.for_org(organization).exclude(status="draft").order_by("-created_at")[:number]
    )


def notice(number: str) -> None:
    """Stripe has made or changed an invoice."""
    row = Invoice.objects.filter(number=number).first()
    if row is None:
        found = gateway.invoice(number)
        customer = Customer.objects.filter(number=found.get("customer") or "").first()
        if customer is None:
            return
        row, _ = Invoice.objects.get_or_create(
            number=number, defaults={"organization_id": customer.organization_id}
        )
    Invoice.objects.hint(row.pk)
    refresh(str(row.pk))


def refresh(invoice_id: str) -> None:
    row = Invoice.objects.claim(invoice_id, seconds=LEASE_SECONDS)
    if row is None:
        return
    try:
        found = gateway.invoice(row.number)
        row.payment = row.payment or _payment_of(found)
    except GatewayError as error:
        Invoice.objects.later(row, str(error))
        return
    _apply(row, found)


def _payment_of(found: gateway.Snapshot) -> str:
    """By which its money may go back one day; nothing where it was paid by no card."""
    if found["status"] != "paid" or not found["amount_paid"]:
        return ""
    made = (one["payment"].get("payment_intent") for one in gateway.payments_of_invoice(found["id"]))
    return next((payment for payment in made if payment), "")


def _apply(row: Invoice, found: gateway.Snapshot) -> None:
    """An invoice that was paid is money in: it settles what the postpaid jobs took from the balance."""
    finalized = found["status_transitions"]["finalized_at"]
    paid = found["status"] == "paid" and found["amount_paid"] > 0
    with transaction.atomic():
        won = Invoice.objects.mine(row).update(
            title=found.get("number") or "",
            status=found["status"] or "",
            total_cents=found["total"],
            payment=row.payment,
            paid_cents=found["amount_paid"],
            page=found.get("hosted_invoice_url") or "",
            pdf=found.get("invoice_pdf") or "",
            issued_at=datetime.fromtimestamp(finalized, tz=UTC) if finalized else None,
        )
        if won and paid and not row.credited_micros:
            micros = _net_cents(found) * MICROS_PER_CENT
            organization = Organization.objects.get(pk=row.organization_id)
            ledger.topup(organization, micros, reference=row.number, reason=f"Invoice {found.get('number')}")
            Invoice.objects.mine(row).update(credited_micros=micros)
        if found["status"] in FINAL:
            Invoice.objects.mine(row).update(waiting=False, lease_until=None, problem="")
        else:
            Invoice.objects.later(row, "")
    quotas.forget()


def _net_cents(found: gateway.Snapshot) -> int:
    """What was paid without the tax on it."""
    net = found.get("total_excluding_tax")
    return int(found["amount_paid"] if net is None else min(net, found["amount_paid"]))


@shared_task(name="billing.refresh_invoice")
def refresh_invoice(invoice_id: str) -> None:
    refresh(invoice_id)
