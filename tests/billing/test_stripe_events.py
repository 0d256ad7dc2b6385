"""Every kind of event we listen to: twice, backwards, shuffled, late. The end is always the same."""

from __future__ import annotations

import uuid

import pytest
from django.core.management import call_command
from django.db import transaction

from billing import ledger
from billing.inbox import HANDLERS
from billing.models import Customer, Invoice, Limits, Reversal, StripeEvent, TopUp, UsageReport
from billing.outbox import Use
from tests.billing.conftest import assert_sound, books
from tests.stripe_double import payments, subscriptions
from tests.stripe_double.fixtures import work
from tests.stripe_double.mail import backwards, shuffled

USD = 1_000_000
# Where the subject of a kind is looked for, when the story below does not tell of it by itself.
SUBJECTS = {
    "checkout.session": "checkout.session",
    "payment_intent": "payment_intent",
    "charge.dispute": "dispute",
    "charge.refund": "refund",
    "charge": "charge",
    "refund": "refund",
    "customer.subscription": "subscription",
    "customer": "customer",
    "payment_method": "payment_method",
    "invoice": "invoice",
}


def story(desk, org, browser) -> None:
    """A year of Acme's: bought, saved a card, was refunded and disputed, subscribed, used, paid; nothing is heard yet."""
    world = desk.world

    def page(amount: str, **more) -> str:
        return browser.post("/billing/topups", {"amount": amount, **more}).headers["Location"]

    bought = desk.pay(page("100", save_card="on"))
    payments.create_refund(world, {"payment_intent": bought["payment_intent"], "amount": 1000})
    failed = payments.create_refund(world, {"payment_intent": bought["payment_intent"], "amount": 500})
    payments.fail_refund(world, failed["id"])
    for won in (True, False):
        disputed = desk.pay(page("50"))
        made = payments.dispute(world, disputed["payment_intent"])
        payments.close_dispute(world, made["id"], won=won)
    for paid in (True, False):
        slow = desk.pay(page("30"), payments.SLOW)
        payments.settle_slow(world, world.get("payment_intent", slow["payment_intent"]), paid=paid)
    payments.expire_session(world, {}, page("7").rpartition("/")[2])
    desk.pay(browser.post("/billing/subscribe").headers["Location"])
    number = Customer.objects.get().number
    subscription = world.all("subscription")[0]
    payments.card(world, number)
    for seconds in (60, 90):
        item = {"customer": number, "amount": seconds * 3, "currency": "usd"}
        subscriptions.create_item(world, item)
        subscriptions.close_period(world, subscription["id"], paid=seconds == 60)
    subscriptions.void_invoice(world, {}, world.all("invoice")[0]["id"])
    meter = world.all("billing.meter")[0]
    event = {"identifier": f"job:{UsageReport.objects.get().job_id}"}
    subscriptions.report_error(world, meter, "meter_event_invalid_value", event)
    told = {event["type"] for event in world.events}
    for kind in sorted(HANDLERS.keys() - told):
        if kind.startswith("v1."):
            world.emit_thin(kind, meter, "/v1/billing/meters", {"developer_message_summary": "no meter"})
        else:
            prefix = next(prefix for prefix in SUBJECTS if kind.startswith(f"{prefix}."))
            world.emit(kind, world.all(SUBJECTS[prefix])[-1])


def end_of(org) -> dict[str, object]:
    return {
        "books": books(org),
        "topups": sorted(TopUp.objects.values_list("amount_micros", "status")),
        "reversals": sorted(Reversal.objects.values_list("kind", "status", "taken_micros")),
        "invoices": sorted(Invoice.objects.values_list("status", "credited_micros")),
        "customer": Customer.objects.values_list("subscription_status", "card_text").get(),
        "reports": list(UsageReport.objects.values_list("state", flat=True)),
    }


END = {
    # bought 100 + 50 + 50 + 30, less 10 refunded and 50 lost; an invoice of 1.80 settled; 0.15 used
    "books": ((230 - 10 - 50) * USD + 1_800_000 - 150_000, 0),
    "topups": [
        (7 * USD, "expired"),
        (30 * USD, "failed"),
        (30 * USD, "paid"),
        (50 * USD, "paid"),
        (50 * USD, "paid"),
        (100 * USD, "paid"),
    ],
    "reversals": [
        ("dispute", "lost", 50 * USD),
        ("dispute", "won", 0),
        ("refund", "failed", 0),
        ("refund", "succeeded", 10 * USD),
    ],
    "invoices": [("paid", 1_800_000), ("void", 0)],
    "customer": ("active", "visa …4242"),
    "reports": ["failed"],
}


@pytest.fixture
def told(desk, org, alice_browser):
    """The story has happened, and its events wait."""
    call_command("stripe_setup")
    org.billing_mode = "postpaid"
    org.save()
    Limits.objects.create(organization=org, credit_limit_micros=USD)
    job_id = uuid.uuid4()
    with transaction.atomic():
        ledger.hold(org, job_id=job_id, amount_micros=150_000)
        ledger.capture(job_id, 150_000, use=Use("second", 5, 30_000))
    story(desk, org, alice_browser)
    return desk


def test_we_listen_to_more_than_thirty_kinds_and_the_story_tells_all_of_them(told):
    kinds = {event["type"] for event in told.mail.waiting}
    assert len(HANDLERS) >= 30
    assert HANDLERS.keys() - kinds == set()


@pytest.mark.parametrize(
    "order", [list, backwards, *(shuffled(seed) for seed in range(4))], ids=["told", "backwards", *"0123"]
)
def test_twice_and_in_any_order(told, org, order):
    told.tell(times=2, order=order)
    work()
    assert end_of(org) == END
    assert not StripeEvent.objects.filter(state__in=["waiting", "failed"]).exists()
    assert_sound()


@pytest.mark.parametrize("seed", range(2))
def test_one_at_a_time_with_work_between(told, org, seed):
    waiting = shuffled(seed)(told.mail.lose())
    for event in waiting:
        told.mail.send(event)
        work()
    assert end_of(org) == END


def test_late_once_more_changes_nothing(told, org):
    told.tell()
    for event in told.mail.sent:
        told.mail.send(event)
    work()
    StripeEvent.objects.all().delete()  # the platform forgot that it ever heard of them
    for event in backwards(told.mail.sent):
        told.mail.send(event)
    work()
    assert end_of(org) == END
    assert_sound()


def test_half_of_them_lost_for_ever(told, org):
    """What has a row of its own is looked at without being told."""
    kept = told.mail.lose()[::2]
    for event in kept:
        told.mail.send(event)
    for _ in range(2):
        work(hurry=True)
    assert sorted(TopUp.objects.values_list("amount_micros", "status")) == END["topups"]
