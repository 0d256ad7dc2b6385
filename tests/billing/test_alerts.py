"""Letters about money: at shares of a month's budget and when little is left; each once, never in a job's own time."""

from __future__ import annotations

import smtplib
from datetime import timedelta

import pytest
from django.core import mail
from django.db import transaction
from django.db.models import F

from accounts.models import AuditEntry, Role
from billing import alerts, ledger
from billing.alert_models import Alert
from billing.models import Limits, MonthSpend
from tests.billing.conftest import give, hold, in_threads
from tests.world import make_member, signed_in

USD = 1_000_000


def plan(browser, budget: str = "", low_balance: str = ""):
    return browser.post("/billing/alerts", {"budget": budget, "low_balance": low_balance})


def told() -> list[str]:
    """The subjects of what a look sends."""
    mail.outbox.clear()
    alerts.look()
    return [letter.subject for letter in mail.outbox]


@pytest.fixture
def funded(org, alice_browser):
    give(org, "100")
    return org


def test_each_share_of_a_budget_is_told_once(funded, alice_browser):
    assert plan(alice_browser, budget="10").status_code == 302
    assert told() == []
    hold(funded, "5")
    assert told() == ["Acme has used 50 % of its budget"]
    assert told() == []
    hold(funded, "4.99")
    assert told() == ["Acme has used 80 % of its budget"]
    hold(funded, "0.01")
    assert told() == ["Acme has used 100 % of its budget"]
    hold(funded, "50")
    assert told() == []


def test_shares_reached_at_once_are_one_letter(funded, alice_browser):
    plan(alice_browser, budget="10")
    hold(funded, "9")
    assert told() == ["Acme has used 80 % of its budget"]
    letter = mail.outbox[0]
    assert "9.00 of 10.00 USD" in letter.body
    assert "<strong>80 %</strong>" in letter.alternatives[0][0]


def test_the_operators_budget_is_told_without_asking(funded):
    Limits.objects.create(organization=funded, monthly_budget_micros=2 * USD)
    hold(funded, "1")
    assert told() == ["Acme has used 50 % of its budget"]


def test_what_was_spent_counts_like_what_is_held(funded, alice_browser):
    plan(alice_browser, budget="10")
    with transaction.atomic():
        held = ledger.hold(funded, job_id=funded.pk, amount_micros=5 * USD)
        ledger.capture(held.job_id, 5 * USD)
    assert told() == ["Acme has used 50 % of its budget"]


def test_the_wish_goes_before_the_operators_budget(funded, alice_browser):
    Limits.objects.create(organization=funded, monthly_budget_micros=90 * USD)
    plan(alice_browser, budget="10")
    hold(funded, "5")
    assert told() == ["Acme has used 50 % of its budget"]


def test_last_months_use_is_not_told(funded, alice_browser):
    plan(alice_browser, budget="10")
    hold(funded, "9")
    MonthSpend.objects.update(month=F("month") - timedelta(days=40))
    assert told() == []


def test_what_is_told_is_told_whatever_the_time_and_whoever_else_has_enough(funded, other_org, alice_browser):
    give(other_org, "1000")
    plan(alice_browser, low_balance="200")
    assert told() == ["Acme has little credit left"]
    Alert.objects.update(tell_at=F("tell_at") - timedelta(hours=1))
    assert told() == []


def test_just_enough_credit_is_enough(funded, alice_browser):
    plan(alice_browser, low_balance="100")
    assert told() == []


def test_little_credit_is_told_and_told_anew_after_there_was_enough(funded, alice_browser):
    plan(alice_browser, low_balance="60")
    assert told() == []
    hold(funded, "50")
    assert told() == ["Acme has little credit left"]
    assert told() == []
    give(funded, "20")
    assert told() == []
    hold(funded, "20")
    assert told() == ["Acme has little credit left"]


def test_who_pays_hears_of_it(funded, alice_browser):
    make_member(funded, "books@acme.example", Role.BILLING)
    make_member(funded, "dev@acme.example", Role.DEVELOPER)
    plan(alice_browser, low_balance="200")
    told()
    assert sorted(mail.outbox[0].to) == ["alice@acme.example", "books@acme.example"]


def test_a_letter_that_could_not_be_sent_is_sent_later(funded, alice_browser, monkeypatch):
    plan(alice_browser, low_balance="200")

    def away(*_args, **_kwargs):
        raise smtplib.SMTPServerDisconnected("away")

    with monkeypatch.context() as broken:
        broken.setattr(mail.EmailMultiAlternatives, "send", away)
        alerts.look()
    assert told() == []  # not at every look
    Alert.objects.update(tell_at=F("tell_at") - timedelta(hours=1))
    assert told() == ["Acme has little credit left"]


@pytest.mark.django_db(transaction=True)
def test_many_looks_at_once_tell_once(funded, alice_browser):
    plan(alice_browser, budget="10", low_balance="99")
    hold(funded, "9")
    mail.outbox.clear()
    in_threads(8, lambda _: alerts.look())
    assert sorted(letter.subject for letter in mail.outbox) == [
        "Acme has little credit left",
        "Acme has used 80 % of its budget",
    ]


def test_the_page_shows_the_month_and_keeps_what_was_chosen(funded, alice_browser):
    assert plan(alice_browser, budget="12.50", low_balance="5").status_code == 302
    hold(funded, "5")
    html = alice_browser.get("/billing/plan").content.decode()
    assert 'value="12.50"' in html
    assert "$5.00</strong> of a budget of $12.50" in html
    assert 'max="100" value="40"' in html
    entry = AuditEntry.objects.get(action="alerts.change")
    assert entry.after == {"budget_micros": 12_500_000, "low_balance_micros": 5_000_000}


@pytest.mark.parametrize("wrong", [{"budget": "much"}, {"budget": "0"}, {"low_balance": "-5"}])
def test_nonsense_is_refused_beside_its_field(funded, alice_browser, wrong):
    answer = plan(alice_browser, **wrong)
    assert answer.status_code == 422
    assert "errorlist" in answer.content.decode()


def test_a_viewer_chooses_nothing(funded):
    viewer = signed_in(make_member(funded, "dev@acme.example", Role.DEVELOPER))
    assert plan(viewer, budget="1").status_code == 403


def test_a_hold_costs_no_statement_more_for_it(funded, alice_browser, django_assert_num_queries):
    plan(alice_browser, budget="10")
    hold(funded, "1")
    with django_assert_num_queries(3), transaction.atomic():  # two of them are its savepoint
        ledger.hold(funded, job_id=funded.pk, amount_micros=USD)
