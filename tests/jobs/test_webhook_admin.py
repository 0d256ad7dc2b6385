"""The operator's view of webhooks."""

from __future__ import annotations

import pytest
from django.test.utils import override_settings

from accounts.models import AuditEntry
from jobs import webhooks
from jobs.models import Delivery
from tests.dialects.rest.hooks import Hook, Reply
from tests.jobs import drive


@pytest.fixture
def hook():
    found = Hook(lambda message: Reply(410, {}, b"moved to Mars"))
    with override_settings(FETCH_ALLOW_HOSTS=[found.host]):
        yield found
    found.close()


def test_an_operator_sees_every_try_and_sends_again_what_was_given_up(console, operator, caller, hook):
    endpoint, secret = webhooks.add(caller, url=hook.url)
    delivery = webhooks.ping(endpoint)
    drive.tell()
    page = console.get(f"/console/jobs/delivery/{delivery.pk}/change/").text
    assert "moved to Mars" in page
    shown = console.get(f"/console/jobs/webhookendpoint/{endpoint.pk}/change/").text
    assert hook.url in shown
    endpoint.refresh_from_db()
    assert secret not in shown
    assert endpoint.sealed not in shown

    form = {"action": "replay_deliveries", "_selected_action": [str(delivery.pk)]}
    refusal = console.post("/console/jobs/delivery/", form, follow=True)
    assert "The endpoint is disabled" in refusal.text
    webhooks.change(caller, endpoint, {"enabled": True})
    hook.answer = lambda message: Reply()
    console.post("/console/jobs/delivery/", form)
    drive.tell()
    assert Delivery.objects.get().status == "delivered"
    assert [message.id for message in hook.got] == [delivery.pk.hex] * 2
    entry = AuditEntry.objects.get(action="webhook.replay")
    assert (entry.actor_user, entry.organization) == (operator, caller.organization)


@pytest.mark.parametrize("page", ["webhookendpoint", "delivery"])
def test_the_lists_open_and_can_only_be_read(console, caller, page):
    endpoint, _ = webhooks.add(caller, url="https://customer.example/hook")
    row = endpoint if page == "webhookendpoint" else webhooks.ping(endpoint)
    assert str(row.pk) in console.get(f"/console/jobs/{page}/").text
    assert console.post(f"/console/jobs/{page}/{row.pk}/change/", {}).status_code == 403
    assert console.post(f"/console/jobs/{page}/{row.pk}/delete/", {"post": "yes"}).status_code == 403
