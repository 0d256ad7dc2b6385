"""Organizations as Stripe's customers: made when first needed, and looked at again when Stripe says they changed."""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from uuid import UUID

from celery import shared_task
from django.conf import settings
from django.db.models import F
from django.urls import reverse

from accounts.models import Organization
from accounts.tenancy import Caller
from billing import gateway
from billing.errors import GatewayError, GatewayRefused
from billing.gateway_models import PAYING, Customer, RateClass

log = logging.getLogger(__name__)

LEASE_SECONDS = 60
# Whoever is reading the row's state from Stripe at this moment may have read what was before, and writes nothing.
NOT_MINE_ANY_MORE = {"fence": F("fence") + 1, "lease_until": None}
NO_SUBSCRIPTION: dict[str, object] = {"subscription": "", "subscription_status": "", "subscribed": []}
# Deleted at Stripe, which cancels and detaches all it had.
FORGOTTEN: dict[str, object] = {**NO_SUBSCRIPTION, "deleted": True, "card": "", "card_text": ""}


def ensure(organization: Organization, *, email: str = "") -> Customer:
    """The organization's customer at Stripe. Two first users send the same key and get the same one."""
    row = Customer.objects.for_org(organization).first()
    if row and not row.deleted:
        return row
    facts = hashlib.sha256(f"{organization.name}\n{email}".encode()).hexdigest()[:16]
    # Under the first one's key Stripe would answer with the one that was deleted.
    after = f":{row.number}" if row else ""
    made = gateway.create_customer(
        name=organization.name,
        email=email,
        organization=str(organization.pk),
        key=f"customer:{organization.pk}:{facts}{after}",
    )
    if row:
        gone = Customer.objects.filter(pk=row.pk, number=row.number, deleted=True)
        gone.update(number=made["id"], deleted=False, **NOT_MINE_ANY_MORE)
    else:
        first = Customer(organization=organization, number=made["id"], waiting=False)
        Customer.objects.bulk_create([first], ignore_conflicts=True)
    return Customer.objects.get(organization=organization)


@contextmanager
def known(customer: Customer) -> Iterator[None]:
    """Around a request that names the customer. Where Stripe does not find what it names, the customer may have been
    deleted without our hearing of it: that is looked into, and the next request makes another one.
    """
    try:
        yield
    except GatewayRefused as refusal:
        if refusal.reason == GatewayRefused.MISSING:
            Customer.objects.hint(customer.pk)
            refresh(str(customer.pk))
        raise


def card_page(caller: Caller) -> str:
    """The address of a page on which a card is saved for automatic top-ups; nothing is paid there."""
    customer = ensure(caller.organization, email=caller.user.email if caller.user else "")
    back = settings.PUBLIC_URL + reverse("billing")
    with known(customer):
        session = gateway.checkout_card(
            customer=customer.number,
            metadata={"organization": str(caller.organization.pk)},
            return_to=back,
            cancel_to=back,
            key=f"card:{uuid.uuid4()}",
        )
    return str(session["url"])


def keep_card(organization_id: UUID, card: str) -> None:
    """The card for payments while nobody is there: of those saved for it the newest that is still there. Whoever says
    late, or once more, that an older one was saved changes nothing.
    """
    shown = gateway.card(card)
    row = Customer.objects.filter(organization_id=organization_id, number=shown["customer"] or "").first()
    if row is None or _has_newer(row, shown):
        return
    same = Customer.objects.filter(pk=row.pk, number=row.number, card=row.card)
    if not same.update(card=card, card_text=_card_text(shown), **NOT_MINE_ANY_MORE):
        keep_card(organization_id, card)  # another one was kept meanwhile


def _has_newer(customer: Customer, shown: gateway.Snapshot) -> bool:
    if customer.card in ("", shown["id"]):
        return False
    kept = gateway.card(customer.card)
    return bool(kept["customer"] == customer.number and kept["created"] > shown["created"])


def refresh(organization_id: str) -> None:
    """Reads card and subscription from Stripe, if somebody said they may have changed."""
    customer = Customer.objects.claim(organization_id, seconds=LEASE_SECONDS)
    if customer is None:
        return
    try:
        deleted = gateway.customer(customer.number).get("deleted")
        fields = FORGOTTEN if deleted else _card_now(customer) | _subscription_now(customer)
    except GatewayError as error:
        Customer.objects.later(customer, str(error))
        return
    done = {"waiting": False, "lease_until": None, "tries": 0, "problem": ""}
    Customer.objects.mine(customer).update(**done | fields)


def _card_now(customer: Customer) -> dict[str, object]:
    """A card that was taken off is not charged again."""
    if not customer.card:
        return {}
    shown = gateway.card(customer.card)
    there = shown["customer"] == customer.number
    return {"card_text": _card_text(shown)} if there else {"card": "", "card_text": ""}


def _subscription_now(customer: Customer) -> dict[str, object]:
    """Of all at Stripe the one that bills, and of those the newest; what was heard of last does not matter."""
    found = list(gateway.subscriptions_of(customer.number))
    if not found:
        return NO_SUBSCRIPTION
    own = [one["id"] for one in ours(customer, found)]
    paying = [one["id"] for one in found if one["status"] in PAYING]
    chosen = max(found, key=lambda one: (one["id"] in paying, one["id"] in own, one["created"]))
    billing = sorted(set(paying) & set(own))
    problem = ""
    if len(billing) > 1:
        problem = f"Billed more than once: cancel all but one of {', '.join(billing)} at Stripe."
        log.error("organization %s: %s", customer.pk, problem)
    return {
        "subscription": chosen["id"],
        "subscription_status": chosen["status"],
        "subscribed": [item["price"]["id"] for item in chosen["items"]["data"]],
        "problem": problem[:300],
    }


def ours(customer: Customer, subscriptions: Iterable[gateway.Snapshot]) -> list[gateway.Snapshot]:
    """Those that were agreed to on our page, or that carry one of our prices."""
    prices = set(RateClass.objects.values_list("price", flat=True))
    mark = str(customer.pk)
    return [
        one
        for one in subscriptions
        if (one.get("metadata") or {}).get("organization") == mark
        or any(item["price"]["id"] in prices for item in one["items"]["data"])
    ]


def _card_text(shown: gateway.Snapshot) -> str:
    card = shown.get("card") or {}
    return f"{card.get('brand', shown['type'])} …{card.get('last4', '')}".strip(" …")


@shared_task(name="billing.refresh_customer")
def refresh_customer(organization_id: str) -> None:
    refresh(organization_id)
