"""Metered billing: meters and their events, prices, subscriptions, invoice items, invoices."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal

from tests.stripe_double.world import Object, Refusal, World, handles, invalid, missing, page

DAY = 24 * 3600
MONTH = 30 * DAY
WINDOW = DAY  # an identifier is known for so long
OLDEST = 35 * DAY
NEWEST = 300
IDENTIFIER_MAX = 100
ITEMS_MAX = 250


# --- meters ---------------------------------------------------------------------------------------------------


@handles("post", "/v1/billing/meters")
def create_meter(world: World, params: Object) -> Object:
    if any(
        meter["event_name"] == params["event_name"] for meter in world.all("billing.meter", status="active")
    ):
        raise invalid("event_name", "An active meter with this event name already exists.")
    meter = world.create("billing.meter", params)
    meter["customer_mapping"] = params.get(
        "customer_mapping", {"event_payload_key": "stripe_customer_id", "type": "by_id"}
    )
    meter["value_settings"] = params.get("value_settings", {"event_payload_key": "value"})
    return meter


@handles("post", "/v1/billing/meters/{id}/deactivate")
def deactivate_meter(world: World, params: Object, number: str) -> Object:
    meter = world.get("billing.meter", number)
    meter["status"] = "inactive"
    world.emit("billing.meter.deactivated", meter)
    return meter


@handles("post", "/v1/billing/meters/{id}/reactivate")
def reactivate_meter(world: World, params: Object, number: str) -> Object:
    meter = world.get("billing.meter", number)
    meter["status"] = "active"
    world.emit("billing.meter.reactivated", meter)
    return meter


@handles("post", "/v1/billing/meter_events")
def report(world: World, params: Object) -> Object:
    meter = _meter(world, params["event_name"])
    customer = params["payload"].get(meter["customer_mapping"]["event_payload_key"], "")
    value = params["payload"].get(meter["value_settings"]["event_payload_key"], "")
    identifier = params.get("identifier", f"made-{len(world.meter_events)}")
    at = params.get("timestamp", world.now)
    if not re.fullmatch(r"\d{1,15}(\.\d{1,12})?", value):
        raise invalid("payload", "The value must be a number.", code="meter_event_invalid_value")
    if len(identifier) > IDENTIFIER_MAX:
        raise invalid("identifier", "Must be at most 100 characters.")
    if at < world.now - OLDEST:
        raise invalid("timestamp", "The timestamp is too far in the past.", code="timestamp_too_far_in_past")
    if at > world.now + NEWEST:
        raise invalid("timestamp", "The timestamp is in the future.", code="timestamp_in_future")
    if any(
        known["identifier"] == identifier and world.now - known["created"] < WINDOW
        for known in world.meter_events
    ):
        raise invalid("identifier", "An event with this identifier exists.", code="duplicate_meter_event")
    event = {
        "object": "billing.meter_event",
        "event_name": params["event_name"],
        "identifier": identifier,
        "payload": params["payload"],
        "timestamp": at,
        "created": world.now,
        "livemode": False,
    }
    if customer not in world.objects:
        report_error(world, meter, "meter_event_customer_not_found", event)
        return event
    world.meter_events.append({**event, "customer": customer, "value": Decimal(value), "meter": meter["id"]})
    return event


def _meter(world: World, event_name: str) -> Object:
    found = next((meter for meter in world.all("billing.meter") if meter["event_name"] == event_name), None)
    if found is None:
        raise missing("meter", event_name, "event_name")
    if found["status"] != "active":
        raise invalid("event_name", "The meter is archived.", code="archived_meter")
    return found


def report_error(world: World, meter: Object, code: str, event: Object) -> Object:
    """What Stripe finds out later, and tells by a thin event."""
    sample = {"error_message": code, "request": {"identifier": event["identifier"]}}
    reason = {"error_count": 1, "error_types": [{"code": code, "error_count": 1, "sample_errors": [sample]}]}
    data = {
        "developer_message_summary": f"There is 1 invalid event: {code}",
        "reason": reason,
        "validation_start": "2026-01-01T00:00:00Z",
        "validation_end": "2026-01-01T00:00:10Z",
    }
    return world.emit_thin("v1.billing.meter.error_report_triggered", meter, "/v1/billing/meters", data)


@handles("get", "/v1/billing/meters/{id}/event_summaries")
def summaries(world: World, params: Object, number: str) -> Object:
    meter = world.get("billing.meter", number)
    start, end = params["start_time"], params["end_time"]
    step = 3600 if params.get("value_grouping_window") == "hour" else 60
    if start % step or end % step:
        raise invalid("start_time", f"Must be aligned with boundaries of {step} seconds.")
    parts = range(start, end, step) if "value_grouping_window" in params else [start]
    found = []
    for at in parts:
        until = at + step if "value_grouping_window" in params else end
        value = metered(world, params["customer"], meter["id"], at, until)
        if value:
            found.append(_summary(meter, value, at, until))
    return page(found[::-1], params, f"/v1/billing/meters/{number}/event_summaries")


def _summary(meter: Object, value: Decimal, start: int, end: int) -> Object:
    return {
        "object": "billing.meter_event_summary",
        "id": f"mtrusg_{start}",
        "aggregated_value": float(value),
        "start_time": start,
        "end_time": end,
        "livemode": False,
        "meter": meter["id"],
    }


def metered(world: World, customer: str, meter: str, start: int = 0, end: int = 2**62) -> Decimal:
    return sum(
        (
            known["value"]
            for known in world.meter_events
            if known["customer"] == customer and known["meter"] == meter and start <= known["timestamp"] < end
        ),
        Decimal(0),
    )


# --- prices and subscriptions ---------------------------------------------------------------------------------


@handles("post", "/v1/prices")
def create_price(world: World, params: Object) -> Object:
    world.get("product", params.get("product", ""), "product")
    key = params.get("lookup_key")
    for known in world.all("price", lookup_key=key) if key else ():
        if not params.get("transfer_lookup_key"):
            raise invalid("lookup_key", "A price already uses that lookup key.")
        known["lookup_key"] = None
    recurring = params.get("recurring")
    if recurring and recurring.get("meter"):
        world.get("billing.meter", recurring["meter"], "recurring[meter]")
    price = world.create("price", {"active": True, **params})
    price["type"] = "recurring" if recurring else "one_time"
    price["recurring"] = recurring and {
        "interval": recurring["interval"],
        "interval_count": recurring.get("interval_count", 1),
        "meter": recurring.get("meter"),
        "usage_type": recurring.get("usage_type", "licensed"),
        "trial_period_days": None,
    }
    if params.get("unit_amount_decimal") is not None:
        amount = Decimal(params["unit_amount_decimal"])
        price["unit_amount"] = int(amount) if amount == int(amount) else None
    return price


@handles("post", "/v1/subscriptions")
def subscribe(world: World, params: Object) -> Object:
    world.get("customer", params["customer"], "customer")
    subscription = world.new(
        "subscription",
        customer=params["customer"],
        currency="usd",
        status="active",
        metadata=params.get("metadata", {}),
        start_date=world.now,
        billing_cycle_anchor=world.now,
        default_payment_method=params.get("default_payment_method"),
    )
    for item in params["items"]:
        _add_item(world, subscription, item["price"])
    world.emit("customer.subscription.created", subscription)
    return subscription


def _add_item(world: World, subscription: Object, price_id: str) -> Object:
    price = world.get("price", price_id, "items[0][price]")
    item = world.new(
        "subscription_item",
        price=price,
        subscription=subscription["id"],
        current_period_start=world.now,
        current_period_end=world.now + MONTH,
        created=world.now,
    )
    subscription["items"]["data"].append(item)
    return item


@handles("post", "/v1/subscriptions/{subscription_exposed_id}")
def change_subscription(world: World, params: Object, number: str) -> Object:
    subscription = world.get("subscription", number)
    for item in params.get("items", []):
        if item.get("price") and not item.get("id"):
            _add_item(world, subscription, item["price"])
    if "cancel_at_period_end" in params:
        subscription["cancel_at_period_end"] = params["cancel_at_period_end"]
    world.emit("customer.subscription.updated", subscription)
    return subscription


@handles("delete", "/v1/subscriptions/{subscription_exposed_id}")
def cancel_subscription(world: World, params: Object, number: str) -> Object:
    subscription = world.get("subscription", number)
    subscription |= {"status": "canceled", "canceled_at": world.now, "ended_at": world.now}
    world.emit("customer.subscription.deleted", subscription)
    return subscription


# --- invoices -------------------------------------------------------------------------------------------------


@handles("post", "/v1/invoiceitems")
def create_item(world: World, params: Object) -> Object:
    customer = world.get("customer", params.get("customer", ""), "customer")
    pending = world.all("invoiceitem", customer=customer["id"], invoice=None)
    if len(pending) >= ITEMS_MAX:
        raise invalid("customer", "A customer may have at most 250 pending invoice items.")
    amount = params.get("amount")
    if amount is None:
        cents = Decimal(params["unit_amount_decimal"]) * params.get("quantity", 1)
        amount = int(cents.quantize(Decimal(1), ROUND_HALF_UP))
    item = world.new(
        "invoiceitem",
        customer=customer["id"],
        amount=amount,
        currency=params["currency"],
        description=params.get("description"),
        metadata=params.get("metadata", {}),
        date=world.now,
        period=params.get("period", {"start": world.now, "end": world.now}),
        quantity=params.get("quantity", 1),
        quantity_decimal=str(params.get("quantity", 1)),
    )
    world.emit("invoiceitem.created", item)
    return item


def close_period(world: World, subscription_id: str, *, paid: bool = True, tax: int = 0) -> Object:
    """The month ends: usage and pending items become an invoice, with so much tax, finalized and paid (or not)."""
    subscription = world.get("subscription", subscription_id)
    customer = subscription["customer"]
    usage = [_usage_line(world, customer, item) for item in subscription["items"]["data"]]
    items = world.all("invoiceitem", customer=customer, invoice=None)
    lines = [line for line in usage if line] + [(item["amount"], item["description"], None) for item in items]
    net = sum(amount for amount, *_ in lines)
    total = net + tax
    invoice = world.new(
        "invoice",
        customer=customer,
        currency="usd",
        status="draft",
        subtotal=net,
        total=total,
        amount_due=total,
        amount_remaining=total,
        billing_reason="subscription_cycle",
        period_start=subscription["start_date"],
        period_end=world.now + 1,
    )
    invoice["total_excluding_tax"] = net
    for item in items:
        item["invoice"] = invoice["id"]
    invoice["lines"]["data"] = [
        world.new(
            "line_item",
            amount=amount,
            currency="usd",
            description=text,
            invoice=invoice["id"],
            period={"start": subscription["start_date"], "end": world.now + 1},
            pricing=price and {"type": "price_details", "price_details": price, "unit_amount_decimal": None},
        )
        for amount, text, price in lines
    ]
    world.emit("invoice.created", invoice)
    finalize(world, invoice)
    settle_invoice(world, invoice, paid=paid)
    return invoice


def _usage_line(world: World, customer: str, item: Object) -> tuple[int, str, Object] | None:
    """What was reported and is on no invoice yet, at the item's price."""
    price = item["price"]
    used = [
        known
        for known in world.meter_events
        if (known["customer"], known["meter"]) == (customer, price["recurring"]["meter"])
        and not known.get("invoiced")
    ]
    for known in used:
        known["invoiced"] = True
    value = sum((known["value"] for known in used), Decimal(0))
    cents = int((value * Decimal(price["unit_amount_decimal"])).quantize(Decimal(1), ROUND_HALF_UP))
    details = {"price": price["id"], "product": price["product"]}
    return (cents, price["nickname"], details) if cents else None


