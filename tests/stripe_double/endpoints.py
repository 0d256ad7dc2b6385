"""The rest of the account: payment methods, the portal, where events go."""

from __future__ import annotations

from tests.stripe_double.payments import AUTHENTICATE, DECLINED, VISA, card
from tests.stripe_double.subscriptions import cancel_subscription
from tests.stripe_double.world import Object, World, handles, invalid

V2_PAGE = 20
TEST_CARDS = {
    "pm_card_visa": VISA,
    "pm_card_chargeCustomerFail": DECLINED,
    "pm_card_authenticationRequired": AUTHENTICATE,
}


@handles("get", "/v1/customers/{customer}")
def customer(world: World, params: Object, number: str) -> Object:
    """A deleted one is known by its id alone."""
    found = world.objects.get(number, {})
    if found.get("deleted"):
        return {"id": number, "object": "customer", "deleted": True}
    return world.get("customer", number)


@handles("delete", "/v1/customers/{customer}")
def delete_customer(world: World, params: Object, number: str) -> Object:
    """Its subscriptions end and its cards are taken off."""
    found = world.get("customer", number)
    for subscription in world.all("subscription", customer=number):
        cancel_subscription(world, {}, subscription["id"])
    for method in world.all("payment_method", customer=number):
        detach(world, {}, method["id"])
    world.emit("customer.deleted", found)
    found["deleted"] = True
    return {"id": number, "object": "customer", "deleted": True}


@handles("get", "/v1/customers/{customer}/payment_methods")
def cards(world: World, params: Object, customer: str) -> Object:
    world.get("customer", customer)
    path = f"/v1/customers/{customer}/payment_methods"
    return {**world.listing("payment_method", {**params, "customer": customer}, path), "url": path}


@handles("post", "/v1/payment_methods/{payment_method}/attach")
def attach(world: World, params: Object, number: str) -> Object:
    """Stripe's own test cards are known by name."""
    return card(world, params["customer"], TEST_CARDS[number])


@handles("post", "/v1/payment_methods/{payment_method}/detach")
def detach(world: World, params: Object, number: str) -> Object:
    method = world.get("payment_method", number)
    method["customer"] = None
    world.emit("payment_method.detached", method)
    return method


@handles("post", "/v1/billing_portal/sessions")
def open_portal(world: World, params: Object) -> Object:
    world.get("customer", params.get("customer", ""), "customer")
    configurations = world.all("billing_portal.configuration", active=True)
    if not configurations:
        raise invalid("configuration", "No portal configuration has been made yet.")
    session = world.new(
        "billing_portal.session",
        customer=params["customer"],
        return_url=params.get("return_url"),
        configuration=params.get("configuration", configurations[0]["id"]),
    )
    session["url"] = f"https://billing.stripe.test/{session['id']}"
    return session


@handles("post", "/v1/billing_portal/configurations")
def configure_portal(world: World, params: Object) -> Object:
    made = world.create("billing_portal.configuration", params)
    made |= {"active": True, "is_default": True}
    for name, given in params["features"].items():
        made["features"][name] |= given
    return made


@handles("post", "/v1/webhook_endpoints")
def add_endpoint(world: World, params: Object) -> Object:
    """The secret is told once, here."""
    endpoint = world.new("webhook_endpoint", status="enabled", metadata=params.get("metadata", {}))
    endpoint |= {name: params[name] for name in ("url", "enabled_events", "api_version") if name in params}
    return {**endpoint, "secret": f"whsec_{endpoint['id']}"}


@handles("post", "/v2/core/event_destinations")
def add_destination(world: World, params: Object) -> Object:
    destination = world.new(
        "v2.core.event_destination",
        name=params["name"],
        enabled_events=params["enabled_events"],
        event_payload=params["event_payload"],
        type=params["type"],
        status="enabled",
        created="2026-01-01T00:00:00Z",
        updated="2026-01-01T00:00:00Z",
    )
    destination["webhook_endpoint"] = {"url": params["webhook_endpoint"]["url"]}
    told = {**destination["webhook_endpoint"], "signing_secret": f"whsec_{destination['id']}"}
    return {**destination, "webhook_endpoint": told}


@handles("get", "/v2/core/event_destinations")
def list_destinations(world: World, params: Object) -> Object:
    start = int(params.get("page", 0))
    found, end = world.all("v2.core.event_destination"), start + V2_PAGE
    following = f"/v2/core/event_destinations?page={end}" if len(found) > end else None
    return {"data": found[start:end], "next_page_url": following, "previous_page_url": None}


@handles("post", "/v2/core/event_destinations/{id}")
def change_destination(world: World, params: Object, number: str) -> Object:
    return world.change(world.get("v2.core.event_destination", number), params)


@handles("post", "/v2/core/event_destinations/{id}/enable")
def enable_destination(world: World, params: Object, number: str) -> Object:
    destination = world.get("v2.core.event_destination", number)
    destination["status"] = "enabled"
    return destination


@handles("post", "/v1/webhook_endpoints/{webhook_endpoint}")
def change_endpoint(world: World, params: Object, number: str) -> Object:
    endpoint = world.change(world.get("webhook_endpoint", number), params)
    if "disabled" in params:
        endpoint["status"] = "disabled" if params["disabled"] else "enabled"
    return endpoint
