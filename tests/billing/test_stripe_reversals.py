"""Money that goes back and comes again: the books follow Stripe, in whatever order the news come."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from accounts.models import AuditEntry
from billing import reversals
from billing.errors import CreditSpent
from billing.models import Reversal, TopUp, Transfer
from tests.billing.conftest import assert_sound, books, hold, in_threads
from tests.stripe_double import payments
from tests.stripe_double.fixtures import work
from tests.stripe_double.mail import backwards, shuffled
from tests.world import make_user

USD = 1_000_000


@pytest.fixture
def operator(db):
    return make_user("operator@house.example")


@pytest.fixture
def topup(desk, org, alice_browser) -> TopUp:
    address = alice_browser.post("/billing/topups", {"amount": "20"}).headers["Location"]
    desk.pay(address)
    desk.tell()
    return TopUp.objects.get(status="paid")


def give_back(topup, micros, operator, **more) -> Reversal:
    row = reversals.refund(topup, micros, by=operator, reason="asked for", **more)
    work()
    row.refresh_from_db()
    return row


def moves(org) -> list[tuple[str, str, int]]:
    rows = Transfer.objects.for_org(org).exclude(kind__in=["topup", "hold", "capture", "release"])
    return [(row.kind, row.credit.kind, row.amount_micros) for row in rows.order_by("id")]


class TestRefund:
    def test_the_credit_leaves_and_the_card_is_paid(self, desk, org, topup, operator):
        row = give_back(topup, 5 * USD, operator)
        assert (row.status, books(org)) == ("succeeded", (15 * USD, 0))
        assert [refund["amount"] for refund in desk.world.all("refund")] == [500]
        desk.tell(times=2, order=backwards)
        assert moves(org) == [("refund", "funding", 5 * USD)]
        entry = AuditEntry.objects.get(action="topup.refund")
        assert (entry.before, entry.after["left_usd"]) == ({"left_usd": "20.00"}, "15.00")
        assert entry.after["usd"] == "5.00"
        assert_sound()

    def test_only_what_is_unspent_unless_the_operator_says_so(self, desk, org, topup, operator):
        hold(org, "18")
        with pytest.raises(CreditSpent):
            reversals.refund(topup, 5 * USD, by=operator, reason="")
        assert (books(org), Reversal.objects.count()) == ((2 * USD, 18 * USD), 0)
        give_back(topup, 5 * USD, operator, spent_too=True)
        assert books(org) == (-3 * USD, 18 * USD)
        assert_sound()

    def test_never_more_than_was_paid(self, desk, org, topup, operator):
        give_back(topup, 15 * USD, operator)
        for micros in (6 * USD, 0, 1):
            with pytest.raises(CreditSpent):
                reversals.refund(topup, micros, by=operator, reason="", spent_too=True)

    def test_a_refund_that_fails_gives_the_credit_back(self, desk, org, topup, operator):
        row = give_back(topup, 20 * USD, operator)
        payments.fail_refund(desk.world, row.number)
        desk.tell(order=backwards, times=2)
        assert books(org) == (20 * USD, 0)
        assert moves(org) == [("refund", "funding", 20 * USD), ("refund", "available", 20 * USD)]
        assert_sound()

    @pytest.mark.parametrize(
        "fault", ["500_before", "500_after", "drop_before", "drop_after", "429", "409", "401", "403"]
    )
    def test_one_refund_whatever_happens_to_the_answer(self, desk, org, topup, operator, fault):
        desk.double.fail(fault, "/v1/refunds")
        row = give_back(topup, 5 * USD, operator)
        assert books(org) == (15 * USD, 0)
        work(hurry=True)
        row.refresh_from_db()
        assert row.status == "succeeded"
        assert [refund["amount"] for refund in desk.world.all("refund")] == [500]
        assert books(org) == (15 * USD, 0)

    def test_what_stripe_refuses_comes_back(self, desk, org, topup, operator):
        payments.create_refund(desk.world, {"payment_intent": topup.payment})
        row = give_back(topup, 20 * USD, operator)
        assert (row.status, books(org)) == ("refused", (20 * USD, 0))
        desk.tell()  # and now the one that was made on Stripe's page
        assert books(org) == (0, 0)
        assert_sound()

    @pytest.mark.parametrize("refusal", ["401", "400"])
    def test_a_look_that_is_refused_says_nothing_of_the_refund(self, desk, org, topup, operator, refusal):
        """It was made and its answer lost; only its own refusal may bring the credit back."""
        desk.double.fail("drop_after", "/v1/refunds")
        give_back(topup, 5 * USD, operator)
        desk.double.fail(refusal, "/v1/refunds", method="get")
        work(hurry=True)
        assert (Reversal.objects.get().waiting, books(org)) == (True, (15 * USD, 0))
        work(hurry=True)
        assert (Reversal.objects.get().status, books(org)) == ("succeeded", (15 * USD, 0))

    def test_one_made_on_stripes_own_page(self, desk, org, topup):
        refund = payments.create_refund(desk.world, {"payment_intent": topup.payment, "amount": 333})
        desk.tell(times=3)
        assert books(org) == (16_670_000, 0)
        payments.fail_refund(desk.world, refund["id"])
        desk.tell()
        assert books(org) == (20 * USD, 0)

    def test_with_tax_the_card_gets_the_tax_back_too(self, desk, org, alice_browser, operator, settings):
        settings.STRIPE_TAX = True
        desk.world.counts["tax_percent"] = 19
        desk.pay(alice_browser.post("/billing/topups", {"amount": "10"}).headers["Location"])
        desk.tell()
        give_back(TopUp.objects.get(), 10 * USD, operator)
        assert [refund["amount"] for refund in desk.world.all("refund")] == [1190]
        assert books(org) == (0, 0)


class TestDispute:
    @pytest.mark.parametrize("won", [True, False])
    @pytest.mark.parametrize("seed", range(3))
    def test_the_bank_takes_the_money_and_may_give_it_back(self, desk, org, topup, won, seed):
        made = payments.dispute(desk.world, topup.payment)
        if seed:
            desk.tell(times=2, order=shuffled(seed))
            assert books(org) == (0, 0)
        payments.close_dispute(desk.world, made["id"], won=won)
        desk.tell(times=2, order=shuffled(seed))
        assert books(org) == (20 * USD if won else 0, 0)
        assert Reversal.objects.get().waiting is False
        assert_sound()

    def test_spent_credit_becomes_a_debt_and_new_jobs_are_refused(self, desk, org, topup):
        from billing.errors import InsufficientFunds

        hold(org, "15")
        payments.dispute(desk.world, topup.payment)
        desk.tell()
        assert books(org) == (-15 * USD, 15 * USD)
        with pytest.raises(InsufficientFunds):
            hold(org, "0.01")

    def test_an_open_dispute_is_looked_at_although_no_news_arrive(self, desk, org, topup):
        made = payments.dispute(desk.world, topup.payment)
        desk.tell()
        payments.close_dispute(desk.world, made["id"], won=True)
        desk.mail.lose()
        work(hurry=True)
        assert books(org) == (20 * USD, 0)

    def test_a_refund_and_a_dispute_of_one_payment(self, desk, org, topup):
        payments.create_refund(desk.world, {"payment_intent": topup.payment, "amount": 500})
        payments.dispute(desk.world, topup.payment, 1500)
        desk.tell(order=backwards)
        assert books(org) == (0, 0)
        assert_sound()

    @pytest.mark.parametrize("seed", range(3))
    def test_news_of_the_end_may_come_before_the_beginning(self, desk, org, alice_browser, seed):
        """Paid, refunded in part, disputed and won, and only then any of it is heard."""
        session = desk.pay(alice_browser.post("/billing/topups", {"amount": "20"}).headers["Location"])
        payments.create_refund(desk.world, {"payment_intent": session["payment_intent"], "amount": 500})
        made = payments.dispute(desk.world, session["payment_intent"], 1500)
        payments.close_dispute(desk.world, made["id"], won=True)
        desk.tell(times=2, order=shuffled(seed))
        assert books(org) == (15 * USD, 0)
        assert_sound()


def test_a_refund_waits_for_the_credit_that_it_takes_back(desk, org, alice_browser):
    """Only the refund is heard of, and Stripe breaks off while its payment is looked for."""
    session = desk.pay(alice_browser.post("/billing/topups", {"amount": "20"}).headers["Location"])
    desk.mail.lose()
    payments.create_refund(desk.world, {"payment_intent": session["payment_intent"], "amount": 500})
    desk.mail.waiting[:] = [event for event in desk.mail.waiting if event["type"] == "refund.created"]
    desk.double.fail("500_before", "/v1/checkout/sessions", method="get", times=2)
    desk.tell()
    for _ in range(2):
        work(hurry=True)
    assert books(org) == (15 * USD, 0)


@pytest.mark.django_db(transaction=True)
def test_eight_refunds_at_once_never_return_more_than_was_paid(desk, org, alice_browser):
    operator = make_user("operator@house.example")
    desk.pay(alice_browser.post("/billing/topups", {"amount": "20"}).headers["Location"])
    desk.tell()
    topup = TopUp.objects.get()

    def refund(_index: int) -> bool:
        try:
            give_back(topup, 6 * USD, operator, spent_too=True)
        except CreditSpent:
            return False
        return True

    assert sorted(in_threads(8, refund)) == [False] * 5 + [True] * 3
    work(hurry=True)
    assert books(org) == (2 * USD, 0)
    assert [refund["amount"] for refund in desk.world.all("refund")] == [600] * 3
    assert_sound()


@pytest.mark.django_db(transaction=True)
def test_who_looked_too_early_writes_nothing(desk, org, alice_browser):
    """One process has read that the refund succeeded; before it writes, the refund fails and its event arrives."""
    desk.pay(alice_browser.post("/billing/topups", {"amount": "20"}).headers["Location"])
    desk.tell()
    made = payments.create_refund(desk.world, {"payment_intent": TopUp.objects.get().payment, "amount": 500})
    desk.tell()
    assert books(org) == (15 * USD, 0)
    row = Reversal.objects.get()
    held = desk.double.fail("delay", "/v1/refunds", method="get")

    def look() -> None:
        try:
            Reversal.objects.hint(row.pk)
            reversals.refresh(str(row.pk))
        finally:
            connection.close()

    early = threading.Thread(target=look)
    early.start()
    assert held.met.wait(30)
    payments.fail_refund(desk.world, made["id"])
    desk.tell()
    held.release.set()
    early.join()
    work()
    assert books(org) == (20 * USD, 0)
    assert_sound()
