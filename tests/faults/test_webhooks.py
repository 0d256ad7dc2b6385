"""Webhooks of a whole platform: a process dies in the middle of a delivery, another receiver is dead, nothing is lost."""

from __future__ import annotations

import threading

import pytest
from standardwebhooks import Webhook

from config.embedded import process
from tests.dialects.rest.hooks import Hook, Reply
from tests.rest import Customer

DEAD, ALIVE = 4, 5  # receivers' places


@pytest.fixture
def customer(live_stack):
    with Customer(live_stack.url, live_stack.create_org("Webhooks")["api_key"]) as customer:
        yield customer


def test_every_event_arrives_though_the_sender_is_killed_in_the_middle_of_one(live_stack, customer):
    arrived, killed = threading.Event(), threading.Event()

    def answer(message) -> Reply:
        arrived.set()
        return Reply(200 if killed.wait(60) else 500)

    hook = Hook(answer, port=live_stack.receivers[ALIVE])
    try:
        made = customer.http.post("/v1/webhooks", json={"url": hook.url, "events": ["*"]}).json()
        dead = f"http://127.0.0.1:{live_stack.receivers[DEAD]}/hook"  # nobody listens there
        customer.http.post("/v1/webhooks", json={"url": dead, "events": ["*"]}).raise_for_status()
        jobs = [customer.submit(customer.samples(), seed=seed) for seed in (1, 2)]
        assert arrived.wait(30)
        old = live_stack.kill("poller")
        killed.set()
        assert process.until(
            lambda: live_stack.pids().get("poller") not in {old, None}, seconds=30, pause=0.1
        )
        for job in jobs:
            assert customer.finished(job["id"])["status"] == "succeeded"
        assert process.until(lambda: ends(events(customer)) == len(jobs), seconds=10, pause=0.1)
        feed = sorted(event["id"] for event in events(customer))
        assert process.until(lambda: heard(hook) == feed, seconds=90, pause=0.2), (heard(hook), feed)
    finally:
        hook.close()

    # What was on its way when the sender died came again, under the same id; everything else came once.
    ids = {}
    for message in hook.got:
        ids.setdefault(message.told["event"]["id"], set()).add(message.id)
        Webhook(made["secret"]).verify(message.body, message.headers)
    assert all(len(same) == 1 for same in ids.values())
    assert len(hook.got) <= len(feed) + 4
    for job in jobs:
        order = [m.told["event"]["id"] for m in hook.got if m.told["event"]["job"] == job["id"]]
        assert order == sorted(order)
    path = f"/v1/webhooks/{made['id']}/deliveries"
    assert process.until(
        lambda: customer.http.get(path, params={"status": "due"}).json()["data"] == [], seconds=60, pause=0.5
    )


def heard(hook: Hook) -> list[int]:
    return sorted({message.told["event"]["id"] for message in hook.heard()})


def events(customer: Customer) -> list[dict]:
    answer = customer.http.get("/v1/events", params={"limit": 200}).json()
    assert not answer["has_more"]
    return answer["data"]


def ends(feed: list[dict]) -> int:
    return sum(event["type"] == "succeeded" for event in feed)
