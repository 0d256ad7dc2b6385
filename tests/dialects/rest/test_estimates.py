"""When a queued job may start, and when one will be done."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from jobs import estimates
from jobs.models import Attempt, Job
from tests.jobs import drive
from tests.world import api_client


@pytest.fixture(autouse=True)
def _fresh():
    estimates.forget()
    yield
    estimates.forget()


@pytest.fixture
def routed(org):
    drive.fund(org)
    drive.fake_route(org)
    return org


def submit(api, org, length_ms: int = 4000) -> dict:
    inputs = {"image": str(drive.asset(org, "image").id)}
    inputs["audio"] = str(drive.asset(org, "audio", duration_ms=length_ms).id)
    answer = api.post("/v1/jobs", {"model": "wan-2.2-s2v", "inputs": inputs}, format="json")
    assert answer.status_code == 202, answer.content
    return answer.json()


def look(api, job: dict) -> dict:
    return api.get(f"/v1/jobs/{job['id']}").json()


def took(job: dict, seconds: float) -> None:
    """It was rendered in so long."""
    attempt = Attempt.objects.get(job_id=job["id"])
    Attempt.objects.filter(pk=attempt.pk).update(finished_at=attempt.created_at + timedelta(seconds=seconds))


def waits(job: dict, seconds: float = 60) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE jobs_job SET queued_at = now() - make_interval(secs => %s) WHERE id = %s",
            [seconds, job["id"]],
        )


def in_seconds(moment: str) -> float:
    return (datetime.fromisoformat(moment) - timezone.now()).total_seconds()


@pytest.fixture
def paced(routed, api):
    """Lately 4 s of video took 8 s, and 12 s took 24 s: twice their length."""
    for length, seconds in ((4000, 8), (12_000, 24)):
        job = submit(api, routed, length)
        drive.run_all()
        took(job, seconds)
    estimates.forget()
    return routed


def test_nothing_is_known_at_first(routed, api):
    job = look(api, submit(api, routed))
    assert (job["queue_position"], job["estimated_start_at"], job["estimated_seconds"]) == (1, None, None)


def test_a_job_alone_starts_now_and_takes_as_long_as_others_took(paced, api):
    job = look(api, submit(api, paced, 10_000))
    assert -5 < in_seconds(job["estimated_start_at"]) <= 1
    assert job["estimated_seconds"] == 20


def test_the_work_ahead_counts_by_its_length(paced, api):
    for length in (5000, 15_000):
        waits(submit(api, paced, length))
    job = look(api, submit(api, paced, 10_000))
    assert job["queue_position"] == 3
    assert job["estimated_seconds"] == 2 * (5 + 15 + 10)
    assert 30 < in_seconds(job["estimated_start_at"]) <= 40
    first, second = reversed(api.get("/v1/jobs?status=queued").json()["data"][1:])
    assert (first["estimated_seconds"], second["estimated_seconds"]) == (10, 40)


def test_those_that_render_share_the_work(paced, api):
    busy = [submit(api, paced, 20_000) for _ in range(2)]
    Job.objects.filter(pk__in=[job["id"] for job in busy]).update(status="running", progress=0.5)
    ahead, job = submit(api, paced, 10_000), submit(api, paced, 10_000)
    waits(ahead)
    waits(job)
    # 2 x 10 s are left of the running, 10 s of video are ahead: 30 s over two machines at twice the length
    assert look(api, job)["estimated_seconds"] == 30 + 20


def test_a_running_job_tells_what_is_left_by_its_own_progress(paced, api, django_assert_num_queries):
    job = submit(api, paced)
    rows = Job.objects.filter(pk=job["id"])
    rows.update(status="running", progress=0.01, started_at=timezone.now() - timedelta(seconds=30))
    assert look(api, job)["estimated_seconds"] is None
    rows.update(progress=0.25)
    shown = look(api, job)
    assert 88 <= shown["estimated_seconds"] <= 110
    assert shown["estimated_start_at"] is None
    with django_assert_num_queries(0):
        assert estimates.running(Job(status="saving"), timezone.now()) == estimates.NOTHING


def test_a_finished_job_has_no_estimate(paced, api):
    job = api.get("/v1/jobs").json()["data"][0]
    assert job["status"] == "succeeded"
    assert (job["estimated_start_at"], job["estimated_seconds"], job["queue_position"]) == (None, None, None)


def test_another_organizations_own_routes_say_nothing_of_ours(paced, other_org, other_key):
    drive.fund(other_org)
    drive.fake_route(other_org)
    stranger = api_client(other_key)
    job = look(stranger, submit(stranger, other_org))
    assert job["estimated_seconds"] is None


def test_a_page_of_queued_jobs_costs_two_statements_more(paced, api, django_assert_num_queries):
    for _ in range(4):
        submit(api, paced)
    estimates.forget()
    for queries in (4, 3):  # caller, jobs, places, and once in a while how fast it goes
        with django_assert_num_queries(queries):
            assert len(api.get("/v1/jobs?status=queued").json()["data"]) == 4
