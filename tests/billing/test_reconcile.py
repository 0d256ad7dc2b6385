"""Books, Stripe and jobs against each other: for each rule a planted difference is found, shown and mended."""

from __future__ import annotations

import contextlib
import re
import uuid
from datetime import timedelta
from io import StringIO

import pytest
from celery import current_app
from django.conf import settings as configured
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone

from accounts.models import AuditEntry
from billing import ledger, ledger_check
from billing.free import Terms
from billing.models import (
    Account,
    Customer,
    Difference,
    FreeQuota,
    Hold,
    Invoice,
    Limits,
    Reconciliation,
    Reversal,
    StripeEvent,
    TopUp,
    UsageLine,
    UsageReport,
)
from billing.outbox import Use
from jobs.models import Asset, Attempt, Job
from jobs.submit import submit
from tests.billing.conftest import hold
from tests.jobs import drive
from tests.stripe_double import payments
from tests.stripe_double import subscriptions as stripes
from tests.stripe_double.fixtures import work

USD = 1_000_000
RATE = 30_000


def compare() -> str:
    """The command's lines, whether or not something differs."""
    out = StringIO()
    with contextlib.suppress(CommandError):
        call_command("reconcile", "--fresh", stdout=out, stderr=StringIO())
    return out.getvalue()


def open_ones() -> list[tuple[str, str, str]]:
    rows = Difference.objects.filter(resolved_at=None).order_by("rule", "pk")
    return [(row.rule, row.expected, row.found) for row in rows]


@pytest.fixture
def topup(desk, org, alice_browser) -> TopUp:
    desk.pay(alice_browser.post("/billing/topups", {"amount": "20"}).headers["Location"])
    desk.tell()
    return TopUp.objects.get(status="paid")


@pytest.fixture
def filmed(org, caller) -> Job:
    """A job that was made and paid for."""
    drive.fund(org)
    drive.fake_route(org)
    job = submit(caller, drive.request(org))
    drive.run_all()
    job.refresh_from_db()
    assert job.status == "succeeded"
    return job


def used(organization, seconds: int) -> uuid.UUID:
    """A job by the books, and its order by the provider's rows left out: R6 names those."""
    job_id = hold(organization, f"{seconds * RATE / USD:.2f}", model="wan-2.2-s2v").job_id
    with transaction.atomic():
        ledger.capture(job_id, seconds * RATE, use=Use("second", seconds, RATE))
    return job_id


def of(rule: str) -> list[tuple[str, str, str]]:
    compare()
    return [found for found in open_ones() if found[0] == rule]


class TestLocalRules:
    def test_r1_a_balance_that_is_not_its_transfers(self, stripe_off, org):
        drive.fund(org)
        Account.objects.filter(organization=org, kind="available").update(balance_micros=1)
        assert ("R1", str(20 * USD), "1") in of("R1")
        Account.objects.filter(organization=org, kind="available").update(balance_micros=20 * USD)
        assert of("R1") == []
        assert Difference.objects.exclude(resolved_at=None).exists()  # what was is kept

    def test_r2_a_job_that_is_over_and_holds(self, stripe_off, filmed):
        Job.objects.filter(pk=filmed.pk).update(charged_micros=1)
        assert of("R2") == [("R2", "1", str(filmed.charged_micros))]
        assert Difference.objects.get(rule="R2").job_id == filmed.pk

    def test_r6_captured_and_made_by_nobody(self, stripe_off, filmed):
        assert of("R6") == []
        Attempt.objects.filter(job=filmed).update(status="failed")
        assert of("R6") == [("R6", "1", "0")]
        assert Difference.objects.get().job_id == filmed.pk

    def test_r6_more_seconds_than_were_quoted_or_filmed(self, stripe_off, filmed):
        Hold.objects.filter(job_id=filmed.pk).update(billed_ms=5000)
        Asset.objects.filter(job_id=filmed.pk, role="video").update(duration_ms=3000)
        assert [found for found in of("R6") if found[0] == "R6"] == [
            ("R6", "4000", "5000"),
            ("R6", "4000", "3000"),
        ]
        assert set(Difference.objects.filter(rule="R6").values_list("job_id", flat=True)) == {filmed.pk}

    def test_r6_what_a_provider_took_and_no_margin_counts(self, stripe_off, filmed):
        assert of("R6") == []
        Attempt.objects.filter(job=filmed).update(cost_micros=7)
        assert of("R6") == [("R6", "7", "0")]

    def test_the_books_are_checked_once_for_both_rules(self, stripe_off, filmed, monkeypatch):
        checks = []
        check = ledger_check.check
        monkeypatch.setattr(ledger_check, "check", lambda: checks.append(1) or check())
        compare()
        assert len(checks) == 1

    def test_r6_a_free_video_needs_an_order_and_a_look_does_not(self, stripe_off, org):
        drive.fund(org)
        look = hold(org, "0.01", model="wan-2.2-s2v-detect")
        FreeQuota.objects.create(model="m", units=9)
        film = hold(org, "0.09", model="m", terms=Terms("second", RATE, 1000))
        with transaction.atomic():
            ledger.capture(look.job_id, look.price_micros)
            assert ledger.capture(film.job_id, film.price_micros, billed_ms=3000) == 0
        assert of("R6") == [("R6", "1", "0")]
        assert Difference.objects.get(rule="R6").job_id == film.job_id

    def test_without_keys_the_others_are_left_out_and_the_page_says_so(self, console, stripe_off, filmed):
        lines = compare()
        assert lines.count("skipped") == 4  # and of R4 the books' own side was gone through
        page = console.get("/console/billing/difference/").text
        assert "There are no keys for Stripe" in page
        rows = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
        today = f"{timezone.now():%Y-%m-%d}"
        assert re.search(rf"R1 Every balance, [^.]+[.] {today} \d\d:\d\d UTC agrees 0", rows)
        assert re.search(
            r"R4 [^.]+[.] not lately only the books&#x27; own side: There are no keys for Stripe. 0", rows
        )
        assert re.search(r"R7 [^.]+[.] not lately left out: There are no keys for Stripe. 0", rows)


