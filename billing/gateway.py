"""The only door to Stripe: one function for each thing asked of it, plain dictionaries back, our own errors. What
`stripe_setup` asks for is in gateway_account.

Never called inside a transaction. Whatever creates something takes the idempotency key its caller keeps, so that
asking again cannot do it twice. Amounts are cents here and nowhere else.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any, cast

import stripe
from django.conf import settings
from django.db import transaction

from billing.errors import (
    AuthenticationNeeded,
    GatewayAway,
    GatewayBusy,
    GatewayDenied,
    GatewayOff,
    GatewayRefused,
    PaymentDeclined,
)
from billing.money import MICROS

log = logging.getLogger(__name__)

# Upgraded together with the SDK and with the webhook endpoints' own version.
API_VERSION = "2026-10-28.endive"
MICROS_PER_CENT = MICROS // 100
SERVER_ERROR = 500
CONFLICT = 409
CURRENCY = "usd"

# What Stripe knows of a thing, at the moment it was asked.
Snapshot = dict[str, Any]
Ask = Callable[[stripe.StripeClient], Any]


def configured() -> bool:
    return bool(settings.STRIPE_SECRET_KEY)


@cache
def _client(key: str, url: str, timeout: int, retries: int) -> stripe.StripeClient:
    bases = dict.fromkeys(("api", "connect", "files", "meter_events"), url) if url else {}
    return stripe.StripeClient(
        key,
        stripe_version=API_VERSION,
        base_addresses=cast(Any, bases),
        max_network_retries=retries,
        http_client=stripe.RequestsClient(timeout=timeout),
    )


def client() -> stripe.StripeClient:
    if not configured():
        raise GatewayOff
    return _client(
        settings.STRIPE_SECRET_KEY,
        settings.STRIPE_API_URL,
        settings.STRIPE_TIMEOUT_SECONDS,
        settings.STRIPE_RETRIES,
    )


def ask(question: Ask) -> Snapshot:
    return cast(Snapshot, _raw(question).to_dict())


def every(question: Ask) -> Iterator[Snapshot]:
    """Every page of a list. The next one is asked for by the step that needs it."""
    found = _raw(question).auto_paging_iter()
    while (one := _raw(lambda _client: next(found, None))) is not None:
        yield one.to_dict()


def _raw(question: Ask) -> Any:
    with transaction.atomic(durable=True):
        pass  # raises where the caller has a transaction open: nobody waits for Stripe with rows locked
    try:
        return question(client())
    except stripe.CardError as error:
        raise _declined(error) from None
    except stripe.RateLimitError:
        raise GatewayBusy from None
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        log.error("Stripe does not take our key: %s", error.user_message)  # noqa: TRY400  its trace says no more
        raise GatewayDenied from None
    except stripe.APIConnectionError:
        log.warning("Stripe does not answer")
        raise GatewayAway from None
    except stripe.StripeError as error:
        raise _failed(error) from None


def _declined(error: stripe.CardError) -> PaymentDeclined:
    payment = error.error.payment_intent.id if error.error and error.error.payment_intent else ""
    if error.code == "authentication_required":
        return AuthenticationNeeded(payment=payment)
    told = error.error.decline_code if error.error else None
    return PaymentDeclined(reason=str(told or error.code or ""), payment=payment)


def _failed(error: stripe.StripeError) -> GatewayAway | GatewayBusy | GatewayRefused:
    status = error.http_status or SERVER_ERROR
    if status == CONFLICT:
        return GatewayBusy()
    if status >= SERVER_ERROR:
        log.warning("Stripe answered %s to request %s", status, error.request_id)
        return GatewayAway()
    log.warning("Stripe refused request %s: %s", error.request_id, error.user_message)
    return GatewayRefused(reason=error.code or type(error).__name__, detail=error.user_message or "")


# --- customers and their cards --------------------------------------------------------------------------------


def create_customer(*, name: str, email: str, organization: str, key: str) -> Snapshot:
    params: Any = {"name": name, "metadata": {"organization": organization}}
    if email:
        params["email"] = email
    return ask(lambda c: c.v1.customers.create(params, {"idempotency_key": key}))


def customer(number: str) -> Snapshot:
    """A deleted one comes back with deleted=True."""
    return ask(lambda c: c.v1.customers.retrieve(number))


def setup(number: str) -> Snapshot:
    return ask(lambda c: c.v1.setup_intents.retrieve(number))


def card(number: str) -> Snapshot:
    return ask(lambda c: c.v1.payment_methods.retrieve(number))


# --- checkout -------------------------------------------------------------------------------------------------


def checkout_payment(
    *,
    customer: str,
    cents: int,
    label: str,
    metadata: dict[str, str],
    save_card: bool,
    return_to: str,
    cancel_to: str,
    key: str,
) -> Snapshot:
    """A page of Stripe's on which one payment is made; `save_card` keeps the card for payments without the person."""
    payment: dict[str, Any] = {"metadata": metadata, "description": label}
    if save_card:
        payment["setup_future_usage"] = "off_session"
    price = {
        "currency": CURRENCY,
        "unit_amount": cents,
        "product_data": {"name": label},
        "tax_behavior": "exclusive",
    }
    params: Any = {
        "mode": "payment",
        "line_items": [{"quantity": 1, "price_data": price}],
        "payment_intent_data": payment,
        **_page(customer, metadata, return_to, cancel_to),
    }
    return ask(lambda c: c.v1.checkout.sessions.create(params, {"idempotency_key": key}))


