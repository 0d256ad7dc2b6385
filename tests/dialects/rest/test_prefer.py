"""`Prefer: wait=N`: answered when the job has ended, or when the time is over."""

from __future__ import annotations

import pytest
from django.test.utils import override_settings

from jobs.dialects.rest.wire.preferences import wait_of
from tests.jobs import drive
from tests.world import api_client


@pytest.fixture
def body(org):
    drive.fund(org)
    drive.fake_route(org)
    inputs = {"image": str(drive.asset(org, "image").id), "audio": str(drive.asset(org, "audio").id)}
    return {"model": "wan-2.2-s2v", "inputs": inputs}


def submit(api, body, wait: str = ""):
    return api.post("/v1/jobs", body, format="json", headers={"Prefer": wait} if wait else {})


@pytest.mark.django_db(transaction=True)
def test_a_submit_is_answered_with_the_end(body, api):
    with drive.worker():
        answer = submit(api, body, "wait=50")
    job = answer.json()
    assert (answer.status_code, job["status"], len(job["outputs"])) == (200, "succeeded", 3)
    assert (answer["Preference-Applied"], answer["Location"]) == ("wait=50", f"/v1/jobs/{job['id']}")


@pytest.mark.django_db(transaction=True)
def test_a_look_is_answered_with_the_end(body, api):
    job = submit(api, body).json()
    assert job["status"] == "queued"
    with drive.worker():
        answer = api.get(f"/v1/jobs/{job['id']}", headers={"Prefer": "respond-async, wait=50"})
    assert (answer.json()["status"], answer["Preference-Applied"]) == ("succeeded", "wait=50")
    again = api.get(f"/v1/jobs/{job['id']}", headers={"Prefer": "wait=50"})
    assert again.json() == answer.json()


def test_when_the_time_is_over_the_job_is_told_as_it_is(body, api):
    answer = submit(api, body, "wait=1")
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    assert answer["Preference-Applied"] == "wait=1"


@override_settings(SYNC_WAITERS=0)
def test_where_too_many_wait_the_answer_comes_at_once_and_says_nothing_of_a_wait(body, api):
    answer = submit(api, body, "wait=50")
    assert (answer.status_code, "Preference-Applied" in answer) == (202, False)
    answer = api.get(f"/v1/jobs/{answer.json()['id']}", headers={"Prefer": "wait=50"})
    assert (answer.status_code, "Preference-Applied" in answer) == (200, False)


def test_nobody_waits_for_what_does_not_exist_or_is_anothers(body, api, other_key):
    job = submit(api, body).json()
    stranger = api_client(other_key)
    assert stranger.get(f"/v1/jobs/{job['id']}", headers={"Prefer": "wait=50"}).status_code == 404
    refused = submit(api, {**body, "model": "sora"}, "wait=50")
    assert (refused.status_code, "Preference-Applied" in refused) == (422, False)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", 0),
        ("wait=10", 10),
        ('WAIT = "10" ; strict', 10),
        ("respond-async, wait=10, wait=20", 10),
        ("wait=61", 60),
        ("wait=999999999", 60),
        ("wait=0", 0),
        ("wait", 0),
        ("wait=-1", 0),
        ("wait=1.5", 0),
        ("wait=x, wait=2", 2),
        ("wait=٣", 0),
        ("handling=lenient; wait=5", 0),
    ],
)
def test_what_is_not_understood_is_passed_over(header, seconds):
    assert wait_of(header) == seconds
