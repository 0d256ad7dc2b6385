"""Webhook endpoints over HTTP: made, changed, tested, looked at, switched off, deleted."""

from __future__ import annotations

import pytest
from django.test.utils import override_settings

from accounts.models import AuditEntry
from jobs.models import Delivery, WebhookEndpoint
from tests.dialects.rest.hooks import Hook, Reply
from tests.jobs import drive
from tests.world import api_client

URL = "https://customer.example/hook"


@pytest.fixture
def funded(org):
    drive.fund(org)
    drive.fake_route(org)
    return org


@pytest.fixture
def hook():
    found = Hook()
    with override_settings(FETCH_ALLOW_HOSTS=[found.host]):
        yield found
    found.close()


def add(api, url: str = URL, **fields) -> dict:
    answer = api.post("/v1/webhooks", {"url": url, **fields}, format="json")
    assert answer.status_code == 201, answer.json()
    return answer.json()


def submit(api, org, prompt: str = "") -> dict:
    inputs = {role: str(drive.asset(org, role).id) for role in ("image", "audio")}
    body = {"model": "wan-2.2-s2v", "inputs": inputs, "options": {"prompt": prompt}}
    answer = api.post("/v1/jobs", body, format="json")
    assert answer.status_code == 202, answer.json()
    return answer.json()


def refused(answer, status: int, code: str, field: str | None = None) -> dict:
    body = answer.json()
    assert (answer.status_code, body["code"], body.get("field")) == (status, code, field), body
    return body


def test_an_endpoint_lives_and_dies(api, org):
    made = add(api, description="our shop", events=["job.succeeded", "job.failed"])
    assert made.pop("secret").startswith("whsec_")
    assert (made["url"], made["description"], made["enabled"]) == (URL, "our shop", True)
    assert made["events"] == ["job.failed", "job.succeeded"]
    assert api.get(f"/v1/webhooks/{made['id']}").json() == made
    assert api.get("/v1/webhooks").json()["data"] == [made]

    other = add(api)
    assert other["events"] == ["job.canceled", "job.expired", "job.failed", "job.succeeded"]
    changed = api.patch(
        f"/v1/webhooks/{made['id']}", {"events": ["*"], "enabled": False}, format="json"
    ).json()
    assert (changed["events"], changed["enabled"], changed["disabled_reason"]) == (["*"], False, "customer")
    assert changed["description"] == "our shop"
    again = api.patch(f"/v1/webhooks/{made['id']}", {"enabled": True}, format="json").json()
    assert (again["enabled"], again["disabled_at"], again["disabled_reason"]) == (True, None, None)

    assert api.delete(f"/v1/webhooks/{made['id']}").status_code == 204
    refused(api.get(f"/v1/webhooks/{made['id']}"), 404, "webhook_not_found")
    refused(api.delete(f"/v1/webhooks/{made['id']}"), 404, "webhook_not_found")
    assert [row["id"] for row in api.get("/v1/webhooks").json()["data"]] == [other["id"]]


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({}, "parameter_missing", "url"),
        ({"url": ""}, "parameter_invalid", "url"),
        ({"url": 5}, "parameter_invalid", "url"),
        ({"url": "ftp://customer.example/"}, "url_scheme", "url"),
        ({"url": "http://127.0.0.1/hook"}, "url_private", "url"),
        ({"url": "http://169.254.169.254/latest"}, "url_private", "url"),
        ({"url": "https://user:word@customer.example/"}, "url_invalid", "url"),
        ({"url": "https://customer.example:22/"}, "url_invalid", "url"),
        ({"url": URL, "events": []}, "parameter_invalid", "events"),
        ({"url": URL, "events": "job.succeeded"}, "parameter_invalid", "events"),
        ({"url": URL, "events": ["job.finished"]}, "parameter_invalid", "events"),
        ({"url": URL, "events": [["*"]]}, "parameter_invalid", "events"),
        ({"url": URL, "description": "x" * 201}, "parameter_invalid", "description"),
        ({"url": URL, "description": "a\x00b"}, "parameter_invalid", "description"),
        ({"url": URL, "enabled": "yes"}, "parameter_invalid", "enabled"),
        ({"url": URL, "secret": "whsec_x"}, "parameter_invalid", "secret"),
    ],
)
def test_what_is_wrong_is_refused_by_name(api, fields, code, field):
    refused(api.post("/v1/webhooks", fields, format="json"), 422, code, field)
    assert not WebhookEndpoint.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (rb'{"url": "https://customer.example/\ud800"}', "url"),
        (rb'{"url": "https://customer.example/", "description": "\ud800"}', "description"),
    ],
)
def test_half_a_character_is_refused_too(api, body, field):
    answer = api.post("/v1/webhooks", body, content_type="application/json")
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_a_change_that_is_refused_changes_nothing(api):
    made = add(api)
    patch = {"description": "new", "url": "http://10.0.0.1/"}
    refused(api.patch(f"/v1/webhooks/{made['id']}", patch, format="json"), 422, "url_private", "url")
    assert api.get(f"/v1/webhooks/{made['id']}").json()["description"] == ""