def checkout_card(
    *, customer: str, metadata: dict[str, str], return_to: str, cancel_to: str, key: str
) -> Snapshot:
    """A page on which a card is saved and nothing is paid."""
    params: Any = {
        "mode": "setup",
        "currency": CURRENCY,
        "setup_intent_data": {"metadata": metadata},
        **_page(customer, metadata, return_to, cancel_to),
    }
    del params["automatic_tax"]
    return ask(lambda c: c.v1.checkout.sessions.create(params, {"idempotency_key": key}))


def checkout_subscription(
    *,
    customer: str,
    prices: list[str],
    metadata: dict[str, str],
    return_to: str,
    cancel_to: str,
    key: str,
) -> Snapshot:
    """A page on which metered prices are subscribed to: nothing is paid until the month ends."""
    params: Any = {
        "mode": "subscription",
        "line_items": [{"price": price} for price in prices],
        "subscription_data": {"metadata": metadata},
        **_page(customer, metadata, return_to, cancel_to),
    }
    return ask(lambda c: c.v1.checkout.sessions.create(params, {"idempotency_key": key}))


def _page(customer: str, metadata: dict[str, str], return_to: str, cancel_to: str) -> dict[str, Any]:
    taxed: dict[str, Any] = {"automatic_tax": {"enabled": settings.STRIPE_TAX}}
    if settings.STRIPE_TAX:
        # Stripe needs to know where the customer is, and keeps what it is told.
        taxed |= {
            "billing_address_collection": "required",
            "customer_update": {"address": "auto", "name": "auto"},
        }
        taxed["tax_id_collection"] = {"enabled": True}
    return {
        "customer": customer,
        "client_reference_id": metadata["organization"],
        "metadata": metadata,
        "success_url": return_to,
        "cancel_url": cancel_to,
        **taxed,
    }


def checkout(number: str) -> Snapshot:
    return ask(lambda c: c.v1.checkout.sessions.retrieve(number))


def expire_checkout(number: str) -> Snapshot:
    return ask(lambda c: c.v1.checkout.sessions.expire(number))


# --- payments -------------------------------------------------------------------------------------------------


def charge_card(
    *, customer: str, card: str, cents: int, label: str, metadata: dict[str, str], key: str
) -> Snapshot:
    """Pays with a saved card while nobody is there. Raises PaymentDeclined."""
    params: Any = {
        "amount": cents,
        "currency": CURRENCY,
        "customer": customer,
        "payment_method": card,
        "off_session": True,
        "confirm": True,
        "description": label,
        "metadata": metadata,
    }
    return ask(lambda c: c.v1.payment_intents.create(params, {"idempotency_key": key}))


def payment(number: str) -> Snapshot:
    return ask(lambda c: c.v1.payment_intents.retrieve(number))


def payments_of(customer: str, *, since: datetime) -> Iterator[Snapshot]:
    params: Any = {"customer": customer, "created": {"gte": int(since.timestamp())}, "limit": 100}
    return every(lambda c: c.v1.payment_intents.list(params))


def payments(*, since: datetime) -> Iterator[Snapshot]:
    return every(lambda c: c.v1.payment_intents.list(_since(since)))


def refunds(*, since: datetime) -> Iterator[Snapshot]:
    return every(lambda c: c.v1.refunds.list(_since(since)))


def disputes(*, since: datetime) -> Iterator[Snapshot]:
    return every(lambda c: c.v1.disputes.list(_since(since)))


def _since(moment: datetime) -> Any:
    return {"created": {"gte": int(moment.timestamp())}, "limit": 100}


def charge(number: str) -> Snapshot:
    return ask(lambda c: c.v1.charges.retrieve(number))


def create_refund(*, payment: str, cents: int, metadata: dict[str, str], key: str) -> Snapshot:
    params: Any = {"payment_intent": payment, "amount": cents, "metadata": metadata}
    return ask(lambda c: c.v1.refunds.create(params, {"idempotency_key": key}))


def refund(number: str) -> Snapshot:
    return ask(lambda c: c.v1.refunds.retrieve(number))


