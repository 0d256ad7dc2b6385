"""What the double knows: objects by id, a clock, and the events that tell of every change."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from stripe._api_version import _ApiVersion

from tests.stripe_double import contract

Object = dict[str, Any]
Handler = Callable[..., Object]

HANDLERS: dict[tuple[str, str], Handler] = {}


def handles(method: str, path: str) -> Callable[[Handler], Handler]:
    """Registers `(world, params, *ids of the path) -> object` for an address."""

    def register(handler: Handler) -> Handler:
        HANDLERS[method, path] = handler
        return handler

    return register


class Refusal(Exception):
    """An error answer. `error` is Stripe's object of that name."""

    def __init__(self, status: int, kind: str, message: str, **error: Any) -> None:
        super().__init__(message)
        self.status = status
        self.error = {"type": kind, "message": message, **error}


def missing(kind: str, number: str, param: str = "id") -> Refusal:
    message = f"No such {kind}: '{number}'"
    return Refusal(404, "invalid_request_error", message, code="resource_missing", param=param)


def invalid(param: str, message: str, **more: Any) -> Refusal:
    return Refusal(400, "invalid_request_error", message, param=param, **more)


# Where an object of the general kind lives: created, read, listed and changed without rules of its own.
PREFIXES = {
    "customer": "cus_",
    "product": "prod_",
    "price": "price_",
    "payment_method": "pm_",
    "payment_intent": "pi_",
    "setup_intent": "seti_",
    "charge": "ch_",
    "refund": "re_",
    "dispute": "du_",
    "balance_transaction": "txn_",
    "checkout.session": "cs_test_",
    "billing_portal.session": "bps_",
    "billing_portal.configuration": "bpc_",
    "billing.meter": "mtr_test_",
    "subscription": "sub_",
    "subscription_item": "si_",
    "invoice": "in_",
    "invoiceitem": "ii_",
    "invoice_payment": "inpay_",
    "line_item": "il_",
    "webhook_endpoint": "we_",
    "v2.core.event_destination": "ed_test_",
    "event": "evt_",
    "v2.core.event": "evt_test_",
}
COLLECTIONS = {
    "/v1/customers": "customer",
    "/v1/products": "product",
    "/v1/prices": "price",
    "/v1/payment_methods": "payment_method",
    "/v1/payment_intents": "payment_intent",
    "/v1/setup_intents": "setup_intent",
    "/v1/charges": "charge",
    "/v1/refunds": "refund",
    "/v1/disputes": "dispute",
    "/v1/checkout/sessions": "checkout.session",
    "/v1/billing_portal/configurations": "billing_portal.configuration",
    "/v1/billing_portal/sessions": "billing_portal.session",
    "/v1/billing/meters": "billing.meter",
    "/v1/subscriptions": "subscription",
    "/v1/invoices": "invoice",
    "/v1/invoiceitems": "invoiceitem",
    "/v1/invoice_payments": "invoice_payment",
    "/v1/webhook_endpoints": "webhook_endpoint",
    "/v1/events": "event",
    "/v2/core/events": "v2.core.event",
    "/v2/core/event_destinations": "v2.core.event_destination",
}
# Kinds whose birth and changes Stripe tells of by events named like this.
TOLD = {
    "customer": "customer",
    "product": "product",
    "price": "price",
    "billing.meter": "billing.meter",
    "billing_portal.configuration": "billing_portal.configuration",
}


