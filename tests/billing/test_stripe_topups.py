"""Buying credit: from the form to the books, whatever is lost, repeated or late on the way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial

import pytest
from django.core import mail

from accounts.models import AuditEntry, Role
from billing import gateway, gateway_account, inbox
from billing.errors import GatewayAway, GatewayBusy, GatewayDenied
from billing.models import Customer, StripeEvent, TopUp, Transfer
from tests.billing.conftest import assert_sound, books, in_threads
from tests.stripe_double import endpoints, payments
from tests.stripe_double.fixtures import work
from tests.stripe_double.mail import backwards, shuffled, signature
from tests.world import make_member, signed_in

USD = 1_000_000


def buy(browser, amount: str = "25", **more) -> str:
    """The address of the page to pay on."""
    answer = browser.post("/billing/topups", {"amount": amount, **more})
    assert answer.status_code == 303, answer.content.decode()
    return answer.headers["Location"]


def credited(org) -> list[int]:
    return list(Transfer.objects.for_org(org).filter(kind="topup").values_list("amount_micros", flat=True))


class TestCheckout:
    def test_what_was_paid_is_credited(self, desk, org, alice_browser):
        desk.pay(buy(alice_browser, "12.50"))
        desk.tell()
        assert books(org) == (12_500_000, 0)
        row = TopUp.objects.get()
        assert (row.status, row.paid_cents, row.credited_micros) == ("paid", 1250, 12_500_000)
        assert Transfer.objects.get().reference == f"topup:{row.payment}"
        assert AuditEntry.objects.get(action="topup.start").after == {"usd": "12.50"}
        assert_sound()

    def test_the_way_back_credits_before_any_webhook(self, desk, org, alice_browser):
        desk.pay(buy(alice_browser))
        row = TopUp.objects.get()
        page = alice_browser.get(f"/billing/topups/{row.pk}/return", follow=True)
        assert "25.00 USD were added" in page.content.decode()
        assert books(org) == (25 * USD, 0)
        desk.tell(times=2)
        assert credited(org) == [25 * USD]

    def test_nothing_is_credited_to_who_only_opens_the_way_back(self, desk, org, alice_browser):
        buy(alice_browser)
        page = alice_browser.get(f"/billing/topups/{TopUp.objects.get().pk}/return", follow=True)
        assert "Nothing was paid" in page.content.decode()
        assert books(org) == (0, 0)

    def test_without_webhook_and_way_back_the_sweeper_credits(self, desk, org, alice_browser):
        desk.pay(buy(alice_browser))
        desk.mail.lose()
        work()
        assert books(org) == (0, 0)
        work(hurry=True)
        assert books(org) == (25 * USD, 0)

    def test_a_bank_debit_is_credited_when_the_bank_has_paid(self, desk, org, alice_browser):
        session = desk.pay(buy(alice_browser), payments.SLOW)
        desk.tell()
        assert (TopUp.objects.get().status, books(org)) == ("processing", (0, 0))
        payments.settle_slow(desk.world, desk.world.get("payment_intent", session["payment_intent"]))
        desk.tell()
        assert books(org) == (25 * USD, 0)

    def test_a_bank_debit_that_fails_is_not_credited(self, desk, org, alice_browser):
        session = desk.pay(buy(alice_browser), payments.SLOW)
        intent = desk.world.get("payment_intent", session["payment_intent"])
        payments.settle_slow(desk.world, intent, paid=False)
        desk.tell(order=backwards)
        assert (TopUp.objects.get().status, books(org)) == ("failed", (0, 0))

    def test_an_unpaid_page_runs_out(self, desk, org, alice_browser):
        address = buy(alice_browser)
        payments.expire_session(desk.world, {}, address.rpartition("/")[2])
        desk.tell()
        row = TopUp.objects.get()
        assert (row.status, row.waiting) == ("expired", False)

    def test_tax_is_paid_and_not_credited(self, desk, org, alice_browser, settings):
        settings.STRIPE_TAX = True
        desk.world.counts["tax_percent"] = 20
        desk.pay(buy(alice_browser, "10"))
        desk.tell()
        row = TopUp.objects.get()
        assert (row.paid_cents, row.credited_micros, books(org)) == (1200, 10 * USD, (10 * USD, 0))

    def test_money_paid_in_raises_the_tier(self, desk, org, alice_browser, settings):
        from billing.quotas import limits_of

        before = limits_of(org).tier
        desk.pay(buy(alice_browser, "1000"))
        desk.tell()
        assert limits_of(org).tier != before

    @pytest.mark.parametrize("amount", ["4.99", "5000.01", "10.005", "-7", "ten", ""])
    def test_a_wrong_amount_is_said_to_be_wrong_and_kept_in_the_form(self, desk, alice_browser, amount):
        answer = alice_browser.post("/billing/topups", {"amount": amount})
        assert answer.status_code == 422
        assert f'value="{amount}"' in answer.content.decode() or not amount
        assert (desk.double.calls, TopUp.objects.count()) == ([], 0)

    def test_one_customer_for_an_organization(self, desk, org, alice_browser):
        for _ in range(3):
            buy(alice_browser)
        assert len(desk.world.all("customer")) == 1
        assert desk.world.all("customer")[0]["metadata"] == {"organization": str(org.pk)}

    def test_a_customer_deleted_at_stripe_is_followed_by_a_new_one(self, desk, org, alice_browser):
        buy(alice_browser, save_card="on")
        desk.pay(buy(alice_browser, save_card="on"))
        desk.tell()
        first = Customer.objects.get()
        assert first.card
        endpoints.delete_customer(desk.world, {}, first.number)
        desk.tell()
        row = Customer.objects.get()
        assert (row.card, row.deleted) == ("", True)
        desk.pay(buy(alice_browser, save_card="on"))
        desk.tell()
        row = Customer.objects.get()
        assert (row.number != first.number, row.deleted, bool(row.card)) == (True, False, True)
        assert books(org) == (50 * USD, 0)

    def test_one_whose_deletion_nobody_told_is_found_out_by_the_refusal(self, desk, org, alice_browser):
        buy(alice_browser)
        endpoints.delete_customer(desk.world, {}, Customer.objects.get().number)
        desk.mail.lose()
        assert alice_browser.post("/billing/topups", {"amount": "25"}).status_code == 422
        desk.pay(buy(alice_browser))
        desk.tell()
        assert books(org) == (25 * USD, 0)

    def test_a_mailed_page_outlives_its_customer(self, desk, org, alice_browser):
        buy(alice_browser)
        endpoints.delete_customer(desk.world, {}, Customer.objects.get().number)
        desk.mail.lose()
        TopUp.objects.create(organization=org, amount_micros=20 * USD, mailed=True)
        work()
        work(hurry=True)
        desk.pay(next(word for word in mail.outbox[0].body.split() if word.startswith("https://")))
        desk.tell()
        assert books(org) == (20 * USD, 0)

    def test_another_organizations_topup_is_not_found(self, desk, alice_browser, charlie_browser):
        buy(alice_browser)
        assert charlie_browser.get(f"/billing/topups/{TopUp.objects.get().pk}/return").status_code == 404

    def test_a_developer_sees_the_page_without_the_form(self, desk, org, bob):
        page = signed_in(bob).get("/billing").content.decode()
        assert "Continue to payment" not in page
        assert (
            "Continue to payment"
            in signed_in(make_member(org, "b@acme.example", Role.BILLING)).get("/billing").content.decode()
        )


class TestFaults:
    @pytest.mark.parametrize("fault", ["500_before", "drop_before", "429", "409", "500_after", "drop_after"])
    def test_a_page_that_cannot_be_opened_costs_nothing(self, desk, org, alice_browser, fault):
        desk.double.fail(fault, "/v1/checkout/sessions")
        answer = alice_browser.post("/billing/topups", {"amount": "25"})
        assert answer.status_code == 422
        assert (
            "Try again in a minute" in answer.content.decode()
            or "try again in a minute" in answer.content.decode()
        )
        work(hurry=True)
        assert TopUp.objects.get().status == "failed"
        desk.pay(buy(alice_browser))
        desk.tell()
        assert books(org) == (25 * USD, 0)

    def test_a_lost_answer_is_asked_for_again_under_the_same_key(self, desk, org, alice_browser, settings):
        settings.STRIPE_RETRIES = 1
        desk.double.fail("drop_after", "/v1/checkout/sessions")
        desk.pay(buy(alice_browser))
        assert len(desk.world.all("checkout.session")) == 1

    @pytest.mark.parametrize("fault", ["500_before", "drop_before", "429", "401"])
    def test_stripe_away_while_an_event_is_looked_into(self, desk, org, alice_browser, fault):
        desk.pay(buy(alice_browser))
        desk.double.fail(fault, "/v1/", method="get", times=8)
        desk.tell()
        assert books(org) == (0, 0)
        for _ in range(3):
            work(hurry=True)
        assert credited(org) == [25 * USD]
        assert not StripeEvent.objects.filter(waiting=True).exists()

    @pytest.mark.parametrize("seed", range(4))
    def test_repeated_shuffled_late_events_credit_once(self, desk, org, alice_browser, seed):
        for _ in range(3):
            desk.pay(buy(alice_browser, "10"))
        for row in TopUp.objects.all()[:2]:
            alice_browser.get(f"/billing/topups/{row.pk}/return")
        desk.tell(times=3, order=shuffled(seed))
        for event in desk.mail.sent:
            assert desk.mail.send(event) == 200
        work()
        assert credited(org) == [10 * USD] * 3
        assert_sound()


@pytest.mark.django_db(transaction=True)
def test_eight_at_once_credit_once(desk, org, alice_browser):
    from billing import topups

    desk.pay(buy(alice_browser))
    row = TopUp.objects.get()
    in_threads(8, lambda _index: topups.look_again(row))
    work(hurry=True)
    assert credited(org) == [25 * USD]
    assert_sound()


class TestInbox:
    def test_an_event_is_stored_once_and_answered_before_it_is_looked_into(self, desk, alice_browser):
        desk.pay(buy(alice_browser))
        event = desk.mail.waiting[-1]
        asked = len(desk.double.calls)
        assert [desk.mail.send(event) for _ in range(3)] == [200] * 3
        assert StripeEvent.objects.filter(number=event["id"]).count() == 1
        assert len(desk.double.calls) == asked

    def test_what_stripe_did_not_sign_is_refused(self, desk, db):
        body = b'{"id": "evt_1", "object": "event", "type": "checkout.session.completed", "data": {"object": {}}}'
        for signed in (
            "",
            "t=1,v1=00",
            signature("whsec_other", body),
            signature(desk.mail.secret, body, at=1),
        ):
            assert desk._post("/billing/stripe/webhook", body, signed) == 400
        assert desk._post("/billing/stripe/webhook", body + b" ", signature(desk.mail.secret, body)) == 400
        assert StripeEvent.objects.count() == 0

    def test_unknown_kinds_are_kept_and_ignored(self, desk, org, alice_browser):
        desk.world.emit("tax.settings.updated", desk.world.create("product", {"name": "x"}))
        desk.tell()
        assert StripeEvent.objects.get(kind="tax.settings.updated").state == "ignored"

    def test_what_another_programme_does_in_the_account_is_not_ours(self, desk, org):
        customer = desk.world.create("customer", {"name": "Somebody else"})
        method = payments.card(desk.world, customer["id"])
        asked = {"amount": 900, "currency": "usd", "customer": customer["id"], "metadata": {"topup": "7"}}
        payments.create_intent(
            desk.world, {**asked, "confirm": True, "off_session": True, "payment_method": method["id"]}
        )
        desk.tell()
        assert not StripeEvent.objects.filter(state="failed").exists()
        assert Transfer.objects.count() == 0

    def test_an_event_that_breaks_us_every_time_is_given_up(self, desk, alice_browser, monkeypatch):
        desk.pay(buy(alice_browser))
        desk.mail.waiting[:] = [one for one in desk.mail.waiting if one["type"].startswith("checkout.")]
        monkeypatch.setitem(inbox.HANDLERS, "checkout.session.completed", lambda _event: 1 / 0)
        desk.tell()
        assert StripeEvent.objects.get().state == "waiting"
        StripeEvent.objects.update(tries=inbox.TRIES)
        work(hurry=True)
        event = StripeEvent.objects.get()
        assert (event.state, event.waiting) == ("failed", False)
        assert "the log says why" in event.problem

    def test_an_event_about_what_is_gone_is_ignored(self, desk, alice_browser):
        desk.pay(buy(alice_browser))
        for number in [n for n, found in desk.world.objects.items() if found["object"] == "payment_method"]:
            del desk.world.objects[number]
        desk.tell()
        assert not StripeEvent.objects.filter(waiting=True).exists()


class TestWithoutKeys:
    def test_the_page_says_who_gives_credit(self, stripe_off, alice_browser):
        page = alice_browser.get("/billing").content.decode()
        assert "given by its operator" in page
        assert "Continue to payment" not in page

    def test_nothing_can_be_bought_and_nothing_is_believed(self, stripe_off, alice_browser, client):
        answer = alice_browser.post("/billing/topups", {"amount": "25"})
        assert (answer.status_code, TopUp.objects.count()) == (422, 0)
        assert (
            client.post("/billing/stripe/webhook", b"{}", content_type="application/json").status_code == 400
        )


@pytest.mark.django_db(transaction=True)
def test_stripe_is_never_called_inside_a_transaction(desk):
    from django.db import transaction

    with pytest.raises(RuntimeError), transaction.atomic():
        gateway.customer("cus_1")
    assert desk.double.calls == []


class TestLists:
    """More than fits one answer of Stripe's: what is true of the first page is true of the second."""

    HOURS = 130

    @pytest.fixture
    def asked(self, desk, db):
        """The question for use in each of more than five days' hours."""
        meter = gateway_account.create_meter(event_name="hours", label="Hours")["id"]
        end = datetime.now(tz=UTC).replace(minute=0, second=0, microsecond=0)
        start = end - timedelta(hours=self.HOURS)
        for hour in range(self.HOURS):
            at = int(start.timestamp()) + hour * 3600
            used = {"customer": "cus_1", "meter": meter, "timestamp": at, "value": Decimal(hour + 1)}
            desk.world.meter_events.append(used)
        return partial(gateway.counted_by_hour, meter, "cus_1", start, end)

    def test_every_page_is_read(self, asked):
        assert sorted(asked().values()) == list(range(1, self.HOURS + 1))

    @pytest.mark.parametrize(
        ("fault", "error"), [("500_before", GatewayAway), ("429", GatewayBusy), ("401", GatewayDenied)]
    )
    def test_what_goes_wrong_on_the_second_is_said_in_our_words(self, desk, asked, fault, error):
        desk.double.fail(fault, "/v1/billing/meters", method="get", first=1)
        with pytest.raises(error):
            asked()


