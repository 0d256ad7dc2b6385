"""Webhooks of our own API, verified by the Standard Webhooks library."""

from __future__ import annotations

import json

import pytest
from django.test.utils import override_settings
from standardwebhooks import Webhook, WebhookVerificationError

from jobs.models import Delivery
from tests.dialects.wavespeed.receiver import Receiver
from tests.jobs import drive


@pytest.fixture
def funded(org):
    drive.fund(org)
    drive.fake_route(org)
    return org


@pytest.fixture
def receiver():
    found = Receiver(statuses=(500,))
    with override_settings(FETCH_ALLOW_HOSTS=[f"127.0.0.1:{found.port}"]):
        yield found
    found.close()


def submitted(api, org, receiver, prompt: str = "") -> dict:
    inputs = {role: str(drive.asset(org, role).id) for role in ("image", "audio")}
    body = {
        "model": "wan-2.2-s2v",
        "inputs": inputs,
        "options": {"prompt": prompt},
        "webhook_url": receiver.url(),
    }
    answer = api.post("/v1/jobs", body, format="json")
    assert answer.status_code == 202, answer.json()
    return answer.json()


def deliver(job: dict) -> Delivery:
    row = Delivery.objects.get(job_id=job["id"])
    Delivery.objects.filter(pk=row.pk).update(due_at=row.created_at)
    drive.tell()
    row.refresh_from_db()
    return row


def test_the_end_of_a_job_is_told_signed_and_told_again_until_it_is_heard(funded, api, receiver):
    job = submitted(api, funded, receiver)
    drive.run_all()
    first = deliver(job)
    assert (first.status, first.tries, first.last_status) == ("due", 1, 500)
    second = deliver(job)
    assert (second.status, second.tries, second.last_status) == ("delivered", 2, 200)

    (headers, body), (again, _) = receiver.got
    assert headers["webhook-id"] == again["webhook-id"] == first.pk.hex
    verifier = Webhook(api.get("/v1/webhooks/secret").json()["secret"])
    event = verifier.verify(body, headers)
    assert (event["type"], event["data"]["id"], event["data"]["status"]) == (
        "job.succeeded",
        job["id"],
        "succeeded",
    )
    assert event["data"]["price"]["charged_micros"] == 120_000
    with pytest.raises(WebhookVerificationError):
        verifier.verify(body.replace(b"succeeded", b"failed"), headers)


def test_a_failure_is_told_with_its_reason(funded, api, receiver):
    receiver.left.clear()
    job = submitted(api, funded, receiver, "[fake fail=face_not_found]")
    drive.run_all()
    assert deliver(job).status == "delivered"
    event = json.loads(receiver.got[0][1])
    assert (event["type"], event["data"]["error"]["code"]) == ("job.failed", "face_not_found")


def test_a_message_that_cannot_be_made_counts_as_a_try(funded, api, receiver, monkeypatch, caplog):
    job = submitted(api, funded, receiver)
    drive.run_all()
    monkeypatch.setattr("jobs.dialects.rest.webhooks.shown", lambda jobs: 1 / 0)
    row = deliver(job)
    assert (row.status, row.tries, row.lease_until) == ("due", 1, None)
    assert receiver.got == []