class TestMeters:
    def test_r3_use_that_nobody_invoices_for_want_of_a_key_is_named(self, stripe_off, org, console):
        org.billing_mode = "postpaid"
        org.save()
        Limits.objects.create(organization=org, credit_limit_micros=USD)
        used(org, 7)
        compare()
        page = console.get("/console/billing/difference/").text
        assert "Postpaid use of 0.21 USD is invoiced by nobody but you" in page

    def test_r3_use_that_the_meter_lost(self, account, postpaid):
        job_id = used(postpaid, 7)
        used(postpaid, 5)
        work()
        assert of("R3") == []
        account.world.meter_events[:] = [
            event for event in account.world.meter_events if event["identifier"] != f"job:{job_id}"
        ]
        [(_, expected, found)] = of("R3")
        assert int(expected) - int(found) == 7
        assert Difference.objects.get(rule="R3").job_id == job_id

    def test_r3_a_report_that_was_given_up(self, account, postpaid):
        job_id = used(postpaid, 7)
        work()
        UsageReport.objects.update(state="failed")
        assert of("R3") == [("R3", "sent", "failed")]
        assert Difference.objects.get(rule="R3").job_id == job_id


class TestPayments:
    def test_r4_nothing_differs_after_ordinary_business(self, desk, topup):
        refund = payments.create_refund(desk.world, {"payment_intent": topup.payment, "amount": 300})
        payments.dispute(desk.world, topup.payment, 500)
        desk.tell()
        payments.fail_refund(desk.world, refund["id"])
        desk.tell()
        assert of("R4") == []

    def test_r4_a_payment_that_nobody_credited(self, desk, org, alice_browser):
        desk.pay(alice_browser.post("/billing/topups", {"amount": "20"}).headers["Location"])
        desk.mail.lose()
        assert of("R4") == [("R4", "2000", "0")]
        work(hurry=True)
        assert of("R4") == []

    def test_r4_a_payment_that_stripe_does_not_have(self, desk, topup):
        del desk.world.objects[topup.payment]
        assert of("R4") == [("R4", "0", "2000")]

    def test_r4_a_refund_and_a_dispute_that_nobody_heard_of(self, desk, topup):
        payments.create_refund(desk.world, {"payment_intent": topup.payment, "amount": 300})
        payments.dispute(desk.world, topup.payment, 500)
        desk.mail.lose()
        assert of("R4") == [("R4", "300", "0"), ("R4", "500", "0")]

    def test_r4_an_invoices_money_that_nobody_heard_of(self, account, postpaid):
        used(postpaid, 60)
        work()
        stripes.close_period(account.world, Customer.objects.get().subscription)
        lost = account.mail.lose()
        assert of("R4") == [("R4", "180", "0")]
        for event in lost:
            account.mail.send(event)
        work()
        assert of("R4") == []
        intent = Invoice.objects.get().payment
        payments.create_refund(account.world, {"payment_intent": intent, "amount": 30})
        payments.dispute(account.world, intent, 50)
        lost = account.mail.lose()
        assert of("R4") == [("R4", "30", "0"), ("R4", "50", "0")]
        for event in lost:
            account.mail.send(event)
        work()
        assert of("R4") == []
        del account.world.objects[intent]
        Invoice.objects.update(credited_micros=1)
        assert of("R4") == [("R4", "0", "180"), ("R4", "1", "1800000")]

    def test_r4_credit_that_is_not_in_the_books(self, stripe_off, org):
        """The books' own side of it, which needs no Stripe."""
        paid = {"status": "paid", "paid_at": timezone.now(), "waiting": False}
        TopUp.objects.create(
            organization=org, amount_micros=5, credited_micros=5, payment="pi_1", paid_cents=1, **paid
        )
        assert of("R4") == [("R4", "5", "0")]

    def test_r4_a_reversal_that_is_not_in_the_books(self, desk, topup):
        payments.create_refund(desk.world, {"payment_intent": topup.payment, "amount": 300})
        desk.tell()
        Reversal.objects.update(taken_micros=1)
        assert of("R4") == [("R4", "1", str(3 * USD))]