@pytest.mark.django_db(transaction=True)
def test_the_next_page_is_not_asked_for_inside_a_transaction_either(desk):
    from django.db import transaction

    for _ in range(101):
        desk.world.new("payment_intent", customer="cus_1", status="succeeded")
    found = gateway.payments_of("cus_1", since=datetime(2026, 1, 1, tzinfo=UTC))
    for _ in range(100):
        next(found)
    with pytest.raises(RuntimeError), transaction.atomic():
        next(found)
    assert len(desk.double.calls) == 1


def test_the_version_is_the_sdks_own():
    """Upgrading the SDK is upgrading the API version, here and at the webhook endpoints."""
    from stripe._api_version import _ApiVersion

    assert gateway.API_VERSION == _ApiVersion.CURRENT


class TestConsole:
    @pytest.mark.parametrize(
        "page",
        [
            "stripeevent",
            "topup",
            "customer",
            "reversal",
            "usagereport",
            "usageline",
            "rateclass",
            "invoice",
            "autotopup",
        ],
    )
    def test_every_list_opens(self, desk, console, alice_browser, page):
        desk.pay(buy(alice_browser))
        desk.tell()
        assert console.get(f"/console/billing/{page}/").status_code == 200

    def test_an_event_is_found_by_what_it_is_about(self, desk, console, alice_browser):
        desk.pay(buy(alice_browser))
        desk.tell()
        event = StripeEvent.objects.get(kind="checkout.session.completed")
        for word in (event.subject, event.number):
            found = console.get("/console/billing/stripeevent/", {"q": word})
            assert event in found.context["cl"].result_list
        nothing = console.get("/console/billing/stripeevent/", {"q": "evt_none"})
        assert list(nothing.context["cl"].result_list) == []

    def test_an_event_is_looked_into_again_on_record(self, desk, console, org, alice_browser):
        desk.pay(buy(alice_browser))
        desk.tell()
        event = StripeEvent.objects.get(kind="checkout.session.completed")
        answer = console.post(
            "/console/billing/stripeevent/", {"action": "retry", "_selected_action": [str(event.pk)]}
        )
        assert answer.status_code == 302
        assert AuditEntry.objects.filter(action="stripeevent.retry", target_id=str(event.pk)).exists()
        work()
        event.refresh_from_db()
        assert (event.state, credited(org)) == ("done", [25 * USD])
