"""Sync mode's wait holds nothing that others need."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction
from django.test import AsyncRequestFactory, RequestFactory
from django.test.utils import override_settings

from jobs.dialects.wavespeed import waiting
from jobs.models import Job
from jobs.submit import submit
from tests.dialects.wavespeed.clock import Clock
from tests.jobs import drive
from tests.world import caller_for


@pytest.fixture
def job(org, alice) -> Job:
    with transaction.atomic():
        drive.fund(org)
    drive.fake_route(org)
    return submit(caller_for(org, alice), drive.request(org))


@override_settings(WAVESPEED_SYNC_SECONDS=1)
@pytest.mark.django_db(transaction=True)
def test_no_connection_is_held_between_two_looks(job, monkeypatch):
    held = []
    clock = Clock(lambda seconds: held.append((seconds, connection.connection)))
    monkeypatch.setattr(waiting, "time", clock)
    assert "within 1 s" in waiting.wait_final(job.pk, RequestFactory().get("/"))
    assert len(held) >= 2
    assert {kept for _, kept in held} == {None}
    assert sum(seconds for seconds, _ in held) == pytest.approx(1)
    assert max(seconds for seconds, _ in held) <= 0.5


@override_settings(WAVESPEED_SYNC_SECONDS=1)
def test_a_transaction_of_the_callers_is_left_alone(job, monkeypatch):
    """The test itself runs in one."""
    monkeypatch.setattr(waiting, "time", Clock())
    waiting.wait_final(job.pk, RequestFactory().get("/"))
    assert Job.objects.filter(pk=job.pk).exists()


def test_places_are_given_back(job):
    with override_settings(WAVESPEED_SYNC_SECONDS=0, WAVESPEED_SYNC_WAITERS=1):
        for _ in range(3):
            assert "within 0 s" in waiting.wait_final(job.pk, RequestFactory().get("/"))
    assert waiting.waiters.count == 0


def test_only_so_many_wait_at_once():
    waiters = waiting.Waiters()
    with ThreadPoolExecutor(8) as pool:
        entered = list(pool.map(lambda _: waiters.enter(4), range(50)))
    assert entered.count(True) == waiters.count == 4
    waiters.leave()
    assert waiters.enter(4)


@override_settings(WAVESPEED_SYNC_SECONDS=0, WAVESPEED_SYNC_WAITERS=0)
def test_a_server_with_a_thread_for_each_request_has_more_places(job):
    assert "too many" in waiting.wait_final(job.pk, RequestFactory().get("/"))
    assert "within 0 s" in waiting.wait_final(job.pk, AsyncRequestFactory().get("/"))
