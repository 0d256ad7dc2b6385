"""An order over HTTP costs the database eight statements at most, in every dialect, beside BEGIN and COMMIT."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts import keys
from billing import quotas
from billing.models import Hold, Limits
from jobs.errors import Unpayable
from jobs.marks import JobTag
from jobs.models import Job, JobEvent
from jobs.states import Status
from jobs.submit import submit
from jobs.types import JobRequest
from tests.billing.conftest import in_threads
from tests.jobs import drive
from tests.world import api_client

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("patient")]

MOST = 8
# What frames a transaction is no work of its own; Django writes down the end, psycopg sends the BEGIN by itself.
FRAMES = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE SAVEPOINT")


def rest(files: dict[str, str]) -> tuple[str, dict[str, Any], dict[str, str]]:
    body = {"model": "wan-2.2-s2v", "inputs": files, "tags": ["a", "b"]}
    return "/v1/jobs", body, {}


def wavespeed(files: dict[str, str]) -> tuple[str, dict[str, Any], dict[str, str]]:
    return "/api/v3/wavespeed-ai/wan-2.2/speech-to-video", files, {}


def dashscope(files: dict[str, str]) -> tuple[str, dict[str, Any], dict[str, str]]:
    named = {f"{role}_url": name for role, name in files.items()}
    body = {"model": "wan2.2-s2v", "input": named, "parameters": {"resolution": "480P"}}
    path = "/api/v1/services/aigc/image2video/video-synthesis"
    return path, body, {"X-DashScope-Async": "enable"}


def inferencesh(files: dict[str, str]) -> tuple[str, dict[str, Any], dict[str, str]]:
    return "/apps/run", {"app": "infsh/wan-2-2-s2v", "input": files}, {}


@pytest.fixture
def files(org) -> dict[str, str]:
    with transaction.atomic():
        drive.fund(org)
    drive.fake_route(org)
    return {role: str(drive.asset(org, role).id) for role in ("image", "audio")}


@pytest.mark.parametrize("order", [rest, wavespeed, dashscope, inferencesh], ids=lambda order: order.__name__)
@pytest.mark.parametrize("known", [False, True], ids=["first use of the key", "key known"])
def test_a_submit_costs_few_statements(org, alice, files, order: Callable[..., Any], known: bool):
    _, text = keys.issue(org, name="other", by=alice, scopes=["jobs:write", "jobs:read"])
    api = api_client(text)
    path, body, headers = order(files)

    def ordered() -> list[str]:
        named = headers | {"Idempotency-Key": uuid.uuid4().hex}
        with CaptureQueriesContext(connection) as seen:
            answer = api.post(path, body, format="json", headers=named)
        assert answer.status_code in {200, 202}, answer.content
        return [query["sql"] for query in seen if not query["sql"].startswith(FRAMES)]

    ordered()  # limits are read, and the key's use is written down, once in a while
    if not known:
        redis.Redis.from_url(settings.REDIS_URL).delete(f"key:{keys.parse(text).hex()}")
    statements = ordered()
    assert len(statements) <= MOST - known, "\n".join(statements)
    assert Job.objects.filter(status=Status.QUEUED).count() == 2
    assert Hold.objects.count() == 2
    assert JobEvent.objects.filter(type="created").count() == 2
    assert JobTag.objects.count() == (4 if order is rest else 0)


def test_of_many_at_once_exactly_as_many_are_queued_as_may_be(org, caller, files):
    """The refused ones leave nothing: no job, no money set aside."""
    Limits.objects.create(organization=org, queued=3)
    quotas.forget()
    order = JobRequest(model="wan-2.2-s2v", inputs=files, options={}, dialect="rest")

    def one(_: int) -> str:
        try:
            submit(caller, order)
        except Unpayable as refusal:
            return refusal.code
        return "accepted"

    assert sorted(in_threads(8, one)) == ["accepted"] * 3 + ["queued_jobs_limit"] * 5
    assert Job.objects.count() == Hold.objects.count() == JobEvent.objects.count() == 3


def test_what_submit_returns_is_what_the_database_has(org, caller, files):
    order = JobRequest(model="wan-2.2-s2v", inputs=files, options={}, dialect="rest", tags=("a",))
    job = submit(caller, order)
    stored = Job.objects.get()
    assert not job.get_deferred_fields()
    assert [getattr(job, f.attname) for f in Job._meta.concrete_fields] == [
        getattr(stored, f.attname) for f in Job._meta.concrete_fields
    ]
    event = JobEvent.objects.get()
    assert (job.first_event.pk, job.first_event.at, job.first_event.data) == (event.pk, event.at, event.data)
