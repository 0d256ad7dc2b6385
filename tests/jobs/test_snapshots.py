"""How a job goes, asked over HTTP in all four dialects: without the database while Redis answers."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import redis
from django.conf import settings
from django.db import connection, transaction

from accounts.shortcut import ShortCut, shortcut
from jobs import dispatch, poll, snapshots
from jobs.models import Asset, Attempt, Job
from jobs.states import Status
from jobs.submit import submit
from providers.base import State, Update
from tests.jobs import drive
from tests.world import api_client

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("patient")]

LIFE_MS = snapshots.LIFE_MS  # before the tests stretch it


@dataclass(frozen=True)
class Look:
    """One dialect's way to ask how a job goes. `away`: what it says of a job that is not there."""

    path: str
    status: str
    running: object
    canceled: object
    succeeded: object
    away: object

    def __call__(self, api, job: Job):
        return api.get(self.path.format(id=job.pk, hex=job.pk.hex))

    def word(self, api, job: Job) -> object:
        return self.found(self(api, job).json(), self.status)

    @staticmethod
    def found(body, way: str):
        for name in way.split("."):
            body = body.get(name) if isinstance(body, dict) else None
        return body


LOOKS = {
    "rest": Look("/v1/jobs/{id}", "status", "running", "canceled", "succeeded", 404),
    "wavespeed": Look(
        "/api/v3/predictions/{hex}/result", "data.status", "processing", "cancelled", "completed", None
    ),
    "dashscope": Look(
        "/api/v1/tasks/{id}", "output.task_status", "RUNNING", "CANCELED", "SUCCEEDED", "UNKNOWN"
    ),
    "inferencesh": Look("/tasks/{id}", "data.status_text", "dispatched", "cancelled", "completed", None),
}


@pytest.fixture(params=list(LOOKS))
def look(request) -> Look:
    return LOOKS[request.param]


@pytest.fixture
def store() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL)


@pytest.fixture
def job(org, caller) -> Job:
    """A job that a provider is at."""
    with transaction.atomic():
        drive.fund(org)
    drive.fake_route(org)
    accepted = submit(caller, drive.request(org, "[fake stall]"))
    assert dispatch.dispatch() == 1
    return accepted


def told(job: Job, progress: float, phase: str = "rendering") -> None:
    """The provider's word about a job that runs."""
    poll.apply(job.attempts.get(), Update("", State.RUNNING, progress=progress, phase=phase))


def name(job: Job) -> str:
    return f"job:{job.organization_id}:{job.pk}"


def test_a_look_at_a_running_job_costs_no_statement(job, api, look, django_assert_num_queries):
    first = look(api, job).json()
    with django_assert_num_queries(0):
        again = look(api, job).json()
    assert look.found(again, look.status) == look.running
    assert again | {"request_id": ""} == first | {"request_id": ""}


def test_a_change_is_seen_at_once_and_costs_the_reader_nothing(job, api, django_assert_num_queries):
    rest, infsh = LOOKS["rest"], LOOKS["inferencesh"]
    rest(api, job), infsh(api, job)
    told(job, 0.25)
    with django_assert_num_queries(0):
        assert rest(api, job).json()["progress"] == 0.25
        task = infsh(api, job).json()["data"]
    assert (task["progress"], task["logs"][-1]["content"]) == (25, "rendering, 25 %")
    told(job, 0.5)  # no event tells of this one
    with django_assert_num_queries(0):
        assert rest(api, job).json()["progress"] == 0.5
        assert infsh(api, job).json()["data"]["progress"] == 50


def test_a_cancel_shows_in_the_next_answer(org, caller, api, look, django_assert_num_queries):
    with transaction.atomic():
        drive.fund(org)
    drive.fake_route(org)
    job = submit(caller, drive.request(org))
    look(api, job)
    assert api.post(f"/v1/jobs/{job.pk}/cancel").status_code == 200
    with django_assert_num_queries(0):
        assert look.word(api, job) == look.canceled


def test_a_cancel_of_a_running_job_shows_before_the_provider_has_heard(job, api, django_assert_num_queries):
    infsh = LOOKS["inferencesh"]
    infsh(api, job)
    assert api.post(f"/tasks/{job.pk}/cancel").status_code == 200
    with django_assert_num_queries(0):
        assert infsh.word(api, job) == "cancelling"


def test_the_outputs_are_there_when_the_job_has_succeeded(org, caller, api, look, django_assert_num_queries):
    with transaction.atomic():
        drive.fund(org)
    drive.fake_route(org)
    job = submit(caller, drive.request(org))
    look(api, job)
    drive.run_all()
    with django_assert_num_queries(0):
        answer = look(api, job)
    assert look.found(answer.json(), look.status) == look.succeeded
    video = Asset.objects.get(job=job, role="video")
    assert f"/files/{video.pk}/" in answer.content.decode()
    assert api.delete(f"/v1/jobs/{job.pk}").status_code == 204
    with django_assert_num_queries(0):
        gone = look(api, job)
    assert gone.status_code == 404 or look.found(gone.json(), look.status) in {"deleted", "UNKNOWN"}
    assert "/files/" not in gone.content.decode()


