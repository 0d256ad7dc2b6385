"""The same few conversations with the double and, where STRIPE_TEST_KEY is set, with a sandbox of the real Stripe.

The second half is deselected without the key: it needs a Stripe account of one's own and the internet, and leaves test
objects there. What only the real one can prove is named in each test.
"""

from __future__ import annotations

import os
import time
import uuid
from datetime import UTC, datetime

import pytest
from django.core.management import call_command

from billing import gateway
from billing.errors import AuthenticationNeeded, GatewayRefused, PaymentDeclined
from billing.models import RateClass

SANDBOX = pytest.mark.stripe_sandbox


@pytest.fixture(params=["double", pytest.param("sandbox", marks=SANDBOX)])
def account(request, settings, db) -> str:
    if request.param == "double":
        request.getfixturevalue("desk")
    else:
        settings.STRIPE_SECRET_KEY = os.environ["STRIPE_TEST_KEY"]
        settings.STRIPE_API_URL = ""
        settings.STRIPE_TIMEOUT_SECONDS = 30
        settings.PUBLIC_URL = "https://voicereel.example"
        assert "_test_" in settings.STRIPE_SECRET_KEY, "never with a live key"
    return str(request.param)


@pytest.fixture
def customer(account) -> str:
    made = gateway.create_customer(
        name="Acme", email="acme@example.com", organization=str(uuid.uuid4()), key=str(uuid.uuid4())
    )
    return str(made["id"])


def saved(customer: str, card: str) -> str:
    """One of Stripe's own test cards, saved."""
    return gateway.client().v1.payment_methods.attach(card, {"customer": customer}).id


def charge(customer: str, card: str, key: str | None = None) -> gateway.Snapshot:
    return gateway.charge_card(
        customer=customer,
        card=card,
        cents=2000,
        label="Voicereel credit",
        metadata={"topup": "sandbox"},
        key=key or str(uuid.uuid4()),
    )


def test_setting_up_twice_makes_nothing_twice(account, capsys):
    """Really: that meters, prices, the portal and both endpoints are accepted as we ask for them."""
    call_command("stripe_setup")
    capsys.readouterr()
    call_command("stripe_setup")
    assert "made " not in capsys.readouterr().out


def test_a_saved_card_is_charged_once_and_refunded(customer):
    """Really: off-session payments, idempotency keys, refunds by payment."""
    card, key = saved(customer, "pm_card_visa"), str(uuid.uuid4())
    paid = charge(customer, card, key)
    assert (paid["status"], paid["amount_received"]) == ("succeeded", 2000)
    assert charge(customer, card, key)["id"] == paid["id"]
    asked = {"payment": paid["id"], "cents": 500, "metadata": {"reversal": "x"}, "key": str(uuid.uuid4())}
    made = gateway.create_refund(**asked)
    assert made["status"] in {"succeeded", "pending"}
    assert [found["id"] for found in gateway.refunds_of(paid["id"])] == [made["id"]]


@pytest.mark.parametrize(
    ("card", "error"),
    [
        ("pm_card_chargeCustomerFail", PaymentDeclined),
        ("pm_card_authenticationRequired", AuthenticationNeeded),
    ],
)
def test_declines_say_why(customer, card, error):
    """Really: the error codes that we tell declines by."""
    with pytest.raises(PaymentDeclined) as declined:
        charge(customer, saved(customer, card))
    assert type(declined.value) is error
    assert declined.value.payment.startswith("pi_")


def test_pages_open(account, customer):
    """Really: the parameters of the three kinds of checkout, and the portal."""
    call_command("stripe_setup")
    facts = {
        "customer": customer,
        "metadata": {"organization": "x"},
        "return_to": "https://voicereel.example/billing",
        "cancel_to": "https://voicereel.example/billing",
    }
    paying = gateway.checkout_payment(
        cents=2500, label="Credit", save_card=True, key=str(uuid.uuid4()), **facts
    )
    prices = list(RateClass.objects.values_list("price", flat=True))
    for session in (
        paying,
        gateway.checkout_card(key=str(uuid.uuid4()), **facts),
        gateway.checkout_subscription(prices=prices, key=str(uuid.uuid4()), **facts),
        gateway.open_portal(customer=customer, return_to="https://voicereel.example/billing"),
    ):
        assert session["url"].startswith("https://")
    assert gateway.expire_checkout(paying["id"])["status"] == "expired"


def test_a_meter_event_counts_once(account, customer):
    """Really: the error code of a duplicate, the form of summaries, how late they are."""
    call_command("stripe_setup")
    known = RateClass.objects.get(event_name=RateClass.MICRO_EVENT)
    now = datetime.now(tz=UTC)
    event = {"event_name": known.event_name, "customer": customer, "value": 7, "at": now}
    identifier = f"job:{uuid.uuid4()}"
    gateway.report_use(identifier=identifier, **event)
    with pytest.raises(GatewayRefused) as refused:
        gateway.report_use(identifier=identifier, **event)
    assert refused.value.reason == "duplicate_meter_event"
    minute = now.replace(second=0, microsecond=0)
    end = time.monotonic() + 300
    while gateway.counted(known.meter, customer, minute) != 7:
        assert time.monotonic() < end, "not counted within five minutes"
        time.sleep(5)


def test_a_line_waits_for_the_next_invoice(customer):
    """Really: that a line may be added before there is an invoice, and is found again by its mark."""
    now = datetime.now(tz=UTC)
    made = gateway.add_line(
        customer=customer, cents=15, text="Videos", metadata={"line": "1"}, key=str(uuid.uuid4())
    )
    found = list(gateway.lines_of(customer, since=now.replace(year=now.year - 1)))
    assert [(line["id"], line["metadata"]["line"]) for line in found] == [(made["id"], "1")]
