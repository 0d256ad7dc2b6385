"""Waiting for a job's end holds nothing that others need."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction
from django.test import AsyncRequestFactory, RequestFactory
from django.test.utils import override_settings

from accounts.shortcut import ShortCut, shortcut
from jobs import waiting
from jobs.cancel import cancel
from jobs.models import Job
from jobs.submit import submit
from jobs.waiting import Outcome, wait_final
from tests.jobs import drive
from tests.world import caller_for

REQUEST = RequestFactory().get("/")


@pytest.fixture
def job(org, alice) -> Job:
    with transaction.atomic():
        drive.fund(org)
    drive.fake_route(org)
    return submit(caller_for(org, alice), drive.request(org))


class Waiter(threading.Thread):
    """Somebody else who waits for the job."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job
        self.outcome: Outcome | None = None
        self.start()

    def run(self) -> None:
        self.outcome = wait_final(self.job.organization_id, self.job.pk, REQUEST, 60)

    def ended(self) -> Outcome | None:
        self.join(30)
        assert not self.is_alive()
        return self.outcome


def connections() -> int:
    """Of others than this thread, to its database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return cursor.fetchone()[0]


def until(holds) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.django_db(transaction=True)
def test_no_connection_is_held_and_the_end_is_heard(job, org, alice):
    before = connections()
    waiter = Waiter(job)
    until(lambda: waiting.waiters.count == 1 and connections() == before)
    assert waiter.is_alive()
    cancel(caller_for(org, alice), Job.objects.get(pk=job.pk))
    assert waiter.ended() is Outcome.ENDED
    assert waiting.waiters.count == 0


@pytest.mark.django_db(transaction=True)
def test_without_redis_the_row_is_looked_at(job, settings, monkeypatch):
    nowhere = "redis://127.0.0.1:1/0"
    settings.REDIS_URL = nowhere
    monkeypatch.setattr(shortcut(), "redis", ShortCut(nowhere).redis)
    waiter = Waiter(job)
    until(lambda: waiting.waiters.count == 1)
    Job.objects.filter(pk=job.pk).update(status="canceled")  # nobody says so
    assert waiter.ended() is Outcome.ENDED


@pytest.mark.django_db(transaction=True)
def test_one_that_has_ended_is_not_waited_for(job, org, alice):
    cancel(caller_for(org, alice), job)
    assert wait_final(org.pk, job.pk, REQUEST, 60) is Outcome.ENDED


def test_a_transaction_of_the_callers_is_left_alone(job):
    """The test itself runs in one."""
    assert wait_final(job.organization_id, job.pk, REQUEST, 0.1) is Outcome.LATE
    assert Job.objects.filter(pk=job.pk).exists()


def test_places_are_given_back(job):
    with override_settings(SYNC_WAITERS=1):
        for _ in range(3):
            assert wait_final(job.organization_id, job.pk, REQUEST, 0) is Outcome.LATE
    assert waiting.waiters.count == 0


def test_only_so_many_wait_at_once():
    waiters = waiting.Waiters()
    with ThreadPoolExecutor(8) as pool:
        entered = list(pool.map(lambda _: waiters.enter(4), range(50)))
    assert entered.count(True) == waiters.count == 4
    waiters.leave()
    assert waiters.enter(4)


@override_settings(SYNC_WAITERS=0)
def test_a_server_with_a_thread_for_each_request_has_more_places(job):
    names = (job.organization_id, job.pk)
    assert wait_final(*names, REQUEST, 0) is Outcome.FULL
    assert wait_final(*names, AsyncRequestFactory().get("/"), 0) is Outcome.LATE
