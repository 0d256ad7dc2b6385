"""Subscriptions: one for each customer, their invoices, and the portal."""

from __future__ import annotations

import pytest

from billing.models import (
    Customer,
    Invoice,
    Reversal,
    StripeEvent,
    Transfer,
)
from tests.billing.conftest import assert_sound, books
from tests.billing.metering import job
from tests.stripe_double import payments
from tests.stripe_double import subscriptions as stripes
from tests.stripe_double.fixtures import work
from tests.stripe_double.mail import backwards


class TestInvoices:
    def test_a_paid_invoice_settles_the_balance(self, account, postpaid, alice_browser):
        job(postpaid, 60)
        work()
        stripes.close_period(account.world, Customer.objects.get().subscription)
        account.tell(times=2, order=backwards)
        assert books(postpaid) == (0, 0)
        invoice = Invoice.objects.get()
        assert (invoice.status, invoice.total_cents, invoice.credited_micros) == ("paid", 180, 1_800_000)
        assert Transfer.objects.get(kind="topup").reference == f"topup:{invoice.number}"
        page = alice_browser.get("/billing").content.decode()
        assert invoice.page in page
        assert "$1.80" in page

    @pytest.mark.parametrize("order", [list, backwards])
    def test_what_was_paid_may_go_back(self, account, postpaid, order):
        """Of 1.80 with the tax 0.90 is refunded and 0.90 disputed, of which the dispute is won."""
        job(postpaid, 50)
        work()
        made = stripes.close_period(account.world, Customer.objects.get().subscription, tax=30)
        intent = account.world.all("payment_intent")[0]["id"]
        payments.create_refund(account.world, {"payment_intent": intent, "amount": 90})
        disputed = payments.dispute(account.world, intent, 90)
        account.tell(times=2, order=order)
        assert (Invoice.objects.get().payment, books(postpaid)) == (intent, (-1_500_000, 0))
        payments.close_dispute(account.world, disputed["id"], won=True)
        account.tell(times=2, order=order)
        assert books(postpaid) == (-750_000, 0)
        assert [row.invoice.number for row in Reversal.objects.all()] == [made["id"]] * 2
        assert_sound()

    def test_an_unpaid_one_does_not_until_it_is(self, account, postpaid):
        job(postpaid, 60)
        work()
        made = stripes.close_period(account.world, Customer.objects.get().subscription, paid=False)
        account.tell()
        assert books(postpaid) == (-1_800_000, 0)
        stripes.settle_invoice(account.world, made, paid=True)
        account.mail.lose()
        work(hurry=True)
        assert books(postpaid) == (0, 0)

    def test_meters_and_lines_meet_on_one_invoice(self, account, postpaid, settings):
        job(postpaid, 60)
        work()
        settings.STRIPE_COLLECTOR = "invoice_items"
        job(postpaid, 30)
        work()
        work(hurry=True)
        made = stripes.close_period(account.world, Customer.objects.get().subscription)
        assert made["total"] == 270
        account.tell()
        assert books(postpaid) == (0, 0)

    def test_a_cancelled_subscription_is_noticed(self, account, postpaid):
        stripes.cancel_subscription(account.world, {}, Customer.objects.get().subscription)
        account.tell()
        assert Customer.objects.get().subscription_status == "canceled"

    def test_the_second_subscription_is_the_portal(self, account, postpaid, alice_browser):
        answer = alice_browser.post("/billing/subscribe")
        assert answer.headers["Location"].startswith("https://billing.stripe.test/")

    def test_a_prepaid_organization_is_not_invoiced(self, account, org, alice_browser):
        answer = alice_browser.post("/billing/subscribe", follow=True)
        assert "pays before" in answer.content.decode()


class TestOneSubscription:
    @pytest.fixture
    def wanting(self, account, org):
        org.billing_mode = "postpaid"
        org.save()
        return account

    def ask(self, browser) -> str:
        return browser.post("/billing/subscribe").headers["Location"]

    def test_two_tabs_and_two_owners_get_one_page(self, wanting, alice_browser):
        address = self.ask(alice_browser)
        assert self.ask(alice_browser) == address
        Customer.objects.update(checkout="")  # who asks at the same moment has not seen the first one's page
        assert self.ask(alice_browser) == address
        wanting.pay(address)
        wanting.mail.lose()
        assert self.ask(alice_browser).startswith("https://billing.stripe.test/")
        assert len(wanting.world.all("subscription")) == 1

    def test_a_page_that_ran_out_is_followed_by_a_new_one(self, wanting, alice_browser):
        address = self.ask(alice_browser)
        payments.expire_session(wanting.world, {}, address.rpartition("/")[2])
        assert self.ask(alice_browser) not in (address, "")

    def test_one_that_is_not_paid_is_mended_and_not_doubled(self, wanting, alice_browser):
        wanting.pay(self.ask(alice_browser))
        wanting.tell()
        for status in ("incomplete", "unpaid", "paused", "past_due"):
            wanting.world.all("subscription")[0]["status"] = status
            assert self.ask(alice_browser).startswith("https://billing.stripe.test/"), status

    @pytest.mark.parametrize("order", [list, backwards])
    def test_the_one_that_bills_counts_whatever_is_heard_last(self, wanting, alice_browser, order):
        wanting.pay(self.ask(alice_browser))
        stripes.cancel_subscription(wanting.world, {}, wanting.world.all("subscription")[0]["id"])
        wanting.world.advance(60)
        wanting.pay(self.ask(alice_browser))
        wanting.tell(order=order)
        newest = wanting.world.all("subscription")[0]["id"]
        for event in wanting.mail.sent[:]:
            StripeEvent.objects.filter(number=event["id"]).delete()
            wanting.mail.send(event)
            work()
            row = Customer.objects.get()
            assert (row.subscription, row.subscription_status) == (newest, "active"), event["type"]

    def test_more_than_one_is_said_to_the_operator(self, wanting, alice_browser, console):
        wanting.pay(self.ask(alice_browser))
        known = wanting.world.all("subscription")[0]
        asked = {
            "customer": known["customer"],
            "items": [{"price": known["items"]["data"][0]["price"]["id"]}],
        }
        second = stripes.subscribe(wanting.world, asked)
        wanting.tell()
        page = console.get("/console/billing/customer/").text
        assert "cancel all but one" in page
        assert second["id"] in page
        stripes.cancel_subscription(wanting.world, {}, second["id"])
        wanting.tell()
        row = Customer.objects.get()
        assert (row.subscription, row.problem) == (known["id"], "")


class TestPortal:
    def test_it_opens(self, account, alice_browser):
        answer = alice_browser.post("/billing/portal")
        assert answer.headers["Location"].startswith("https://billing.stripe.test/")

    def test_it_says_when_it_cannot(self, desk, alice_browser):
        answer = alice_browser.post("/billing/portal", follow=True)
        assert "refused the request" in answer.content.decode()
