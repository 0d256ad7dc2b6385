"""Processes die at the worst moment; no job is lost and none is billed twice."""

from __future__ import annotations

import uuid

import boto3
import pytest
from botocore.config import Config

from tests.rest import Customer

PRICE = 13 * 30_000
CREDIT = 20_000_000


@pytest.fixture
def account(live_stack):
    return live_stack.create_org("Faults")


@pytest.fixture
def customer(live_stack, account):
    with Customer(live_stack.url, account["api_key"]) as customer:
        yield customer


def billed_once(live_stack, customer, job) -> None:
    assert job["status"] == "succeeded", job
    assert job["price"]["charged_micros"] == PRICE
    captures = live_stack.sql(
        "SELECT count(*), sum(amount_micros) FROM billing_transfer WHERE job_id = %s AND kind = 'capture'",
        uuid.UUID(job["id"]),
    )
    assert captures == [(1, PRICE)]
    assert customer.balance() == (CREDIT - PRICE, 0)
    live_stack.manage("check_ledger")


def test_a_render_goes_on_from_its_last_clip_after_kill_minus_nine(live_stack, customer):
    job = customer.submit(customer.samples(), seed=5, num_frames_per_chunk=40)
    customer.until(job["id"], lambda job: job["detail"].get("clip", 0) >= 2)
    first_clip = clip_written_at(live_stack, job["id"])
    pid = live_stack.kill("render")

    live_stack.wait_restarted("render", pid)
    job = customer.finished(job["id"])

    billed_once(live_stack, customer, job)
    render = live_stack.sql(
        "SELECT runs, clips_done = clips FROM providers_render WHERE id = "
        "(SELECT id FROM jobs_attempt WHERE job_id = %s)",
        uuid.UUID(job["id"]),
    )
    assert render == [(2, True)]
    assert clip_written_at(live_stack, job["id"]) == first_clip  # finished clips were not rendered again
    clips = [e["data"]["clip"] for e in events(customer, job["id"]) if e["type"] == "progress"]
    assert clips == sorted(clips)


@pytest.mark.parametrize("name", ["worker", "poller"])
def test_a_job_survives_the_death_of_the(live_stack, customer, name):
    job = customer.submit(customer.samples(), seed=6)
    customer.until(job["id"], lambda job: job["status"] == "running")
    live_stack.kill(name)
    billed_once(live_stack, customer, customer.finished(job["id"]))


def test_cancel_stops_a_render_and_costs_nothing(live_stack, customer):
    job = customer.submit(customer.samples(), seed=8)
    customer.until(job["id"], lambda job: job["phase"] == "render")
    assert customer.http.post(f"/v1/jobs/{job['id']}/cancel").status_code == 200
    job = customer.finished(job["id"])
    assert job["status"] == "canceled"
    assert customer.balance() == (CREDIT, 0)


def events(customer, job_id):
    return customer.http.get(f"/v1/jobs/{job_id}/events").json()["data"]


def clip_written_at(live_stack, job_id):
    env = live_stack.env
    client = boto3.client(
        "s3",
        endpoint_url=env["S3_ENDPOINT_URL"],
        aws_access_key_id=env["S3_ACCESS_KEY"],
        aws_secret_access_key=env["S3_SECRET_KEY"],
        region_name="us-east-1",
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    attempt = live_stack.sql("SELECT id FROM jobs_attempt WHERE job_id = %s", uuid.UUID(job_id))[0][0]
    head = client.head_object(Bucket=env["S3_BUCKET"], Key=f"work/{attempt}/clip-0000.mp4")
    return head["LastModified"]