def refunds_of(payment: str) -> Iterator[Snapshot]:
    params: Any = {"payment_intent": payment, "limit": 100}
    return every(lambda c: c.v1.refunds.list(params))


def dispute(number: str) -> Snapshot:
    return ask(lambda c: c.v1.disputes.retrieve(number))


def open_portal(*, customer: str, return_to: str) -> Snapshot:
    params: Any = {"customer": customer, "return_url": return_to}
    return ask(lambda c: c.v1.billing_portal.sessions.create(params))


# --- subscriptions and invoices -------------------------------------------------------------------------------


def subscription(number: str) -> Snapshot:
    return ask(lambda c: c.v1.subscriptions.retrieve(number))


def subscriptions_of(customer: str) -> Iterator[Snapshot]:
    """All of them, canceled ones too."""
    params: Any = {"customer": customer, "status": "all", "limit": 100}
    return every(lambda c: c.v1.subscriptions.list(params))


def invoice(number: str) -> Snapshot:
    return ask(lambda c: c.v1.invoices.retrieve(number))


def invoice_lines(number: str) -> Iterator[Snapshot]:
    return every(lambda c: c.v1.invoices.line_items.list(number, {"limit": 100}))


def payments_of_invoice(number: str) -> Iterator[Snapshot]:
    return every(lambda c: c.v1.invoice_payments.list({"invoice": number, "status": "paid", "limit": 100}))


def invoices_paid_by(payment: str) -> Iterator[str]:
    params: Any = {"payment": {"type": "payment_intent", "payment_intent": payment}, "limit": 100}
    return (str(one["invoice"]) for one in every(lambda c: c.v1.invoice_payments.list(params)))


def report_use(*, event_name: str, customer: str, value: int, identifier: str, at: datetime) -> None:
    """One meter event. The identifier makes it count once, for 24 hours. No retries of the SDK's own: a second request
    under the same identifier would be refused as a duplicate of the first.
    """
    params: Any = {
        "event_name": event_name,
        "identifier": identifier,
        "payload": {"stripe_customer_id": customer, "value": str(value)},
        "timestamp": int(at.timestamp()),
    }
    ask(lambda c: c.v1.billing.meter_events.create(params, {"max_network_retries": 0}))


def counted(meter: str, customer: str, minute: datetime) -> int:
    """What a meter counted for a customer in one minute."""
    start = int(minute.timestamp())
    params: Any = {"customer": customer, "start_time": start, "end_time": start + 60, "limit": 100}
    found = every(lambda c: c.v1.billing.meters.event_summaries.list(meter, params))
    return sum(int(summary["aggregated_value"]) for summary in found)


def counted_by_hour(meter: str, customer: str, start: datetime, end: datetime) -> dict[datetime, int]:
    """What a meter counted for a customer in each hour; start and end are full hours."""
    span = {"start_time": int(start.timestamp()), "end_time": int(end.timestamp())}
    params: Any = {"customer": customer, "value_grouping_window": "hour", "limit": 100, **span}
    found = every(lambda c: c.v1.billing.meters.event_summaries.list(meter, params))
    hours = ((datetime.fromtimestamp(one["start_time"], tz=UTC), one["aggregated_value"]) for one in found)
    return {hour: int(value) for hour, value in hours}


def add_line(*, customer: str, cents: int, text: str, metadata: dict[str, str], key: str) -> Snapshot:
    """A line on the customer's next invoice."""
    params: Any = {
        "customer": customer,
        "amount": cents,
        "currency": CURRENCY,
        "description": text,
        "tax_behavior": "exclusive",
        "metadata": metadata,
    }
    return ask(lambda c: c.v1.invoice_items.create(params, {"idempotency_key": key}))


def lines_of(customer: str, *, since: datetime) -> Iterator[Snapshot]:
    params: Any = {"customer": customer, "created": {"gte": int(since.timestamp())}, "limit": 100}
    return every(lambda c: c.v1.invoice_items.list(params))


# --- webhooks -------------------------------------------------------------------------------------------------


def verified(body: bytes, signature: str) -> Snapshot | None:
    """The event, if one of our secrets signed these very bytes within the last five minutes."""
    for secret in settings.STRIPE_WEBHOOK_SECRETS:
        try:
            stripe.WebhookSignature.verify_header(body, signature, secret, stripe.Webhook.DEFAULT_TOLERANCE)
            return cast(Snapshot, json.loads(body))
        except (stripe.SignatureVerificationError, ValueError):
            continue
    return None


def undelivered(*, since: datetime) -> Iterator[Snapshot]:
    """Events that no endpoint took."""
    params: Any = {**_since(since), "delivery_success": False}
    return every(lambda c: c.v1.events.list(params))


def thin_event(number: str) -> Snapshot:
    """A thin event's delivery names its subject only; this is the rest."""
    return ask(lambda c: c.v2.core.events.retrieve(number))
