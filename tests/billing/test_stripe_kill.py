"""kill -9 in the middle of a call to Stripe, before and after it took effect: everything happens exactly once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models.functions import Now

from billing import ledger, reversals
from billing.models import AutoTopUp, Limits, TopUp, UsageReport
from billing.outbox import Use
from config.embedded import process
from config.embedded.home import CHECKOUT
from tests.billing.conftest import assert_sound, books
from tests.stripe_double.fixtures import SECRETS, models
from tests.stripe_double.server import KEY
from tests.world import make_user

pytestmark = pytest.mark.django_db(transaction=True)

USD = 1_000_000
# By then Stripe knows no idempotency key of before.
FORGOTTEN = 25


class Worker:
    def __init__(self, desk) -> None:
        database = connection.settings_dict
        url = f"postgresql://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
        env = {
            **os.environ,
            "DATABASE_URL": url,
            "STRIPE_SECRET_KEY": KEY,
            "STRIPE_API_URL": desk.double.url,
            "STRIPE_WEBHOOK_SECRETS": ",".join(SECRETS),
            "STRIPE_RETRIES": "0",
        }
        command = [sys.executable, "-W", "ignore", "-m", "tests.stripe_double.worker"]
        self.child = subprocess.Popen(command, env=env, cwd=CHECKOUT, stdout=subprocess.PIPE)
        assert self.child.stdout is not None
        assert self.child.stdout.readline() == b"working\n"

    def kill(self) -> None:
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()
        assert self.child.stdout is not None
        self.child.stdout.close()


def make_due() -> None:
    """Time passes: leases of the dead run out, pauses end."""
    for model in models():
        model._default_manager.filter(waiting=True).update(
            due_at=Now() - timedelta(minutes=1), lease_until=Now() - timedelta(seconds=1)
        )


def killed_at(desk, fault: str, path: str, done: Callable[[], bool], *, hours: int = 0) -> None:
    """A worker is killed while Stripe is at the call; another one, so many hours later by Stripe's clock, finishes."""
    held = desk.double.fail(fault, path)
    first = Worker(desk)
    try:
        make_due()
        assert process.until(held.met.is_set, seconds=60)
    finally:
        first.kill()
        held.release.set()
    desk.world.advance(hours * 3600)
    second = Worker(desk)
    try:

        def finished() -> bool:
            make_due()
            return done()

        assert process.until(finished, seconds=60, pause=0.2)
    finally:
        second.kill()


@pytest.mark.parametrize("fault", ["delay_before", "delay"])
class TestKilled:
    def test_while_reporting_use(self, desk, org, alice_browser, fault):
        call_command("stripe_setup")
        org.billing_mode = "postpaid"
        org.save()
        Limits.objects.create(organization=org, credit_limit_micros=USD)
        desk.pay(alice_browser.post("/billing/subscribe").headers["Location"])
        desk.tell()
        job_id = uuid.uuid4()
        with transaction.atomic():
            ledger.hold(org, job_id=job_id, amount_micros=150_000)
            ledger.capture(job_id, 150_000, use=Use("second", 5, 30_000))
        killed_at(
            desk,
            fault,
            "/v1/billing/meter_events",
            lambda: UsageReport.objects.filter(state="sent").exists(),
        )
        assert [known["value"] for known in desk.world.meter_events] == [5]

    def test_while_charging_a_card(self, desk, org, alice_browser, fault):
        desk.pay(alice_browser.post("/billing/card").headers["Location"])
        desk.tell()
        plan = {"threshold": "5", "amount": "20", "daily_cap": "50", "consent": "on"}
        alice_browser.post("/billing/auto-topup", plan)
        assert AutoTopUp.objects.get().enabled
        paid = TopUp.objects.filter(status="paid")
        killed_at(desk, fault, "/v1/payment_intents", paid.exists, hours=FORGOTTEN)
        assert [intent["status"] for intent in desk.world.all("payment_intent")] == ["succeeded"]
        assert books(org) == (20 * USD, 0)
        assert_sound()

    def test_while_refunding(self, desk, org, alice_browser, fault):
        desk.pay(alice_browser.post("/billing/topups", {"amount": "20"}).headers["Location"])
        desk.tell()
        row = reversals.refund(
            TopUp.objects.get(), 5 * USD, by=make_user("operator@house.example"), reason="asked for"
        )
        made = type(row).objects.filter(status="succeeded")
        killed_at(desk, fault, "/v1/refunds", made.exists, hours=FORGOTTEN)
        assert [refund["amount"] for refund in desk.world.all("refund")] == [500]
        assert books(org) == (15 * USD, 0)
        assert_sound()
