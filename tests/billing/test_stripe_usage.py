"""Postpaid use: every captured second reaches the invoice once, whatever breaks between us and Stripe."""

from __future__ import annotations

import random
import uuid
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models.functions import Now

from billing import gateway, ledger, outbox
from billing.models import (
    Customer,
    Limits,
    RateClass,
    UsageLine,
    UsageReport,
)
from billing.outbox import Use
from tests.billing.conftest import assert_sound, books
from tests.billing.metering import RATE, SECOND_EVENT, USD, age, job, metered, states
from tests.stripe_double import subscriptions as stripes
from tests.stripe_double.fixtures import work


class TestSetup:
    def test_it_makes_everything_once(self, desk, db, capsys):
        call_command("stripe_setup")
        first = capsys.readouterr().out
        assert first.count("made ") > 5
        assert "whsec_" in first
        before = dict(desk.world.objects)
        call_command("stripe_setup")
        second = capsys.readouterr().out
        assert "made " not in second
        assert "whsec_" not in second
        assert desk.world.objects.keys() == before.keys()
        assert RateClass.objects.filter(event_name="voicereel_micros").exists()
        prices = {price["lookup_key"]: price for price in desk.world.all("price")}
        for known in RateClass.objects.all():
            assert Decimal(prices[known.event_name]["unit_amount_decimal"]) * 10_000 == known.micros_per_unit
        endpoint = desk.world.all("webhook_endpoint")[0]
        assert len(endpoint["enabled_events"]) >= 30
        assert endpoint["api_version"] == "2026-10-28.endive"

    def test_what_is_there_is_checked(self, account, capsys):
        """Found again behind a page of others; mended where that takes nothing from the operator, told where it does."""
        world = account.world
        [endpoint], [destination] = world.all("webhook_endpoint"), world.all("v2.core.event_destination")
        kinds = {one["id"]: list(one["enabled_events"]) for one in (endpoint, destination)}
        for one in (endpoint, destination):
            one |= {"status": "disabled", "enabled_events": ["customer.created"]}
        for number in range(25):
            other = {"url": f"https://other.example/{number}"}
            world.objects[f"ed_{number}"] = {**destination, "id": f"ed_{number}", "webhook_endpoint": other}
        dearer, elsewhere = world.all("price")[:2]
        dearer["unit_amount_decimal"] = "1"
        elsewhere["recurring"]["meter"] = "mtr_archived"
        names = [dearer["lookup_key"], elsewhere["lookup_key"]]
        world.all("billing_portal.configuration")[0]["features"]["invoice_history"]["enabled"] = False
        call_command("stripe_setup")
        told = capsys.readouterr().out
        assert [line.split()[2] for line in told.splitlines() if line.startswith("made ")] == names[::-1]
        assert told.count("had another amount or meter") == 2
        assert "(without invoice_history)" in told
        for one in (endpoint, destination):
            assert (one["status"], sorted(one["enabled_events"])) == ("enabled", sorted(kinds[one["id"]]))
        prices = {price["lookup_key"]: price["id"] for price in world.all("price")}
        assert {known.price for known in RateClass.objects.all()} == set(prices.values()) - {prices.get(None)}

    def test_it_goes_on_where_it_broke_off(self, desk, db):
        desk.double.fail("500_before", "/v1/prices")
        with pytest.raises(Exception, match="does not answer"):
            call_command("stripe_setup")
        call_command("stripe_setup")
        call_command("stripe_setup")
        names = [meter["event_name"] for meter in desk.world.all("billing.meter")]
        assert len(names) == len(set(names)) == RateClass.objects.count()

    def test_a_new_price_gets_its_own_meter(self, account, db):
        from billing.models import Price

        Price.objects.create(model="new", micros_per_unit=31_337, max_units=9)
        call_command("stripe_setup")
        assert RateClass.objects.get(micros_per_unit=31_337).event_name == "voicereel_seconds_at_31337"


