"""The double is as strict as the installed SDK: what it refuses, what it remembers, what goes wrong on request."""

from __future__ import annotations

import pytest
import stripe

from tests.stripe_double import contract, payments
from tests.stripe_double.mail import MailRoom, backwards, signature
from tests.stripe_double.server import KEY, Double

SECRET = "whsec_" + "s" * 24


@pytest.fixture
def double():
    made = Double()
    yield made
    made.close()


def client(double: Double, *, retries: int = 0, timeout: float = 5) -> stripe.StripeClient:
    return stripe.StripeClient(
        KEY,
        base_addresses=dict.fromkeys(("api", "connect", "files", "meter_events"), double.url),
        max_network_retries=retries,
        http_client=stripe.RequestsClient(timeout=timeout),
    )


def pay_in(stripe_api, **more):
    return stripe_api.v1.checkout.sessions.create(
        {
            "mode": "payment",
            "success_url": "https://x.example/ok",
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": "usd",
                        "unit_amount": 2000,
                        "product_data": {"name": "Credit"},
                    },
                }
            ],
            **more,
        }
    )


class TestContract:
    def test_every_operation_and_object_of_the_sdk_can_be_read(self):
        assert len(contract.operations()) > 600
        for operation in contract.operations():
            assert operation.params["type"] == "object", operation.path
            assert operation.answer is not None
        for name in contract.OBJECT_CLASSES:
            if name not in {"list", "search_result", "file_upload"}:
                contract.check_object(contract.blank(name))

    def test_forms_become_typed_trees(self):
        found = contract.find("post", "/v1/checkout/sessions")
        assert found is not None
        form = "mode=payment&line_items[0][quantity]=2&automatic_tax[enabled]=true&metadata[a]=7"
        assert found[0].read("", form) == {
            "mode": "payment",
            "line_items": [{"quantity": 2}],
            "automatic_tax": {"enabled": True},
            "metadata": {"a": "7"},
        }

    @pytest.mark.parametrize(
        ("path", "form", "param"),
        [
            ("/v1/checkout/sessions", "payment_method_types[0]=card", "payment_method_types"),
            ("/v1/checkout/sessions", "mode=pay", "mode"),
            ("/v1/checkout/sessions", "line_items[0][count]=1", "line_items[0][count]"),
            ("/v1/checkout/sessions", "line_items[0][quantity]=many", "line_items[0][quantity]"),
            ("/v1/checkout/sessions", "automatic_tax[enabled]=yes", "automatic_tax[enabled]"),
            ("/v1/payment_intents", "amount=5", "currency"),
            ("/v1/payment_intents", "amount=5.5&currency=usd", "amount"),
            ("/v1/billing/meter_events", "event_name=a&payload[value]=1&value=1", "value"),
        ],
    )
    def test_what_stripe_would_refuse_is_refused_by_name(self, path, form, param):
        found = contract.find("post", path)
        assert found is not None
        with pytest.raises(contract.ContractBroken) as refused:
            found[0].read("", form)
        assert refused.value.param == param


class TestRequests:
    def test_an_unknown_parameter_is_a_400_and_a_violation(self, double):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            client(double).v1.customers.create({"nickname": "x"})  # type: ignore[typeddict-unknown-key]  # the mistake under test
        assert refused.value.param == "nickname"
        assert len(double.violations) == 1

    def test_a_key_returns_the_first_answer_and_refuses_other_parameters(self, double):
        api = client(double)
        first = api.v1.customers.create({"name": "Acme"}, {"idempotency_key": "k"})
        assert api.v1.customers.create({"name": "Acme"}, {"idempotency_key": "k"}).id == first.id
        with pytest.raises(stripe.IdempotencyError):
            api.v1.customers.create({"name": "Umbra"}, {"idempotency_key": "k"})
        double.world.advance(25 * 3600)
        assert api.v1.customers.create({"name": "Acme"}, {"idempotency_key": "k"}).id != first.id

    def test_a_dropped_answer_is_asked_for_again_under_its_key(self, double):
        double.fail("drop_after", "/v1/customers")
        api = client(double, retries=1)
        made = api.v1.customers.create({"name": "Acme"}, {"idempotency_key": "k"})
        assert [customer.id for customer in api.v1.customers.list().data] == [made.id]

    @pytest.mark.parametrize(
        ("kind", "error", "made"),
        [
            ("500_before", stripe.APIError, 0),
            ("500_after", stripe.APIError, 1),
            ("drop_before", stripe.APIConnectionError, 0),
            ("drop_after", stripe.APIConnectionError, 1),
            ("429", stripe.RateLimitError, 0),
            ("409", stripe.StripeError, 0),
        ],
    )
    def test_faults(self, double, kind, error, made):
        double.fail(kind, "/v1/customers")
        with pytest.raises(error):
            client(double).v1.customers.create({"name": "Acme"})
        assert len(client(double).v1.customers.list().data) == made
        assert double.violations == []

    def test_a_stored_failure_is_replayed(self, double):
        double.fail("500_after", "/v1/customers")
        for _ in range(2):
            with pytest.raises(stripe.APIError):
                client(double).v1.customers.create({"name": "Acme"}, {"idempotency_key": "k"})
        assert len(double.world.all("customer")) == 1

    def test_a_slow_answer_runs_into_the_clients_timeout(self, double):
        fault = double.fail("delay", "/v1/customers")
        with pytest.raises(stripe.APIConnectionError):
            client(double, timeout=0.2).v1.customers.create({"name": "Acme"})
        fault.release.set()


