"""The door to Stripe, for what stands ready in the account: products, meters, prices, portal, receivers of events."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from billing.errors import GatewayRefused
from billing.gateway import API_VERSION, CURRENCY, Ask, Snapshot, ask, every


def _or_none(question: Ask) -> Snapshot | None:
    try:
        return ask(question)
    except GatewayRefused as refusal:
        if refusal.reason == GatewayRefused.MISSING:
            return None
        raise


def product(number: str) -> Snapshot | None:
    return _or_none(lambda c: c.v1.products.retrieve(number))


def create_product(*, number: str, name: str) -> Snapshot:
    return ask(lambda c: c.v1.products.create({"id": number, "name": name}))


def meter_named(event_name: str) -> Snapshot | None:
    meters = every(lambda c: c.v1.billing.meters.list({"status": "active", "limit": 100}))
    return next((meter for meter in meters if meter["event_name"] == event_name), None)


def create_meter(*, event_name: str, label: str) -> Snapshot:
    params: Any = {
        "event_name": event_name,
        "display_name": label,
        "default_aggregation": {"formula": "sum"},
        "customer_mapping": {"type": "by_id", "event_payload_key": "stripe_customer_id"},
        "value_settings": {"event_payload_key": "value"},
    }
    return ask(lambda c: c.v1.billing.meters.create(params))


def price_named(name: str) -> Snapshot | None:
    found = every(lambda c: c.v1.prices.list({"lookup_keys": [name], "active": True}))
    return next(found, None)


def create_price(*, name: str, product: str, meter: str, cents: Decimal, label: str) -> Snapshot:
    params: Any = {
        "product": product,
        "lookup_key": name,
        "transfer_lookup_key": True,
        "nickname": label,
        "currency": CURRENCY,
        "unit_amount_decimal": cents,
        "billing_scheme": "per_unit",
        "tax_behavior": "exclusive",
        "recurring": {"interval": "month", "usage_type": "metered", "meter": meter},
    }
    return ask(lambda c: c.v1.prices.create(params))


PORTAL_FEATURES: Any = {
    "invoice_history": {"enabled": True},
    "payment_method_update": {"enabled": True},
    "customer_update": {"enabled": True, "allowed_updates": ["address", "email", "name", "tax_id"]},
    "subscription_cancel": {"enabled": True, "mode": "at_period_end"},
}


def portal() -> Snapshot | None:
    return next(every(lambda c: c.v1.billing_portal.configurations.list({"active": True})), None)


def create_portal(*, return_to: str) -> Snapshot:
    params: Any = {"features": PORTAL_FEATURES, "default_return_url": return_to}
    return ask(lambda c: c.v1.billing_portal.configurations.create(params))


def endpoints() -> Iterator[Snapshot]:
    return every(lambda c: c.v1.webhook_endpoints.list({"limit": 100}))


def create_endpoint(*, address: str, kinds: list[str]) -> Snapshot:
    params: Any = {"url": address, "enabled_events": kinds, "api_version": API_VERSION}
    return ask(lambda c: c.v1.webhook_endpoints.create(params))


def change_endpoint(number: str, *, kinds: list[str]) -> Snapshot:
    """Switched on as well: Stripe switches off one that failed for days."""
    params: Any = {"enabled_events": kinds, "disabled": False}
    return ask(lambda c: c.v1.webhook_endpoints.update(number, params))


def destinations() -> Iterator[Snapshot]:
    return every(lambda c: c.v2.core.event_destinations.list({"include": ["webhook_endpoint.url"]}))


def change_destination(number: str, *, kinds: list[str]) -> Snapshot:
    return ask(lambda c: c.v2.core.event_destinations.update(number, {"enabled_events": kinds}))


def enable_destination(number: str) -> Snapshot:
    return ask(lambda c: c.v2.core.event_destinations.enable(number))


def create_destination(*, address: str, kinds: list[str]) -> Snapshot:
    params: Any = {
        "name": "Voicereel meters",
        "type": "webhook_endpoint",
        "event_payload": "thin",
        "enabled_events": kinds,
        "webhook_endpoint": {"url": address},
        "include": ["webhook_endpoint.signing_secret"],
    }
    return ask(lambda c: c.v2.core.event_destinations.create(params))
