"""Processes die at the worst moment; no job is lost and none is billed twice."""

from __future__ import annotations

import uuid

import boto3
import httpx
import pytest
from botocore.config import Config

from config.embedded import process
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


def test_a_result_comes_home_after_kill_minus_nine_on_its_way(live_stack, customer):
    job = customer.submit(customer.samples(), seed=10)
    saving = "FROM jobs_job WHERE id = %s AND status = 'saving' AND lease_until > now()"
    name = uuid.UUID(job["id"])
    assert process.until(lambda: live_stack.sql(f"SELECT 1 {saving}", name), seconds=90, pause=0.01)
    live_stack.kill("worker")
    # As it would by itself, in minutes.
    live_stack.sql("UPDATE jobs_job SET lease_until = now() WHERE id = %s AND status = 'saving'", name)
    billed_once(live_stack, customer, customer.finished(job["id"]))
    [(fence, videos)] = live_stack.sql(
        "SELECT fence, (SELECT count(*) FROM jobs_asset WHERE job_id = j.id AND role = 'video')"
        " FROM jobs_job j WHERE id = %s",
        name,
    )
    assert (fence, videos) == (2, 1), "a second worker took it over, and kept one film"


def test_cancel_stops_a_render_and_costs_nothing(live_stack, customer):
    job = customer.submit(customer.samples(), seed=8)
    customer.until(job["id"], lambda job: job["phase"] == "render")
    assert customer.http.post(f"/v1/jobs/{job['id']}/cancel").status_code == 200
    job = customer.finished(job["id"])
    assert job["status"] == "canceled"
    assert customer.balance() == (CREDIT, 0)


def test_a_deletion_goes_on_after_kill_minus_nine_until_no_object_is_left(live_stack, account, customer):
    job = customer.submit(customer.samples(), seed=9)
    assert customer.finished(job["id"])["status"] == "succeeded"
    organization = account["organization"]
    attempt = live_stack.sql("SELECT id FROM jobs_attempt WHERE job_id = %s", uuid.UUID(job["id"]))[0][0]
    assert objects(live_stack, organization)
    assert objects(live_stack, f"work/{attempt}")

    ask_for_deletion(live_stack, account)
    assert customer.http.get("/v1/jobs").status_code == 401
    order = "FROM jobs_erasure WHERE organization_id = %s"
    live_stack.sql(
        "UPDATE jobs_erasure SET due_at = now() WHERE organization_id = %s", uuid.UUID(organization)
    )
    # A claim that its holder takes with it to the grave would run out in ten minutes.
    assert process.until(
        lambda: live_stack.sql(f"SELECT 1 {order} AND fence > 0", uuid.UUID(organization)),
        seconds=60,
        pause=0.02,
    )
    live_stack.kill("worker")
    live_stack.sql(
        "UPDATE jobs_erasure SET lease_until = now() WHERE organization_id = %s AND status <> 'done'",
        uuid.UUID(organization),
    )
    assert process.until(
        lambda: live_stack.sql(f"SELECT status {order}", uuid.UUID(organization)) == [("done",)],
        seconds=90,
        pause=0.2,
    )
    assert objects(live_stack, organization) == objects(live_stack, f"work/{attempt}") == []
    live_stack.manage("check_ledger")


def ask_for_deletion(live_stack, account) -> None:
    """By the pages, as the owner does."""
    with httpx.Client(base_url=live_stack.url, follow_redirects=True, timeout=60) as browser:

        def post(path: str, **fields: str) -> httpx.Response:
            browser.get("/accounts/login/" if "sessionid" not in browser.cookies else "/settings/privacy")
            return browser.post(path, data=fields | {"csrfmiddlewaretoken": browser.cookies["csrftoken"]})

        post("/accounts/login/", login=account["login"], password=account["password"])
        post("/accounts/reauthenticate/", password=account["password"])
        page = post("/settings/privacy/organization/delete", name="Faults")
        assert "It is deleted on" in page.text, page.text


def objects(live_stack, prefix) -> list[str]:
    found = store(live_stack).list_objects_v2(Bucket=live_stack.env["S3_BUCKET"], Prefix=f"{prefix}/")
    return [entry["Key"] for entry in found.get("Contents", ())]


def events(customer, job_id):
    return customer.http.get(f"/v1/jobs/{job_id}/events").json()["data"]


def store(live_stack):
    env = live_stack.env
    return boto3.client(
        "s3",
        endpoint_url=env["S3_ENDPOINT_URL"],
        aws_access_key_id=env["S3_ACCESS_KEY"],
        aws_secret_access_key=env["S3_SECRET_KEY"],
        region_name="us-east-1",
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )


def clip_written_at(live_stack, job_id):
    attempt = live_stack.sql("SELECT id FROM jobs_attempt WHERE job_id = %s", uuid.UUID(job_id))[0][0]
    head = store(live_stack).head_object(
        Bucket=live_stack.env["S3_BUCKET"], Key=f"work/{attempt}/clip-0000.mp4"
    )
    return head["LastModified"]