class TestMeters:
    def test_seconds_are_reported_once(self, account, postpaid):
        job(postpaid, 5)
        job(postpaid, 7)
        work()
        work(hurry=True)
        assert (metered(account), states()) == (12, ["sent", "sent"])
        assert books(postpaid) == (-12 * RATE, 0)
        assert_sound()

    def test_what_has_no_meter_of_its_own_is_counted_in_micro_dollars(self, account, postpaid):
        job(postpaid, 5, rate=12_345)
        work()
        assert metered(account, "voicereel_micros") == 5 * 12_345

    def test_a_capture_below_the_quote_is_counted_exactly(self, account, postpaid):
        job_id = uuid.uuid4()
        with transaction.atomic():
            ledger.hold(postpaid, job_id=job_id, amount_micros=5 * RATE - 1)
            ledger.capture(job_id, 5 * RATE, use=Use("second", 5, RATE))
        work()
        assert metered(account, "voicereel_micros") == 5 * RATE - 1

    def test_prepaid_jobs_and_released_ones_are_not_reported(self, account, org):
        from tests.billing.conftest import give, hold

        give(org, "5")
        ledger.capture(hold(org, "1").job_id, USD)
        org.billing_mode = "postpaid"
        org.save()
        ledger.release(hold(org, "1").job_id, reason="failed")
        assert UsageReport.objects.count() == 0

    def test_a_capture_that_is_rolled_back_takes_its_report_with_it(self, account, postpaid):
        with transaction.atomic():
            job(postpaid, 5)
            assert UsageReport.objects.count() == 1
            transaction.set_rollback(True)
        assert UsageReport.objects.count() == 0

    @pytest.mark.parametrize(
        "fault", ["500_before", "500_after", "drop_before", "drop_after", "429", "409", "403"]
    )
    def test_a_lost_answer_counts_once(self, account, postpaid, fault):
        account.double.fail(fault, "/v1/billing/meter_events", times=2)
        job(postpaid, 5)
        for _ in range(4):
            work(hurry=True)
        assert (metered(account), states()) == (5, ["sent"])

    @pytest.mark.parametrize("seed", range(3))
    def test_forty_jobs_through_a_storm(self, account, postpaid, seed):
        chance = random.Random(seed)
        total = 0
        for _ in range(40):
            seconds = chance.randint(1, 9)
            total += seconds
            job(postpaid, seconds)
            account.double.fail(
                chance.choice(["500_before", "500_after", "drop_before", "drop_after", "429"]),
                "/v1/billing/meter_events",
            )
            work(hurry=chance.random() < 0.3)
        for _ in range(8):
            work(hurry=True)
        assert metered(account) == total
        assert set(states()) == {"sent"}

    def test_without_a_subscription_it_waits(self, account, org):
        org.billing_mode = "postpaid"
        org.save()
        Limits.objects.create(organization=org, credit_limit_micros=USD)
        job(org, 1)
        work(hurry=True)
        assert (states(), account.world.meter_events) == (["waiting"], [])
        assert "no subscription" in UsageReport.objects.get().problem

    def test_a_meter_that_was_archived_needs_a_person(self, account, postpaid):
        meter = next(m for m in account.world.all("billing.meter") if m["event_name"] == SECOND_EVENT)
        meter["status"] = "inactive"
        job(postpaid, 5)
        work()
        assert states() == ["failed"]
        assert "archived" in UsageReport.objects.get().problem
        meter["status"] = "active"
        outbox.retry(UsageReport.objects.get())
        work()
        assert (metered(account), states()) == (5, ["sent"])

    def test_what_the_meter_refuses_later_comes_back(self, account, postpaid):
        """Stripe answers well, and tells by a thin event that it could not count."""
        number = Customer.objects.get().number
        kept = account.world.objects.pop(number)
        job(postpaid, 5)
        work()
        assert states() == ["sent"]
        account.world.objects[number] = kept
        account.tell()
        assert states() == ["failed"]
        assert "meter_event_customer_not_found" in UsageReport.objects.get().problem

    def test_refused_before_its_sender_has_written(self, account, postpaid, monkeypatch):
        sent = gateway.report_use

        def refused(**event) -> None:
            sent(**event)
            outbox.refused(event["identifier"], "meter_event_invalid_value")

        monkeypatch.setattr(gateway, "report_use", refused)
        job(postpaid, 5)
        work()
        assert states() == ["failed"]


