"""Paying: checkout, payment intents, saved cards, refunds, disputes.

The functions without `handles` are what a customer or a bank does, for tests to call.
"""

from __future__ import annotations

from typing import Any

from tests.stripe_double import contract
from tests.stripe_double.subscriptions import subscribe
from tests.stripe_double.world import Object, Refusal, World, handles, invalid

DAY = 24 * 3600
# How a card behaves is written on it: {"behaves": ...}
VISA = "visa"
DECLINED = "declined"
AUTHENTICATE = "authenticate"
SLOW = "slow"
DECLINES = {
    DECLINED: ("card_declined", "Your card has insufficient funds.", {"decline_code": "insufficient_funds"}),
    AUTHENTICATE: (
        "authentication_required",
        "Your card was declined. This transaction requires authentication.",
        {"decline_code": "authentication_required"},
    ),
}


def card(world: World, customer: str | None, behaves: str = VISA) -> Object:
    """A saved card."""
    made = world.new(
        "payment_method",
        type="card",
        customer=customer,
        metadata={"behaves": behaves},
        billing_details={"address": None, "email": None, "name": None, "phone": None, "tax_id": None},
    )
    made["card"] = contract.blank_field("payment_method", "card") | {"brand": "visa", "last4": "4242"}
    if customer:
        world.emit("payment_method.attached", made)
    return made


# --- payment intents ------------------------------------------------------------------------------------------


@handles("post", "/v1/payment_intents")
def create_intent(world: World, params: Object) -> Object:
    if params.get("off_session") and not params.get("confirm"):
        raise invalid("off_session", "off_session needs confirm=true.")
    if params.get("customer"):
        world.get("customer", params["customer"], "customer")
    intent = _intent(world, params)
    if params.get("confirm"):
        pay(world, intent, world.get("payment_method", params["payment_method"], "payment_method"))
    return intent


def _intent(world: World, params: Object) -> Object:
    fields = (
        "amount",
        "currency",
        "customer",
        "description",
        "metadata",
        "setup_future_usage",
        "payment_method",
    )
    intent = world.new(
        "payment_intent",
        status="requires_payment_method",
        **{name: params[name] for name in fields if params.get(name) is not None},
    )
    intent["payment_method_types"] = ["card"]
    intent["client_secret"] = f"{intent['id']}_secret"
    world.emit("payment_intent.created", intent)
    return intent


def pay(world: World, intent: Object, method: Object) -> None:
    """Raises the decline, after which the intent waits for another card."""
    behaves = method["metadata"]["behaves"]
    intent["payment_method"] = method["id"]
    if behaves == SLOW:
        intent["status"] = "processing"
        world.emit("payment_intent.processing", intent)
        return
    if behaves in DECLINES:
        code, message, more = DECLINES[behaves]
        charge = _charge(world, intent, method, status="failed", paid=False, failure_code=code)
        intent["status"] = "requires_payment_method"
        intent["payment_method"] = None
        intent["latest_charge"] = charge["id"]
        world.emit("charge.failed", charge)
        world.emit("payment_intent.payment_failed", intent)
        raise Refusal(
            402, "card_error", message, code=code, **more, payment_intent=dict(intent), payment_method=method
        )
    succeed(world, intent, method)


def succeed(world: World, intent: Object, method: Object) -> None:
    charge = _charge(world, intent, method, status="succeeded", paid=True)
    intent |= {"status": "succeeded", "amount_received": intent["amount"], "latest_charge": charge["id"]}
    world.emit("charge.succeeded", charge)
    world.emit("payment_intent.succeeded", intent)


def _charge(world: World, intent: Object, method: Object, **fields: Any) -> Object:
    amount = intent["amount"]
    return world.new(
        "charge",
        amount=amount,
        amount_captured=amount if fields["paid"] else 0,
        captured=fields["paid"],
        currency=intent["currency"],
        customer=intent["customer"],
        payment_intent=intent["id"],
        payment_method=method["id"],
        metadata=dict(intent["metadata"]),
        **fields,
    )


