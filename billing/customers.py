"""Organizations as Stripe's customers: made when first needed, and looked at again when Stripe says they changed."""

from __future__ import annotations

import hashlib
import uuid
from uuid import UUID

from celery import shared_task
from django.conf import settings
from django.urls import reverse

from accounts.models import Organization
from accounts.tenancy import Caller
from billing import gateway
from billing.errors import GatewayError
from billing.gateway_models import Customer

LEASE_SECONDS = 60


def ensure(organization: Organization, *, email: str = "") -> Customer:
    """The organization's customer at Stripe. Two first users send the same key and get the same one."""
    known = Customer.objects.for_org(organization).first()
    if known:
        return known
    facts = hashlib.sha256(f"{organization.name}\n{email}".encode()).hexdigest()[:16]
    made = gateway.create_customer(
        name=organization.name,
        email=email,
        organization=str(organization.pk),
        key=f"customer:{organization.pk}:{facts}",
    )
    row = Customer(organization=organization, number=made["id"], waiting=False)
    Customer.objects.bulk_create([row], ignore_conflicts=True)
    return Customer.objects.get(organization=organization)


def card_page(caller: Caller) -> str:
    """The address of a page on which a card is saved for automatic top-ups; nothing is paid there."""
    customer = ensure(caller.organization, email=caller.user.email if caller.user else "")
    back = settings.PUBLIC_URL + reverse("billing")
    session = gateway.checkout_card(
        customer=customer.number,
        metadata={"organization": str(caller.organization.pk)},
        return_to=back,
        cancel_to=back,
        key=f"card:{uuid.uuid4()}",
    )
    return str(session["url"])


def keep_card(organization_id: UUID, card: str) -> None:
    """The card for payments while nobody is there: the one that was saved last."""
    shown = gateway.card(card)
    if shown["customer"]:
        text = _card_text(shown)
        Customer.objects.filter(organization_id=organization_id, number=shown["customer"]).update(
            card=card, card_text=text
        )


def keep_subscription(organization_id: UUID, subscription: str) -> None:
    Customer.objects.filter(organization_id=organization_id).update(subscription=subscription)
    Customer.objects.hint(organization_id)


def refresh(organization_id: str) -> None:
    """Reads card and subscription from Stripe, if somebody said they may have changed."""
    customer = Customer.objects.claim(organization_id, seconds=LEASE_SECONDS)
    if customer is None:
        return
    try:
        fields = _card_now(customer) | _subscription_now(customer)
    except GatewayError as error:
        Customer.objects.later(customer, str(error))
        return
    Customer.objects.mine(customer).update(waiting=False, lease_until=None, tries=0, problem="", **fields)


def _card_now(customer: Customer) -> dict[str, str]:
    """A card that was taken off, or whose customer was deleted, is not charged again."""
    gone = {"card": "", "card_text": ""}
    if not customer.card:
        return {}
    if gateway.customer(customer.number).get("deleted"):
        return gone
    shown = gateway.card(customer.card)
    return {"card_text": _card_text(shown)} if shown["customer"] == customer.number else gone


def _subscription_now(customer: Customer) -> dict[str, object]:
    if not customer.subscription:
        return {}
    found = gateway.subscription(customer.subscription)
    prices = [item["price"]["id"] for item in found["items"]["data"]]
    return {"subscription_status": found["status"], "subscribed": prices}


def _card_text(shown: gateway.Snapshot) -> str:
    card = shown.get("card") or {}
    return f"{card.get('brand', shown['type'])} …{card.get('last4', '')}".strip(" …")


@shared_task(name="billing.refresh_customer")
def refresh_customer(organization_id: str) -> None:
    refresh(organization_id)
