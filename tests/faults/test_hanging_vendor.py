"""A vendor that accepts and never answers: others get their orders meanwhile, by the threads that it may not have."""

from __future__ import annotations

import asyncio
import threading

import pytest
from django.db import connection

from config.embedded import process
from jobs import dispatch, switches
from jobs.models import Attempt, Job
from jobs.submit import submit
from providers.fake.adapter import FakeAdapter
from providers.models import ProviderAccount
from tests.jobs import drive

pytestmark = pytest.mark.django_db(transaction=True)
THREADS = 2 * dispatch.AT_ONCE


@pytest.fixture
def answers(monkeypatch):
    """Unset, the accounts named `hanging` keep everybody waiting."""
    said, submits = threading.Event(), FakeAdapter.submit

    async def submitted(self, order):
        if "hangs" in order.route:
            await asyncio.to_thread(said.wait, 60)
        return await submits(self, order)

    monkeypatch.setattr(FakeAdapter, "submit", submitted)
    return said


@pytest.fixture
def threads(answers):
    """As many as the worker has, each told to dispatch once."""

    def work() -> None:
        try:
            dispatch.dispatch(limit=1000)
        finally:
            connection.close()

    made = [threading.Thread(target=work) for _ in range(THREADS)]
    yield made
    answers.set()
    for thread in made:
        if thread.ident:
            thread.join()


def test_a_vendor_that_hangs_holds_up_no_other(org, caller, operator, answers, threads):
    drive.fund(org)
    account = ProviderAccount.objects.create(provider="fake", name="hanging")
    hanging = drive.fake_route(org, account=account, settings={"hangs": True})
    well = drive.fake_route(org, model="wan-2.2-animate")
    request = drive.request(org, "[fake stall]")
    inputs = {"image": request.inputs["image"], "video": str(drive.asset(org, "video").pk)}
    other = drive.JobRequest(**{**vars(request), "model": "wan-2.2-animate", "inputs": inputs})
    for _ in range(THREADS):
        submit(caller, request)
    for _ in range(2):
        submit(caller, other)
    for thread in threads:
        thread.start()

    placed = Attempt.objects.filter(route_id=well.pk).exclude(external_id="")
    assert process.until(lambda: placed.count() == 2, seconds=60)
    assert Attempt.objects.filter(route_id=hanging.pk, status="created").count() == dispatch.AT_ONCE
    switches.kill(well, by=operator)
    assert switches.stop_killed() == 2

    answers.set()
    for thread in threads:
        thread.join()
    assert Attempt.objects.filter(route_id=hanging.pk, status="submitted").count() == THREADS
    assert not dispatch.placing.by_route
    assert not Job.objects.filter(status="queued").exists()