@handles("post", "/v1/payment_intents/{intent}/cancel")
def cancel_intent(world: World, params: Object, number: str) -> Object:
    intent = world.get("payment_intent", number)
    if intent["status"] == "succeeded":
        raise invalid(
            "intent", "A succeeded PaymentIntent cannot be canceled.", code="payment_intent_unexpected_state"
        )
    intent["status"] = "canceled"
    world.emit("payment_intent.canceled", intent)
    return intent


def settle_slow(world: World, intent: Object, *, paid: bool = True) -> None:
    """A bank debit ends, days later."""
    method = world.get("payment_method", intent["payment_method"])
    session = next(iter(world.all("checkout.session", payment_intent=intent["id"])), None)
    if paid:
        succeed(world, intent, method)
    else:
        intent |= {"status": "requires_payment_method", "payment_method": None}
        world.emit("payment_intent.payment_failed", intent)
    if session:
        session["payment_status"] = "paid" if paid else "unpaid"
        world.emit(f"checkout.session.async_payment_{'succeeded' if paid else 'failed'}", session)


# --- checkout -------------------------------------------------------------------------------------------------


@handles("post", "/v1/checkout/sessions")
def create_session(world: World, params: Object) -> Object:
    mode = params.get("mode", "payment")
    for needed in ("success_url", "mode"):
        if not params.get(needed):
            raise invalid(needed, f"Missing required param: {needed}.", code="parameter_missing")
    if mode != "setup" and not params.get("line_items"):
        raise invalid("line_items", "Missing required param: line_items.", code="parameter_missing")
    if mode == "setup" and not (params.get("currency") or params.get("allowed_payment_method_types")):
        raise invalid("currency", "A setup session needs a currency.", code="parameter_missing")
    if params.get("customer"):
        world.get("customer", params["customer"], "customer")
    subtotal = sum(_line(world, line) for line in params.get("line_items", []))
    taxed = params.get("automatic_tax", {}).get("enabled", False)
    tax = subtotal * world.counts["tax_percent"] // 100 if taxed else 0
    session = world.new(
        "checkout.session",
        mode=mode,
        status="open",
        payment_status="no_payment_required" if mode == "setup" else "unpaid",
        customer=params.get("customer"),
        client_reference_id=params.get("client_reference_id"),
        metadata=params.get("metadata", {}),
        success_url=params["success_url"],
        cancel_url=params.get("cancel_url"),
        currency="usd",
        amount_subtotal=subtotal,
        amount_total=subtotal + tax,
        expires_at=params.get("expires_at", world.now + DAY),
    )
    session["total_details"] = {"amount_discount": 0, "amount_shipping": 0, "amount_tax": tax}
    session["automatic_tax"]["enabled"] = taxed
    session["url"] = f"https://checkout.stripe.test/{session['id']}"
    world.objects[f"asked:{session['id']}"] = {"object": "asked", **params}
    return session


def _line(world: World, line: Object) -> int:
    if "price" in line:
        price = world.get("price", line["price"], "line_items[0][price]")
        return 0 if price["recurring"] else price["unit_amount"] * line.get("quantity", 1)
    data = line["price_data"]
    if not (data.get("product") or data.get("product_data")):
        raise invalid("line_items[0][price_data]", "Needs product or product_data.")
    return int(data["unit_amount"]) * int(line.get("quantity", 1))


@handles("post", "/v1/checkout/sessions/{session}/expire")
def expire_session(world: World, params: Object, number: str) -> Object:
    session = world.get("checkout.session", number)
    if session["status"] != "open":
        raise invalid("session", "Only Checkout Sessions with a status of `open` can be expired.")
    session |= {"status": "expired", "url": None}
    world.emit("checkout.session.expired", session)
    return session


def complete(world: World, number: str, behaves: str = VISA) -> Object:
    """The customer fills in the page at the session's address. A declined card leaves it open."""
    session = world.get("checkout.session", number)
    assert session["status"] == "open", session["status"]
    asked = world.objects[f"asked:{number}"]
    wanted = {"payment": _pay_session, "setup": _set_up, "subscription": _subscribe}
    wanted[session["mode"]](world, session, asked, behaves)
    session |= {"status": "complete", "url": None}
    world.emit("checkout.session.completed", session)
    return session