class TestInvoices:
    def test_r5_a_metered_line(self, account, postpaid):
        used(postpaid, 7)
        work()
        invoice = stripes.close_period(account.world, Customer.objects.get().subscription)
        account.tell()
        assert of("R5") == []
        invoice["lines"]["data"][0]["amount"] += 1
        assert of("R5") == []  # a cent is rounding
        invoice["lines"]["data"][0]["amount"] += 1
        assert of("R5") == [("R5", "21", "23")]
        assert Invoice.objects.get().number in Difference.objects.get(rule="R5").subject

    def test_r5_a_metered_line_that_is_missing(self, account, postpaid):
        job_id = used(postpaid, 7)
        work()
        invoice = stripes.close_period(account.world, Customer.objects.get().subscription)
        account.tell()
        assert of("R5") == []
        invoice["lines"]["data"].clear()
        assert of("R5") == [("R5", "21", "0")]
        assert Difference.objects.get(rule="R5").job_id == job_id
        invoice["billing_reason"] = "manual"  # which is of no period
        assert of("R5") == []

    def test_r5_a_line_of_our_own(self, account, postpaid, settings):
        settings.STRIPE_COLLECTOR = "invoice_items"
        job_id = used(postpaid, 7)
        work()
        work(hurry=True)
        assert UsageLine.objects.get().cents == 21
        assert of("R5") == []
        item = account.world.all("invoiceitem")[0]
        item["amount"] = 99
        assert of("R5") == [("R5", "21", "99")]
        assert Difference.objects.get(rule="R5").job_id == job_id


class TestEvents:
    def test_r7_an_event_that_never_arrived(self, desk, topup):
        assert of("R7") == []
        payments.create_refund(desk.world, {"payment_intent": topup.payment, "amount": 300})
        lost = desk.mail.lose()
        assert len(of("R7")) == len(lost)
        for event in lost:
            desk.mail.send(event)
        work()
        assert of("R7") == []

    def test_r7_an_event_that_was_given_up(self, desk, topup):
        event = StripeEvent.objects.first()
        StripeEvent.objects.filter(pk=event.pk).update(state="failed")
        assert of("R7") == [("R7", "done", "failed")]


class TestTheRun:
    def test_a_rule_that_stripe_did_not_answer_resolves_nothing(self, desk, topup):
        del desk.world.objects[topup.payment]
        assert of("R4") == [("R4", "0", "2000")]
        desk.double.fail("500_before", "/v1/payment_intents", method="get")
        assert of("R4") == [("R4", "0", "2000")]
        assert "R4" in Reconciliation.objects.last().skipped

    def test_a_difference_that_is_found_again_is_one(self, desk, topup):
        del desk.world.objects[topup.payment]
        of("R4")
        first = Difference.objects.get()
        of("R4")
        again = Difference.objects.get()
        assert again.first_seen_at == first.first_seen_at
        assert again.last_seen_at > first.last_seen_at

    def test_the_page_leads_to_the_job_and_the_operators_word_is_on_record(self, console, filmed, stripe_off):
        Attempt.objects.filter(job=filmed).update(status="failed")
        compare()
        row = Difference.objects.get()
        page = console.get("/console/billing/difference/").text
        assert f"/console/jobs/job/{filmed.pk}/change/" in page
        console.post("/console/billing/difference/", {"action": "resolve", "_selected_action": [row.pk]})
        assert open_ones() == []
        assert AuditEntry.objects.get(action="difference.resolve").before["resolved"] is False
        compare()  # it is still so
        assert open_ones() == [("R6", "1", "0")]

    def test_what_is_older_than_the_span_stays_open(self, stripe_off, filmed):
        Attempt.objects.filter(job=filmed).update(status="failed")
        compare()
        Attempt.objects.filter(job=filmed).update(status="succeeded")
        Difference.objects.update(happened_at="2026-01-01T00:00:00Z")
        assert open_ones() == [("R6", "1", "0")] == of("R6")

    def test_beat_runs_it_each_night(self, stripe_off, db):
        entry = configured.CELERY_BEAT_SCHEDULE["reconcile"]
        assert entry["schedule"].remaining_estimate(timezone.now()) <= timedelta(days=1)
        current_app.tasks[entry["task"]]()
        assert Reconciliation.objects.get().ended_at is not None