def test_there_may_be_ten_at_once(api):
    made = [add(api) for _ in range(10)]
    refused(api.post("/v1/webhooks", {"url": URL}, format="json"), 409, "webhook_limit")
    api.delete(f"/v1/webhooks/{made[0]['id']}")
    add(api)


def test_a_strangers_endpoint_gets_nothing_and_is_not_found(funded, api, other_org, other_key, hook):
    stranger = api_client(other_key)
    theirs = add(stranger, hook.url, events=["*"])
    job = submit(api, funded)
    drive.run_all()
    assert drive.tell() == 0
    assert hook.got == []
    refused(api.get(f"/v1/webhooks/{theirs['id']}"), 404, "webhook_not_found")
    refused(api.post(f"/v1/webhooks/{theirs['id']}/rotate", {}, format="json"), 404, "webhook_not_found")
    mine = add(api, hook.url)
    ping = api.post(f"/v1/webhooks/{mine['id']}/test").json()
    refused(stranger.get(f"/v1/webhooks/deliveries/{ping['id']}"), 404, "delivery_not_found")
    refused(stranger.post(f"/v1/webhooks/deliveries/{ping['id']}/replay"), 404, "delivery_not_found")
    assert job["status"] == "queued"


def test_every_event_is_told_in_order_with_the_id_it_has_in_the_feed(funded, api, hook):
    add(api, hook.url, events=["*"])
    job = submit(api, funded)
    drive.run_all()
    drive.tell()
    feed = api.get("/v1/events").json()["data"] or api.get(f"/v1/jobs/{job['id']}/events").json()["data"]
    told = [message.told for message in hook.got]
    assert [message["event"] for message in told] == feed
    assert [message["type"] for message in told] == [f"job.{event['type']}" for event in feed]
    assert (told[0]["type"], told[-1]["type"]) == ("job.created", "job.succeeded")
    assert len({message.id for message in hook.got}) == len(feed)
    assert all(message["data"]["id"] == job["id"] for message in told)
    assert {message["organization"] for message in told} == {str(funded.pk)}


def test_only_what_was_asked_for_is_told_to_those_who_are_switched_on(funded, api, hook):
    add(api, f"{hook.url}/ends")
    add(api, f"{hook.url}/start", events=["job.created"])
    add(api, f"{hook.url}/off", events=["*"], enabled=False)
    submit(api, funded, "[fake fail=face_not_found]")
    drive.run_all()
    drive.tell()
    assert sorted(message.told["type"] for message in hook.got) == ["job.created", "job.failed"]


def test_the_jobs_own_address_is_told_beside_the_endpoint(funded, api, hook):
    add(api, hook.url)
    inputs = {role: str(drive.asset(funded, role).id) for role in ("image", "audio")}
    body = {"model": "wan-2.2-s2v", "inputs": inputs, "webhook_url": hook.url}
    assert api.post("/v1/jobs", body, format="json").status_code == 202
    drive.run_all()
    drive.tell()
    assert [message.told["type"] for message in hook.got] == ["job.succeeded"] * 2
    assert len({message.id for message in hook.got}) == 2


def test_a_test_message_shows_whether_it_works(api, hook):
    made = add(api, hook.url)
    answer = api.post(f"/v1/webhooks/{made['id']}/test")
    assert (answer.status_code, answer.json()["type"], answer.json()["status"]) == (202, "ping", "due")
    refused(api.post(f"/v1/webhooks/{made['id']}/test"), 409, "webhook_test_pending")
    hook.answer = lambda message: Reply(200, {"Content-Type": "text/plain"}, b"pong")
    drive.tell()
    row = api.get(answer.headers["Location"]).json()
    assert (row["status"], row["tries"], row["last_status"], row["next_try_at"]) == (
        "delivered",
        1,
        200,
        None,
    )
    (entry,) = row["log"]
    assert (entry["status"], entry["answer"]) == (200, "pong")
    assert row["payload"] == hook.got[0].told
    assert (row["payload"]["type"], row["payload"]["data"]) == ("ping", None)


def test_the_log_keeps_every_try_and_little_of_each_answer(api, hook):
    made = add(api, hook.url)
    hook.answer = lambda message: Reply(500, {}, b"\x00\xff" + b"x" * 100_000)
    ping = api.post(f"/v1/webhooks/{made['id']}/test").json()
    drive.tell()
    hook.answer = lambda message: Reply(204)
    Delivery.objects.update(due_at=Delivery.objects.get().created_at)
    drive.tell()
    row = api.get(f"/v1/webhooks/deliveries/{ping['id']}").json()
    assert [entry["status"] for entry in row["log"]] == [500, 204]
    assert row["log"][0]["answer"] == "\ufffd\ufffd" + "x" * 998
    assert hook.got[0].id == hook.got[1].id == row["id"].replace("-", "")