class TestMoney:
    def test_a_checkout_is_paid_refunded_and_disputed(self, double):
        api = client(double)
        session = pay_in(api)
        assert session.url
        payments.complete(double.world, session.id)
        paid = api.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
        assert (paid.payment_status, paid.payment_intent.amount_received) == ("paid", 2000)
        refund = api.v1.refunds.create({"payment_intent": paid.payment_intent.id, "amount": 500})
        with pytest.raises(stripe.InvalidRequestError):
            api.v1.refunds.create({"payment_intent": paid.payment_intent.id, "amount": 1501})
        payments.fail_refund(double.world, refund.id)
        made = payments.dispute(double.world, paid.payment_intent.id)
        payments.close_dispute(double.world, made["id"], won=True)
        found = api.v1.disputes.retrieve(made["id"])
        assert [moved.amount for moved in found.balance_transactions] == [-2000, 2000]
        assert double.violations == []

    @pytest.mark.parametrize("behaves", [payments.DECLINED, payments.AUTHENTICATE])
    def test_a_saved_card_may_be_declined(self, double, behaves):
        api = client(double)
        customer = api.v1.customers.create({"name": "Acme"})
        method = payments.card(double.world, customer.id, behaves)
        with pytest.raises(stripe.CardError) as declined:
            api.v1.payment_intents.create(
                {
                    "amount": 500,
                    "currency": "usd",
                    "customer": customer.id,
                    "payment_method": method["id"],
                    "off_session": True,
                    "confirm": True,
                }
            )
        assert declined.value.error is not None
        assert declined.value.error.payment_intent.status == "requires_payment_method"

    def test_an_identifier_counts_once_in_24_hours_and_again_after(self, double):
        api = client(double)
        customer = api.v1.customers.create({"name": "Acme"})
        meter = api.v1.billing.meters.create(
            {"display_name": "s", "event_name": "s", "default_aggregation": {"formula": "sum"}}
        )
        event = {
            "event_name": "s",
            "identifier": "job:1",
            "payload": {"stripe_customer_id": customer.id, "value": "5"},
        }
        api.v1.billing.meter_events.create(event)
        with pytest.raises(stripe.InvalidRequestError) as refused:
            api.v1.billing.meter_events.create(event)
        assert refused.value.code == "duplicate_meter_event"
        double.world.advance(24 * 3600 + 1)
        api.v1.billing.meter_events.create(event)
        now = double.world.now // 60 * 60
        found = api.v1.billing.meters.event_summaries.list(
            meter.id, {"customer": customer.id, "start_time": now - 48 * 3600, "end_time": now + 60}
        )
        assert [summary.aggregated_value for summary in found.data] == [10.0]
        for at, code in (
            (now - 36 * 24 * 3600, "timestamp_too_far_in_past"),
            (now + 900, "timestamp_in_future"),
        ):
            with pytest.raises(stripe.InvalidRequestError) as refused:
                api.v1.billing.meter_events.create({**event, "identifier": "job:2", "timestamp": at})
            assert refused.value.code == code


class TestWebhooks:
    def test_the_real_verifier_accepts_them_and_nothing_changed(self, double):
        got = []
        mail = MailRoom(lambda _url, body, signed: got.append((body, signed)) or 200, SECRET, SECRET)
        double.world.told = mail.take
        client(double).v1.customers.create({"name": "Acme"})
        client(double).v1.customers.create({"name": "Umbra"})
        assert mail.deliver(times=2, order=backwards) == [200] * 4
        body, signed = got[0]
        event = client(double).construct_event(body, signed, SECRET)
        assert (event.type, event.data.object["name"]) == ("customer.created", "Umbra")
        for changed, tag in (
            (body + b" ", signed),
            (body, signed.replace("t=1", "t=2")),
            (body, signature(SECRET, body, at=1)),
            (body, signature("whsec_other", body)),
        ):
            with pytest.raises(stripe.SignatureVerificationError):
                client(double).construct_event(changed, tag, SECRET)