def _pay_session(world: World, session: Object, asked: Object, behaves: str) -> None:
    data = asked.get("payment_intent_data", {})
    method = card(world, session["customer"] if data.get("setup_future_usage") else None, behaves)
    params = {"amount": session["amount_total"], "currency": "usd", "customer": session["customer"]}
    intent = _intent(world, {**params, **data})
    session["payment_intent"] = intent["id"]
    pay(world, intent, method)
    session["payment_status"] = "paid" if intent["status"] == "succeeded" else "unpaid"


def _set_up(world: World, session: Object, asked: Object, behaves: str) -> None:
    method = card(world, session["customer"], behaves)
    metadata = asked.get("setup_intent_data", {}).get("metadata", {})
    setup = world.new(
        "setup_intent",
        status="succeeded",
        usage="off_session",
        customer=session["customer"],
        payment_method=method["id"],
        metadata=metadata,
    )
    session["setup_intent"] = setup["id"]
    world.emit("setup_intent.succeeded", setup)


def _subscribe(world: World, session: Object, asked: Object, behaves: str) -> None:
    method = card(world, session["customer"], behaves)
    items = [{"price": line["price"]} for line in asked["line_items"]]
    metadata = asked.get("subscription_data", {}).get("metadata", {})
    params = {"customer": session["customer"], "items": items, "metadata": metadata}
    made = subscribe(world, {**params, "default_payment_method": method["id"]})
    session |= {"subscription": made["id"], "payment_status": "paid"}


# --- refunds and disputes -------------------------------------------------------------------------------------


@handles("post", "/v1/refunds")
def create_refund(world: World, params: Object) -> Object:
    charge = _refunded_charge(world, params)
    left = charge["amount"] - charge["amount_refunded"]
    amount = params.get("amount", left)
    if left == 0:
        raise invalid(
            "charge", f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded"
        )
    if amount > left:
        raise invalid(
            "amount", f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})."
        )
    refund = world.new(
        "refund",
        amount=amount,
        currency=charge["currency"],
        charge=charge["id"],
        payment_intent=charge["payment_intent"],
        metadata=params.get("metadata", {}),
        reason=params.get("reason"),
        status="succeeded",
    )
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    world.emit("refund.created", refund)
    world.emit("charge.refunded", charge)
    return refund


def _refunded_charge(world: World, params: Object) -> Object:
    if params.get("charge"):
        return world.get("charge", params["charge"], "charge")
    intent = world.get("payment_intent", params.get("payment_intent", ""), "payment_intent")
    return world.get("charge", intent["latest_charge"])


def fail_refund(world: World, number: str) -> Object:
    """The bank sends the money back: the refund did not happen."""
    refund = world.get("refund", number)
    charge = world.get("charge", refund["charge"])
    charge["amount_refunded"] -= refund["amount"]
    charge["refunded"] = False
    refund |= {"status": "failed", "failure_reason": "expired_or_canceled_card"}
    world.emit("refund.updated", refund)
    world.emit("refund.failed", refund)
    return refund


def dispute(world: World, intent_id: str, amount: int | None = None) -> Object:
    """The cardholder asks the bank for the money back, and the bank takes it."""
    intent = world.get("payment_intent", intent_id)
    charge = world.get("charge", intent["latest_charge"])
    made = world.new(
        "dispute",
        amount=amount or charge["amount"],
        currency=charge["currency"],
        charge=charge["id"],
        payment_intent=intent["id"],
        reason="fraudulent",
        status="needs_response",
    )
    charge["disputed"] = True
    made["balance_transactions"] = [_moved(world, made, -made["amount"])]
    world.emit("charge.dispute.created", made)
    world.emit("charge.dispute.funds_withdrawn", made)
    return made


def close_dispute(world: World, number: str, *, won: bool) -> Object:
    found = world.get("dispute", number)
    found["status"] = "won" if won else "lost"
    if won:
        found["balance_transactions"] = [
            *found["balance_transactions"],
            _moved(world, found, found["amount"]),
        ]
        world.emit("charge.dispute.funds_reinstated", found)
    world.emit("charge.dispute.closed", found)
    return found


def _moved(world: World, found: Object, amount: int) -> Object:
    return world.new(
        "balance_transaction",
        amount=amount,
        net=amount,
        currency=found["currency"],
        type="adjustment",
        source=found["id"],
        status="available",
        reporting_category="dispute" if amount < 0 else "dispute_reversal",
    )