def test_deliveries_are_listed_newest_first_by_page_and_by_status(funded, api, hook):
    made = add(api, hook.url, events=["*"])
    hook.answer = lambda message: Reply(500 if message.told["type"] == "job.created" else 200)
    submit(api, funded)
    drive.run_all()
    drive.tell()
    path = f"/v1/webhooks/{made['id']}/deliveries"
    everything = api.get(path).json()
    assert not everything["has_more"]
    ids = [row["id"] for row in everything["data"]]
    assert ids == sorted(ids, reverse=True)
    seen, after = [], ""
    while after is not None:
        page = api.get(path, {"limit": 2, **({"after": after} if after else {})}).json()
        seen += [row["id"] for row in page["data"]]
        after = page["next"]
    assert seen == ids
    assert {row["status"] for row in api.get(path, {"status": "due"}).json()["data"]} == {"due"}
    assert api.get(path, {"status": "delivered"}).json()["data"] == []  # the first one holds up the others
    refused(api.get(path, {"status": "lost"}), 422, "parameter_invalid", "status")
    refused(api.get(path, {"after": "x"}), 422, "parameter_invalid", "after")
    refused(api.get(path, {"limit": "0"}), 422, "parameter_invalid", "limit")


def test_what_was_given_up_can_be_replayed_under_its_own_id(funded, api, hook):
    made = add(api, hook.url)
    hook.answer = lambda message: Reply(410)
    submit(api, funded)
    drive.run_all()
    drive.tell()
    (row,) = api.get(f"/v1/webhooks/{made['id']}/deliveries").json()["data"]
    assert (row["status"], row["reason"]) == ("failed", "gone")
    path = f"/v1/webhooks/deliveries/{row['id']}/replay"
    refused(api.post(path), 409, "webhook_disabled")
    api.patch(f"/v1/webhooks/{made['id']}", {"enabled": True}, format="json")
    hook.answer = lambda message: Reply()
    assert api.post(path).json()["status"] == "due"
    refused(api.post(path), 409, "delivery_pending")
    drive.tell()
    assert [message.reply for message in hook.got] == [410, 200]
    assert hook.got[0].id == hook.got[1].id
    row = api.get(f"/v1/webhooks/deliveries/{row['id']}").json()
    assert (row["status"], row["reason"], row["tries"], len(row["log"])) == ("delivered", None, 1, 2)


def test_switching_off_gives_up_what_waits(funded, api, hook):
    made = add(api, hook.url)
    hook.answer = lambda message: Reply(503)
    submit(api, funded)
    drive.run_all()
    drive.tell()
    api.patch(f"/v1/webhooks/{made['id']}", {"enabled": False}, format="json")
    (row,) = api.get(f"/v1/webhooks/{made['id']}/deliveries").json()["data"]
    assert (row["status"], row["reason"], row["tries"]) == ("failed", "endpoint_disabled", 1)
    submit(api, funded)
    drive.run_all()
    assert Delivery.objects.count() == 1
    refused(api.post(f"/v1/webhooks/{made['id']}/test"), 409, "webhook_disabled")


def test_a_moved_endpoint_gets_what_still_waits(funded, api, hook):
    made = add(api, hook.url)
    hook.answer = lambda message: Reply(503)
    submit(api, funded)
    drive.run_all()
    drive.tell()
    elsewhere = Hook()
    with override_settings(FETCH_ALLOW_HOSTS=[elsewhere.host]):
        api.patch(f"/v1/webhooks/{made['id']}", {"url": elsewhere.url}, format="json")
        Delivery.objects.update(due_at=Delivery.objects.get().created_at)
        drive.tell()
    elsewhere.close()
    assert [message.id for message in elsewhere.heard()] == [message.id for message in hook.got]


def test_every_change_is_on_record_without_secrets(api, org):
    made = add(api)
    rotated = api.post(f"/v1/webhooks/{made['id']}/rotate", {}, format="json").json()
    api.patch(f"/v1/webhooks/{made['id']}", {"description": "x"}, format="json")
    api.delete(f"/v1/webhooks/{made['id']}")
    entries = AuditEntry.objects.for_org(org).filter(action__startswith="webhook.").order_by("id")
    assert [entry.action for entry in entries] == [
        "webhook.create",
        "webhook.rotate",
        "webhook.change",
        "webhook.delete",
    ]
    assert all(entry.actor_key and entry.target_id == made["id"] for entry in entries)
    kept = str([(entry.before, entry.after) for entry in entries])
    sealed = WebhookEndpoint.objects.get()
    for secret in (made["secret"], rotated["secret"]):
        assert secret not in kept
        assert secret not in sealed.sealed + sealed.previous_sealed