@dataclass
class World:
    """`ahead` moves the clock: seconds that Stripe's time is before ours."""

    objects: dict[str, Object] = field(default_factory=dict)
    events: list[Object] = field(default_factory=list)
    ahead: float = 0
    meter_events: list[Object] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    numbers: Any = field(default_factory=lambda: itertools.count(1))
    # Called with each new event; the mail room hangs here.
    told: Callable[[Object], None] = lambda _event: None

    @property
    def now(self) -> int:
        return int(datetime.now(tz=UTC).timestamp() + self.ahead)

    def advance(self, seconds: float) -> None:
        self.ahead += seconds

    def new(self, kind: str, **fields: Any) -> Object:
        made = contract.blank(kind)
        number = fields.get("id") or f"{PREFIXES[kind]}{next(self.numbers):08d}"
        made |= {"id": number, **({"created": self.now} if "created" in made else {}), **fields}
        contract.check_object(made)
        self.objects[number] = made
        return made

    def get(self, kind: str, number: str, param: str = "id") -> Object:
        found = self.objects.get(number)
        if found is None or found["object"] != kind or found.get("deleted"):
            raise missing(kind, number, param)
        return found

    def all(self, kind: str, **fields: Any) -> list[Object]:
        """The newest first, as Stripe lists."""
        found = [
            known
            for known in self.objects.values()
            if known["object"] == kind and all(known.get(key) == value for key, value in fields.items())
        ]
        return found[::-1]

    def emit(self, kind: str, subject: Object) -> Object:
        """An event with a snapshot of its subject as it is now."""
        event = self.new(
            "event",
            type=kind,
            api_version=_ApiVersion.CURRENT,
            data={"object": copy.deepcopy(subject)},
            pending_webhooks=1,
            request={"id": None, "idempotency_key": None},
        )
        self.events.append(event)
        self.told(event)
        return event

    def emit_thin(self, kind: str, subject: Object, path: str, data: Object) -> Object:
        """A thin event: its delivery names only its subject, the data are fetched."""
        event = self.new(
            "v2.core.event",
            type=kind,
            created=datetime.fromtimestamp(self.now, tz=UTC).isoformat().replace("+00:00", "Z"),
            livemode=False,
        )
        event |= {
            "related_object": {
                "id": subject["id"],
                "type": subject["object"],
                "url": f"{path}/{subject['id']}",
            },
            "data": data,
        }
        self.events.append(event)
        self.told(event)
        return event

    # --- the general kinds ---

    def create(self, kind: str, params: Object) -> Object:
        made = self.new(kind, **plain(kind, params))
        if kind in TOLD:
            self.emit(f"{TOLD[kind]}.created", made)
        return made

    def change(self, found: Object, params: Object) -> Object:
        metadata = {**(found.get("metadata") or {}), **(params.get("metadata") or {})}
        changed = plain(found["object"], params)
        found |= changed
        if "metadata" in params:
            found["metadata"] = {key: value for key, value in metadata.items() if value != ""}
        if found["object"] in TOLD:
            self.emit(f"{TOLD[found['object']]}.updated", found)
        return found

    def listing(self, kind: str, params: Object, path: str) -> Object:
        return page([known for known in self.all(kind) if _wanted(known, params)], params, path)


def page(found: list[Object], params: Object, path: str) -> Object:
    """So many of them as Stripe puts into one answer."""
    after = params.get("starting_after")
    if after:
        numbers = [known["id"] for known in found]
        found = found[numbers.index(after) + 1 :]
    limit = params.get("limit", 10)
    return {"object": "list", "data": found[:limit], "has_more": len(found) > limit, "url": path}


def plain(kind: str, params: Object) -> Object:
    """Parameters that are fields of the object by the same name and of the same shape."""
    return {name: value for name, value in params.items() if contract.field_fits(kind, name, value)}


def _wanted(known: Object, params: Object) -> bool:
    return all(
        _matches(known, name, value)
        for name, value in params.items()
        if name not in {"limit", "starting_after", "ending_before", "expand", "delivery_success"}
    )


def _matches(known: Object, name: str, value: Any) -> bool:
    if name == "created" and isinstance(value, dict):
        at = known.get("created", known.get("date"))  # invoice items have their own word for it
        return bool(value.get("gte", 0) <= at <= value.get("lte", at))
    if name == "payment":
        return bool(value.items() <= known["payment"].items())
    if (name, value) == ("status", "all"):
        return True
    if name == "lookup_keys":
        return known.get("lookup_key") in value
    if name == "types":
        return known["type"] in value
    if name == "pending":
        return (known["invoice"] is None) == value
    return bool(known.get(name) == value)