def test_others_see_nothing_of_it(job, api, other_key, look):
    look(api, job)
    stranger = look(api_client(other_key), job)
    assert stranger.status_code == 404 or look.found(stranger.json(), look.status) == "UNKNOWN"


def test_without_redis_the_database_is_asked(job, api, look, monkeypatch):
    look(api, job)
    monkeypatch.setattr(shortcut(), "redis", ShortCut("redis://127.0.0.1:1/0").redis)
    assert look.word(api, job) == look.running
    api.post(f"/v1/jobs/{job.pk}/cancel")
    told(job, 0.75)
    if look is LOOKS["rest"]:
        assert look(api, job).json()["progress"] == 0.75
    poll.apply(job.attempts.get(), Update("", State.CANCELED))
    assert look.word(api, job) == look.canceled


def test_a_slow_reader_brings_nothing_back(job, api, store, django_assert_num_queries):
    """It read the rows before the change and leaves its snapshot after the writer's."""
    rest = LOOKS["rest"]
    rest(api, job)
    old = snapshots._from_rows([job.pk], events=True)
    told(job, 0.25)
    snapshots._keep(store, old)
    with django_assert_num_queries(0):
        assert rest(api, job).json()["progress"] == 0.25


def test_a_writer_that_died_is_seen_when_the_snapshot_has_run_out(job, api, store, monkeypatch):
    monkeypatch.setattr(snapshots, "LIFE_MS", LIFE_MS)
    rest = LOOKS["rest"]
    store.delete(name(job))
    rest(api, job)
    assert 0 < store.pttl(name(job)) <= LIFE_MS <= 10_000
    store.pexpire(name(job), 600_000)
    Job.objects.filter(pk=job.pk).update(progress=0.9)  # and no word of it
    assert rest(api, job).json()["progress"] == 0.0
    store.pexpire(name(job), 0)
    assert rest(api, job).json()["progress"] == 0.9


def test_what_is_not_committed_stays_inside(job, api, store):
    rest = LOOKS["rest"]
    rest(api, job)
    store.delete(name(job))
    with transaction.atomic():
        told(job, 0.25)
        assert snapshots.read(job.organization_id, job.pk).job.progress == 0.25
        assert not store.exists(name(job))
        transaction.set_rollback(True)
    assert rest(api, job).json()["progress"] == 0.0


def test_several_changes_of_one_transaction_are_written_once(job, store):
    with transaction.atomic():
        told(job, 0.25)
        told(job, 0.5, "mouth")
        hooks = [hook[1] for hook in connection.run_on_commit]
    assert sum(isinstance(hook, snapshots.Renewal) for hook in hooks) == 1
    assert snapshots.read(job.organization_id, job.pk).job.progress == 0.5


def test_events_are_kept_only_for_those_who_read_them(job, api, store):
    LOOKS["rest"](api, job)
    told(job, 0.25)
    assert not store.hexists(name(job), "events")
    LOOKS["inferencesh"](api, job)
    told(job, 0.5, "mouth")
    assert store.hexists(name(job), "events")


def test_the_rows_come_back_as_the_database_has_them(org, caller):
    with transaction.atomic():
        drive.fund(org)
    drive.fake_route(org)
    job = submit(caller, drive.request(org, tags=("a",)))
    drive.run_all()
    for _ in range(2):  # from the rows, then from Redis
        seen = snapshots.read(org.pk, job.pk, events=True)
        assert values(seen.job) == values(Job.objects.get(pk=job.pk))
        outputs = Asset.objects.filter(job=job).order_by("id")
        assert [values(asset) for asset in seen.outputs] == [values(asset) for asset in outputs]
        assert [values(event) for event in seen.events] == [values(event) for event in job.events.all()]
    assert seen.job.status == Status.SUCCEEDED


def values(row) -> list[tuple[str, str, object]]:
    """With their types: 0 and 0.0 are not the same in an answer."""
    names = [field.attname for field in row._meta.concrete_fields]
    assert not row.get_deferred_fields()
    return [(name, type(getattr(row, name)).__name__, getattr(row, name)) for name in names]


def test_a_file_that_is_deleted_is_shown_no_more(org, caller, api, django_assert_num_queries):
    with transaction.atomic():
        drive.fund(org)
    drive.fake_route(org)
    job = submit(caller, drive.request(org))
    drive.run_all()
    infsh = LOOKS["inferencesh"]
    assert infsh(api, job).json()["data"]["output"]["file"]
    assert api.delete(f"/tasks/{job.pk}/files?role=output").status_code == 200
    with django_assert_num_queries(0):
        assert infsh(api, job).json()["data"]["output"]["file"] is None


def test_every_change_of_the_row_makes_a_new_version(job):
    def version() -> int:
        return Job.objects.values_list("version", flat=True).get(pk=job.pk)

    before = version()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE jobs_job SET progress = progress WHERE id = %s", [job.pk])
    assert version() == before + 1
    row = Job.objects.get(pk=job.pk)
    row.save()
    assert version() == before + 2
    assert Attempt.objects.filter(job=job).exists()