@handles("get", "/v1/invoices/{invoice}/lines")
def invoice_lines(world: World, params: Object, number: str) -> Object:
    return page(world.get("invoice", number)["lines"]["data"], params, f"/v1/invoices/{number}/lines")


def finalize(world: World, invoice: Object) -> None:
    invoice |= {
        "status": "open",
        "number": f"VR-{invoice['id'][-4:]}",
        "hosted_invoice_url": f"https://invoice.stripe.test/{invoice['id']}",
        "invoice_pdf": f"https://invoice.stripe.test/{invoice['id']}.pdf",
    }
    invoice["status_transitions"]["finalized_at"] = world.now
    world.emit("invoice.finalized", invoice)


def settle_invoice(world: World, invoice: Object, *, paid: bool) -> None:
    invoice["attempted"] = True
    invoice["attempt_count"] += 1
    if not paid:
        world.emit("invoice.payment_failed", invoice)
        return
    if invoice["total"]:
        _pay_by_card(world, invoice)
    invoice |= {"status": "paid", "amount_paid": invoice["total"], "amount_remaining": 0}
    invoice["status_transitions"]["paid_at"] = world.now
    world.emit("invoice.paid", invoice)
    world.emit("invoice.payment_succeeded", invoice)


def _pay_by_card(world: World, invoice: Object) -> Object:
    """The payment that Stripe makes of the invoice, and what ties the two."""
    cents, common = invoice["total"], {"currency": "usd", "customer": invoice["customer"]}
    intent = world.new(
        "payment_intent", amount=cents, amount_received=cents, status="succeeded", metadata={}, **common
    )
    charge = world.new(
        "charge",
        amount=cents,
        amount_captured=cents,
        captured=True,
        paid=True,
        status="succeeded",
        payment_intent=intent["id"],
        metadata={},
        **common,
    )
    intent["latest_charge"] = charge["id"]
    tie = world.new(
        "invoice_payment",
        invoice=invoice["id"],
        amount_paid=cents,
        amount_requested=cents,
        currency="usd",
        is_default=True,
        status="paid",
        payment={"type": "payment_intent", "payment_intent": intent["id"]},
    )
    world.emit("charge.succeeded", charge)
    world.emit("payment_intent.succeeded", intent)
    world.emit("invoice_payment.paid", tie)
    return intent


@handles("post", "/v1/invoices/{invoice}/void")
def void_invoice(world: World, params: Object, number: str) -> Object:
    invoice = world.get("invoice", number)
    if invoice["status"] != "open":
        raise Refusal(400, "invalid_request_error", "Only open invoices can be voided.")
    invoice["status"] = "void"
    world.emit("invoice.voided", invoice)
    return invoice