class TestStopLine:
    """Stripe forgets an identifier after 24 hours: sent again then, it would be counted again."""

    def lost(self, account, postpaid, fault: str, hours: float) -> None:
        account.double.fail(fault, "/v1/billing/meter_events", times=1)
        job(postpaid, 5)
        work()
        assert states() == ["waiting"]
        account.world.advance(hours * 3600)
        # the double's clock went on; its events' own time is ours, so both are moved
        age(hours)
        for event in account.world.meter_events:
            event["timestamp"] -= int(hours * 3600)

    @pytest.mark.parametrize("hours", [25, 36 * 24])
    def test_what_was_counted_is_not_sent_again(self, account, postpaid, hours):
        self.lost(account, postpaid, "drop_after", hours)
        sent = len(account.double.seen("post", "/v1/billing/meter_events"))
        work(hurry=True)
        assert (metered(account), states()) == (5, ["sent"])
        assert len(account.double.seen("post", "/v1/billing/meter_events")) == sent

    @pytest.mark.parametrize("hours", [25, 36 * 24])
    def test_what_was_not_counted_becomes_a_line(self, account, postpaid, hours):
        self.lost(account, postpaid, "drop_before", hours)
        work(hurry=True)
        assert (metered(account), states()) == (0, ["lined"])
        work(hurry=True)
        assert [item["amount"] for item in account.world.all("invoiceitem")] == [15]

    def test_what_became_a_line_is_not_made_one_again_by_a_late_word(self, account, postpaid):
        self.lost(account, postpaid, "drop_before", 25)
        work(hurry=True)
        meter = next(m for m in account.world.all("billing.meter") if m["event_name"] == SECOND_EVENT)
        event = {"identifier": UsageReport.objects.get().identifier}
        stripes.report_error(account.world, meter, "meter_event_invalid_value", event)
        account.tell()
        outbox.retry(UsageReport.objects.get())
        for _ in range(2):
            work(hurry=True)
        assert states() == ["lined"]
        assert [item["amount"] for item in account.world.all("invoiceitem")] == [15]

    def test_two_that_ask_at_once_do_not_both_take_the_one_that_was_counted(
        self, account, postpaid, monkeypatch
    ):
        """Equal, of one minute, one of them counted: while one waits for the answer, the other decides."""
        account.double.fail("drop_after", "/v1/billing/meter_events")
        job(postpaid, 5)
        work()
        self.lost_too(account, postpaid)
        first, second = UsageReport.objects.order_by("id")
        counted = gateway.counted

        def meanwhile(*asked) -> int:
            answer = counted(*asked)
            monkeypatch.undo()
            outbox.send(str(second.pk))
            return answer

        monkeypatch.setattr(gateway, "counted", meanwhile)
        outbox.send(str(first.pk))
        assert sorted(states()) == ["lined", "sent"]
        work(hurry=True)
        assert [item["amount"] for item in account.world.all("invoiceitem")] == [15]

    def lost_too(self, account, postpaid) -> None:
        account.double.fail("drop_before", "/v1/billing/meter_events")
        job(postpaid, 5)
        work()
        first = UsageReport.objects.order_by("id").first()
        UsageReport.objects.update(created_at=first.created_at, due_at=first.due_at - timedelta(days=1))
        age(25)
        account.world.advance(25 * 3600)
        for event in account.world.meter_events:
            event["timestamp"] = int(first.created_at.timestamp()) - 25 * 3600

    def test_between_20_and_21_hours_it_only_waits(self, account, postpaid):
        self.lost(account, postpaid, "drop_before", 20.5)
        calls = len(account.double.calls)
        work(hurry=True)
        assert (states(), len(account.double.calls)) == (["waiting"], calls)

    def test_of_many_lost_in_one_minute_exactly_the_uncounted_are_billed(self, account, postpaid):
        for number, seconds in enumerate([3, 5, 5, 8, 2]):
            account.double.fail(
                "drop_after" if number % 2 else "drop_before", "/v1/billing/meter_events", times=1
            )
            job(postpaid, seconds)
            work()
        UsageReport.objects.update(created_at=UsageReport.objects.first().created_at)
        first = UsageReport.objects.first()
        for event in account.world.meter_events:
            event["timestamp"] = int(first.created_at.timestamp())
        age(25)
        account.world.advance(25 * 3600)
        for event in account.world.meter_events:
            event["timestamp"] -= 25 * 3600
        for _ in range(2):
            work(hurry=True)
        assert metered(account) == 13
        assert [item["amount"] for item in account.world.all("invoiceitem")] == [10 * 3]

    def test_a_total_that_nothing_explains_is_left_to_a_person(self, account, postpaid):
        self.lost(account, postpaid, "drop_after", 25)
        account.world.meter_events[0]["value"] = Decimal(4)
        work(hurry=True)
        assert states() == ["stopped"]
        assert "4" in UsageReport.objects.get().problem

    def test_use_older_than_a_meter_takes_becomes_a_line(self, account, postpaid):
        Customer.objects.update(subscription_status="canceled")
        job(postpaid, 5)
        work(hurry=True)
        age(35 * 24)
        Customer.objects.update(subscription_status="active")
        work(hurry=True)
        assert (states(), metered(account)) == (["lined"], 0)


