"""Alerts about money, told to an organization's endpoints: each once, signed, and to those alone that asked."""

from __future__ import annotations

import pytest
from django.test.utils import override_settings
from standardwebhooks import Webhook

from billing import alerts
from tests.billing.conftest import give, hold, in_threads
from tests.dialects.rest.hooks import Hook
from tests.jobs import drive
from tests.world import api_client

USD = 1_000_000
ALERTS = ["budget.reached", "balance.low"]


@pytest.fixture
def hook():
    found = Hook()
    with override_settings(FETCH_ALLOW_HOSTS=[found.host]):
        yield found
    found.close()


def add(api, hook, *events: str) -> dict:
    answer = api.post("/v1/webhooks", {"url": hook.url, "events": events}, format="json")
    assert answer.status_code == 201, answer.json()
    return answer.json()


@pytest.fixture
def watched(org, alice_browser):
    """A hundred dollars, a budget of ten a month, and sixty are few."""
    give(org, "100")
    answer = alice_browser.post("/billing/alerts", {"budget": "10", "low_balance": "60"})
    assert answer.status_code == 302
    return org


def look(hook) -> list[str]:
    """The types of what a look tells."""
    hook.got.clear()
    alerts.look()
    drive.tell()
    return [message.told["type"] for message in hook.got]


def test_each_is_told_once_with_what_was_found(watched, api, hook):
    secret = add(api, hook, *ALERTS)["secret"]
    assert look(hook) == []
    hold(watched, "9")
    assert look(hook) == ["budget.reached"]  # of two shares at once the higher
    (message,) = hook.got
    told = Webhook(secret).verify(message.body, message.headers)
    month = told["data"].pop("raised_at")[:7]
    assert told["data"] == {
        "object": "alert", "kind": "budget", "month": month, "percent": 80,
        "limit_micros": 10 * USD, "found_micros": 9 * USD, "currency": "USD",
    }  # fmt: skip
    assert (told["organization"], told["event"]) == (str(watched.pk), None)
    hold(watched, "50")
    assert sorted(look(hook)) == sorted(ALERTS)
    low = next(message.told["data"] for message in hook.got if message.told["type"] == "balance.low")
    assert (low["percent"], low["month"], low["limit_micros"], low["found_micros"]) == (
        None,
        None,
        60 * USD,
        41 * USD,
    )
    assert look(hook) == []
    give(watched, "30")
    assert look(hook) == []
    hold(watched, "20")
    assert look(hook) == ["balance.low"]


def test_only_those_who_asked_hear_of_it(watched, api, other_org, other_key, hook):
    add(api, hook, "job.succeeded")
    add(api_client(other_key), hook, "*")
    off = add(api, hook, *ALERTS)
    api.patch(f"/v1/webhooks/{off['id']}", {"enabled": False}, format="json")
    hold(watched, "9")
    assert look(hook) == []
    add(api, hook, "*")
    hold(watched, "1")
    assert look(hook) == ["budget.reached"]


def test_it_is_in_the_log_and_can_be_replayed(watched, api, hook):
    endpoint = add(api, hook, *ALERTS)
    hold(watched, "9")
    look(hook)
    (sent,) = api.get(f"/v1/webhooks/{endpoint['id']}/deliveries").json()["data"]
    assert (sent["type"], sent["status"], sent["job"]) == ("budget.reached", "delivered", None)
    assert api.post(f"/v1/webhooks/deliveries/{sent['id']}/replay").status_code == 202
    drive.tell()
    assert [message.id for message in hook.got] == [sent["id"].replace("-", "")] * 2


@pytest.mark.django_db(transaction=True)
def test_many_looks_at_once_tell_once(watched, api, hook):
    add(api, hook, *ALERTS)
    hold(watched, "50")
    in_threads(8, lambda _: alerts.look())
    drive.tell()
    assert sorted(message.told["type"] for message in hook.got) == sorted(ALERTS)
