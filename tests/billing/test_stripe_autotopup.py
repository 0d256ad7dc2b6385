"""Credit that is bought by itself: with consent, once at a time, never past its cap, and never in silence."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core import mail
from django.db.models import F

from accounts.models import AuditEntry, Role
from billing import autotopup, gateway, topups
from billing.models import AutoTopUp, Customer, StripeEvent, TopUp, Transfer
from tests.billing.conftest import assert_sound, books, give, hold, in_threads
from tests.stripe_double import payments
from tests.stripe_double.fixtures import work
from tests.stripe_double.mail import backwards, shuffled
from tests.world import make_member

USD = 1_000_000
PLAN = {"threshold": "5", "amount": "20", "daily_cap": "50", "consent": "on"}


@pytest.fixture
def saved(desk, org, alice_browser):
    """Acme with a saved card."""
    answer = alice_browser.post("/billing/card")
    assert answer.status_code == 303, answer.headers
    desk.pay(answer.headers["Location"])
    desk.tell()
    return desk


def behave(desk, how: str) -> None:
    desk.world.get("payment_method", Customer.objects.get().card)["metadata"]["behaves"] = how


def switch_on(browser, **changed) -> None:
    answer = browser.post("/billing/auto-topup", {**PLAN, **changed})
    assert answer.status_code == 302, answer.content.decode()


def later(hours: float) -> None:
    """So many hours pass."""
    past = timedelta(hours=hours)
    TopUp.objects.update(created_at=F("created_at") - past)
    AutoTopUp.objects.update(consent_at=F("consent_at") - past, next_at=F("next_at") - past)


class TestConsent:
    def test_a_card_is_saved_without_paying(self, saved, alice_browser):
        assert Customer.objects.get().card_text == "visa …4242"
        assert saved.world.all("payment_intent") == []
        assert "visa …4242" in alice_browser.get("/billing").content.decode()

    def test_a_card_may_be_saved_with_a_payment(self, desk, org, alice_browser):
        address = alice_browser.post("/billing/topups", {"amount": "10", "save_card": "on"})
        desk.pay(address.headers["Location"])
        desk.tell()
        assert Customer.objects.get().card

    @pytest.mark.parametrize("order", [list, backwards])
    def test_the_card_that_was_saved_last_is_kept_whatever_is_heard_last(self, desk, alice_browser, order):
        for _ in range(2):
            desk.pay(alice_browser.post("/billing/card").headers["Location"])
            desk.world.advance(60)
        desk.tell(order=order)
        newest = desk.world.all("payment_method")[0]
        for event in desk.mail.sent[:]:
            StripeEvent.objects.filter(number=event["id"]).delete()
            desk.mail.send(event)
            work()
            assert Customer.objects.get().card == newest["id"], event["type"]

    def test_what_the_row_was_read_as_before_does_not_take_off_a_new_card(
        self, saved, alice_browser, monkeypatch
    ):
        """One worker finds the old card taken off; before it writes that, a new one is saved."""
        old = saved.world.get("payment_method", Customer.objects.get().card)
        old["customer"] = None
        subscriptions = gateway.subscriptions_of

        def meanwhile(number):
            monkeypatch.undo()
            saved.pay(alice_browser.post("/billing/card").headers["Location"])
            saved.tell()
            return subscriptions(number)

        monkeypatch.setattr(gateway, "subscriptions_of", meanwhile)
        saved.world.emit("payment_method.detached", old)
        saved.tell()
        work()
        assert Customer.objects.get().card == saved.world.all("payment_method")[0]["id"]

    def test_a_payment_alone_saves_none(self, desk, org, alice_browser):
        desk.pay(alice_browser.post("/billing/topups", {"amount": "10"}).headers["Location"])
        desk.tell()
        assert Customer.objects.get().card == ""

    def test_it_needs_consent_a_card_and_sense(self, desk, saved, alice_browser):
        for wrong in (
            {"consent": ""},
            {"daily_cap": "19"},
            {"threshold": "0"},
            {"amount": "4"},
            {"amount": "9999"},
        ):
            answer = alice_browser.post("/billing/auto-topup", {**PLAN, **wrong})
            assert answer.status_code == 422, wrong
        Customer.objects.update(card="")
        answer = alice_browser.post("/billing/auto-topup", PLAN)
        assert (answer.status_code, AutoTopUp.objects.count()) == (422, 0)
        assert "no saved card" in answer.content.decode()

    def test_who_agreed_to_what_is_kept(self, saved, alice, alice_browser):
        switch_on(alice_browser)
        plan = AutoTopUp.objects.get()
        assert (plan.consent_by, plan.enabled) == (alice, True)
        entry = AuditEntry.objects.get(action="autotopup.on")
        agreed = {"threshold_usd": "5.00", "amount_usd": "20.00", "daily_cap_usd": "50.00"}
        assert (entry.before, entry.after) == ({"enabled": False}, {"enabled": True, **agreed})
        assert "at most $50.00" in alice_browser.get("/billing").content.decode()
        alice_browser.post("/billing/auto-topup/off")
        assert AuditEntry.objects.filter(action="autotopup.off").exists()
        work()
        assert TopUp.objects.count() == 0


class TestBuying:
    def test_low_credit_is_topped_up_once(self, saved, org, alice_browser):
        switch_on(alice_browser)
        work()
        saved.tell(times=2)
        work(hurry=True)
        assert books(org) == (20 * USD, 0)
        intent = saved.world.all("payment_intent")[0]
        assert (intent["amount"], intent["metadata"]["organization"]) == (2000, str(org.pk))
        assert Transfer.objects.get(kind="topup").note == "Automatic top-up"
        hold(org, "14")
        work()
        assert books(org) == (6 * USD, 14 * USD)
        hold(org, "1.01")
        work()
        assert books(org) == (24_990_000, 15_010_000)
        assert_sound()

    def test_the_daily_cap_holds_and_a_day_later_it_goes_on(self, saved, org, alice_browser):
        switch_on(alice_browser)
        for _ in range(4):
            work()
            if books(org)[0] > 19 * USD:
                hold(org, "19")
        assert len(saved.world.all("payment_intent")) == 2
        assert "daily cap" in AutoTopUp.objects.get().problem
        later(25)
        work()
        assert len(saved.world.all("payment_intent")) == 3

    @pytest.mark.parametrize(
        "fault", ["500_before", "500_after", "drop_before", "drop_after", "429", "409", "401"]
    )
    def test_one_payment_whatever_happens_to_the_answer(self, saved, org, alice_browser, fault):
        switch_on(alice_browser)
        saved.double.fail(fault, "/v1/payment_intents", times=1)
        for _ in range(3):
            work(hurry=True)
        assert [intent["status"] for intent in saved.world.all("payment_intent")] == ["succeeded"]
        assert books(org) == (20 * USD, 0)

    def test_an_unanswered_payment_is_credited_by_its_event(self, saved, org, alice_browser):
        switch_on(alice_browser)
        saved.double.fail("drop_after", "/v1/payment_intents")
        saved.double.fail("drop_before", "/v1/payment_intents", method="get")
        work()
        assert books(org) == (0, 0)
        saved.tell(times=2, order=shuffled(3))
        assert books(org) == (20 * USD, 0)
        assert len(saved.world.all("payment_intent")) == 1

    def test_postpaid_and_suspended_organizations_buy_nothing(self, saved, org, alice_browser):
        switch_on(alice_browser)
        org.billing_mode = "postpaid"
        org.save()
        work()
        org.billing_mode = "prepaid"
        org.suspended_at = "2026-01-01T00:00:00Z"
        org.save()
        work()
        assert TopUp.objects.count() == 0

    def test_enough_credit_buys_nothing(self, saved, org, alice_browser):
        give(org, "5")
        switch_on(alice_browser)
        work()
        assert TopUp.objects.count() == 0


class TestTakenBack:
    """Between the row and the charge the organization changes its mind, or its operator does."""

    @pytest.fixture
    def pending(self, saved, alice_browser):
        switch_on(alice_browser)
        saved.double.fail("429", "/v1/payment_intents")
        work()
        assert TopUp.objects.get().status == "created"
        return saved

    @pytest.mark.parametrize("how", ["off", "suspended", "postpaid"])
    def test_the_card_is_not_charged_any_more(self, pending, org, alice_browser, how):
        if how == "off":
            alice_browser.post("/billing/auto-topup/off")
        else:
            org.suspended_at = "2026-01-01T00:00:00Z" if how == "suspended" else None
            org.billing_mode = "postpaid" if how == "postpaid" else "prepaid"
            org.save()
        work(hurry=how != "off")
        row = TopUp.objects.get()
        assert (row.status, row.waiting, mail.outbox) == ("expired", False, [])
        assert pending.world.all("payment_intent") == []

    def test_what_was_charged_before_is_credited(self, saved, org, alice_browser):
        switch_on(alice_browser)
        saved.double.fail("drop_after", "/v1/payment_intents")
        work()
        alice_browser.post("/billing/auto-topup/off")
        work()
        assert (TopUp.objects.get().status, books(org)) == ("paid", (20 * USD, 0))

    def test_a_payment_under_way_is_its_makers_to_write_down(self, saved, org, alice_browser, monkeypatch):
        switch_on(alice_browser)
        charge = gateway.charge_card

        def switched_off_meanwhile(**asked):
            alice_browser.post("/billing/auto-topup/off")
            work()
            return charge(**asked)

        monkeypatch.setattr(gateway, "charge_card", switched_off_meanwhile)
        work()
        assert (TopUp.objects.get().status, books(org)) == ("paid", (20 * USD, 0))

    def test_one_that_failed_is_not_tried_by_looking_at_it(self, saved, org, alice_browser):
        switch_on(alice_browser)
        card = Customer.objects.get().card
        Customer.objects.update(card="")
        work()
        failed = TopUp.objects.get(automatic=True)
        assert failed.status == "failed"
        Customer.objects.update(card=card)
        alice_browser.get(f"/billing/topups/{failed.pk}/return")
        assert saved.world.all("payment_intent") == []


class TestTax:
    def test_it_cannot_be_switched_on(self, saved, alice_browser, settings):
        settings.STRIPE_TAX = True
        answer = alice_browser.post("/billing/auto-topup", PLAN)
        assert (answer.status_code, AutoTopUp.objects.count()) == (422, 0)
        assert "Tax is added on the payment page only" in answer.content.decode()

    def test_a_plan_of_before_is_switched_off_and_says_why(self, saved, alice_browser, settings):
        switch_on(alice_browser)
        settings.STRIPE_TAX = True
        work()
        assert (saved.world.all("payment_intent"), AutoTopUp.objects.get().enabled) == ([], False)
        assert "Tax is added on the payment page only" in alice_browser.get("/billing").content.decode()

    def test_a_mailed_page_credits_without_the_tax_whoever_died_and_whatever_is_heard_first(
        self, saved, org, settings, monkeypatch
    ):
        settings.STRIPE_TAX = True
        saved.world.counts["tax_percent"] = 20
        TopUp.objects.create(organization=org, amount_micros=20 * USD, mailed=True)
        letter = topups.compose

        def killed(*words):
            letter(*words).send()
            raise KeyboardInterrupt

        monkeypatch.setattr(topups, "compose", killed)
        with pytest.raises(KeyboardInterrupt):
            work()
        address = next(word for word in mail.outbox[0].body.split() if word.startswith("https://"))
        saved.pay(address)
        saved.mail.waiting[:] = [e for e in saved.mail.waiting if e["type"] == "payment_intent.succeeded"]
        saved.tell()
        row = TopUp.objects.get()
        assert (row.paid_cents, row.credited_micros, books(org)) == (2400, 20 * USD, (20 * USD, 0))


class TestDecline:
    @pytest.mark.parametrize("how", [payments.DECLINED, payments.AUTHENTICATE])
    def test_a_page_is_mailed_to_who_may_pay(self, saved, org, bob, alice_browser, how):
        make_member(org, "money@acme.example", Role.BILLING)
        switch_on(alice_browser)
        behave(saved, how)
        work()
        saved.tell(times=2)
        assert sorted(mail.outbox[0].to) == ["alice@acme.example", "money@acme.example"]
        assert len(mail.outbox) == 1
        assert books(org) == (0, 0)
        failed = TopUp.objects.get(automatic=True)
        assert failed.status == "failed"
        address = next(word for word in mail.outbox[0].body.split() if word.startswith("https://"))
        [(html, kind)] = mail.outbox[0].alternatives
        assert kind == "text/html"
        assert f'href="{address}"' in html
        assert "$20.00" in html
        saved.pay(address)
        saved.tell()
        assert books(org) == (20 * USD, 0)

    def test_it_is_tried_less_and_less_often_and_then_given_up(self, saved, org, alice_browser):
        switch_on(alice_browser)
        behave(saved, payments.DECLINED)
        tried = []
        for hours in (0, 0.5, 0.6, 1, 24, 24, 100):
            later(hours)
            work()
            tried.append(TopUp.objects.filter(automatic=True).count())
        assert tried == [1, 1, 2, 2, 3, 3, 3]
        plan = AutoTopUp.objects.get()
        assert (plan.enabled, plan.problem) == (False, "Switched off after three failed payments.")
        behave(saved, payments.VISA)
        switch_on(alice_browser)
        work()
        assert books(org) == (20 * USD, 0)

    def test_a_card_taken_off_on_stripes_page_is_not_charged(self, saved, org, alice_browser):
        switch_on(alice_browser)
        saved.world.get("payment_method", Customer.objects.get().card)["customer"] = None
        saved.world.emit("payment_method.detached", saved.world.all("payment_method")[0])
        saved.tell()
        assert Customer.objects.get().card == ""
        work()
        assert saved.world.all("payment_intent") == []
        assert TopUp.objects.get(automatic=True).problem == "There is no saved card."

    def test_mail_that_cannot_be_sent_is_sent_later(self, saved, org, alice_browser, settings):
        switch_on(alice_browser)
        behave(saved, payments.DECLINED)
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_PORT = 1
        work()
        settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
        assert mail.outbox == []
        work(hurry=True)
        assert len(mail.outbox) == 1
        assert len(saved.world.all("checkout.session")) == 2  # the one that saved the card, and this one


@pytest.mark.django_db(transaction=True)
def test_eight_processes_charge_the_card_once(desk, org, alice_browser):
    desk.pay(alice_browser.post("/billing/card").headers["Location"])
    desk.tell()
    switch_on(alice_browser)
    in_threads(8, lambda _index: autotopup.start(str(org.pk)))
    work()
    assert len(desk.world.all("payment_intent")) == 1
    assert books(org) == (20 * USD, 0)