class TestLines:
    @pytest.fixture(autouse=True)
    def _lines(self, settings):
        settings.STRIPE_COLLECTOR = "invoice_items"

    def test_a_days_use_is_one_line_and_no_fraction_is_lost(self, account, postpaid):
        for _ in range(3):
            job(postpaid, 1, rate=3_333)
            work()
            work(hurry=True)
        assert [item["amount"] for item in account.world.all("invoiceitem")] == []
        job(postpaid, 1, rate=3_333)
        work()
        work(hurry=True)
        assert [item["amount"] for item in account.world.all("invoiceitem")] == [1]
        assert Customer.objects.get().carried_micros == 4 * 3_333 - 10_000
        assert account.world.meter_events == []

    def test_the_line_waits_for_the_end_of_the_day(self, account, postpaid):
        job(postpaid, 5)
        job(postpaid, 7)
        work()
        line = UsageLine.objects.get()
        assert (line.amount_micros, line.closed_at, states()) == (12 * RATE, None, ["lined"] * 2)
        assert (line.due_at.hour, line.due_at.minute) == (0, 10)

    @pytest.mark.parametrize("fault", ["500_before", "500_after", "drop_before", "drop_after", "429"])
    def test_a_lost_answer_makes_one_line(self, account, postpaid, fault):
        job(postpaid, 5)
        work()
        account.double.fail(fault, "/v1/invoiceitems")
        work(hurry=True)
        account.world.advance(
            48 * 3600
        )  # the idempotency key is forgotten: only the look at the list is left
        job(postpaid, 7)
        for _ in range(3):
            work(hurry=True)
        assert sorted(item["amount"] for item in account.world.all("invoiceitem")) == [15, 21]
        assert not UsageLine.objects.filter(waiting=True).exists()

    def test_a_line_whose_sender_died_is_sent_once(self, account, postpaid, monkeypatch):
        job(postpaid, 5)
        work()
        sent = gateway.add_line

        def killed(**line) -> None:
            sent(**line)
            raise KeyboardInterrupt  # nobody gets to write anything any more

        monkeypatch.setattr(gateway, "add_line", killed)
        with pytest.raises(KeyboardInterrupt):
            work(hurry=True)
        monkeypatch.undo()
        account.world.advance(25 * 3600)
        UsageLine.objects.update(lease_until=Now())
        work(hurry=True)
        [item] = account.world.all("invoiceitem")
        assert (UsageLine.objects.get().number, item["amount"]) == (item["id"], 15)
        [asked] = account.double.seen("post", "/v1/invoiceitems")
        assert asked.params["tax_behavior"] == "exclusive"


def test_the_clock_of_the_database_decides(account, postpaid):
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        now = cursor.fetchone()[0]
    job(postpaid, 5)
    work()
    assert abs(account.world.meter_events[0]["timestamp"] - now.timestamp()) < 60
