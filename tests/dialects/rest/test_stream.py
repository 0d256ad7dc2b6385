"""Events as a stream, against the running platform: cut again and again, nothing is missed or told twice."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.rest import Customer


@pytest.fixture
def customer(live_stack):
    with Customer(live_stack.url, live_stack.create_org("Streams")["api_key"]) as customer:
        yield customer


def read(customer, job_id: str, last: int, most: int) -> list[dict]:
    """Up to `most` events from one connection, then hang up."""
    headers = {"Accept": "text/event-stream", **({"Last-Event-ID": str(last)} if last else {})}
    got = []
    with customer.http.stream("GET", f"/v1/jobs/{job_id}/events", headers=headers, timeout=60) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("data: "):
                got.append(json.loads(line[6:]))
            if len(got) == most:
                break
    return got


def test_a_stream_cut_after_every_event_tells_each_once_in_order(live_stack, customer):
    job = customer.submit(customer.samples(), seed=3, num_frames_per_chunk=30)
    got = []
    while not got or got[-1]["type"] not in {"succeeded", "failed"}:
        got += read(customer, job["id"], got[-1]["id"] if got else 0, most=1)
    assert got[-1]["type"] == "succeeded"
    kept = customer.http.get(f"/v1/jobs/{job['id']}/events").json()["data"]
    assert len(kept) >= 6
    assert got == kept


def test_a_stream_ends_with_the_job(live_stack, customer):
    job = customer.submit(customer.samples(), seed=4)
    got = read(customer, job["id"], 0, most=10_000)
    assert (got[0]["type"], got[-1]["type"]) == ("created", "succeeded")


def test_a_stream_is_refused_like_a_page(live_stack, customer):
    job = customer.submit(customer.samples(), seed=4)
    address = f"{live_stack.url}/v1/jobs/{job['id']}/events"
    accept = {"Accept": "text/event-stream"}
    assert httpx.get(address, headers=accept).status_code == 401
    stranger = live_stack.create_org("Strangers")["api_key"]
    foreign = httpx.get(address, headers={**accept, "Authorization": f"Bearer {stranger}"})
    assert (foreign.status_code, foreign.json()["code"]) == (404, "job_not_found")
    bad = customer.http.get(address, headers={**accept, "Last-Event-ID": "yesterday"})
    assert (bad.status_code, bad.json()["field"]) == (422, "Last-Event-ID")
    customer.http.post(f"/v1/jobs/{job['id']}/cancel")
    customer.finished(job["id"])
