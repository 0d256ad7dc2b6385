"""Work that takes longer than its claim was made for: the claim is kept meanwhile, and let go where it was lost."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db.models import F
from django.db.models.functions import Now

from config.embedded import process
from jobs import prepare, settle, storage
from jobs.cancel import cancel, cancel_at_provider
from jobs.models import Asset, Job
from jobs.states import Status
from jobs.submit import submit
from providers import leases
from tests.jobs import drive

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(leases, "BEATS", 10_000)


@pytest.fixture
def slow(monkeypatch):
    """`slow(module, name, meanwhile)`: that function calls `meanwhile` before it does its work."""

    def made(module, name: str, meanwhile) -> None:
        does = getattr(module, name)

        def slowly(*args, **kwargs):
            meanwhile()
            return does(*args, **kwargs)

        monkeypatch.setattr(module, name, slowly)

    return made


def finished(org, caller) -> Job:
    """Its film lies at the provider."""
    drive.fund(org)
    drive.fake_route(org)
    job = submit(caller, drive.request(org))
    while job.status != Status.SAVING:
        drive.hurry()
        drive.dispatch.dispatch()
        drive.async_to_sync(drive.polling.poll_due)()
        job.refresh_from_db()
    return job


def uploaded(org, caller) -> Job:
    """Its voice is still to be looked into."""
    drive.fund(org)
    drive.fake_route(org)
    order = drive.request(org)
    fresh = drive.asset(org, "audio", duration_ms=0, status="pending")
    return submit(
        caller, drive.JobRequest(**{**vars(order), "inputs": {**order.inputs, "audio": str(fresh.pk)}})
    )


def renewed(job: Job) -> None:
    """Wait until the claim holds longer than it did."""
    lease = Job.objects.values_list("lease_until", flat=True).get(pk=job.pk)
    rows = Job.objects.filter(pk=job.pk, lease_until__gt=lease)
    assert process.until(rows.exists, seconds=30, pause=0.01)


def taken(job: Job) -> None:
    """Somebody else claims it; wait until that is known here."""
    Job.objects.filter(pk=job.pk).update(fence=F("fence") + 1, lease_until=Now() + timedelta(hours=1))
    assert process.until(lambda: all(thread.name != "lease" for thread in threading.enumerate()), seconds=30)


def test_a_result_that_takes_longer_than_the_claim_is_saved_once(org, caller, slow):
    job = finished(org, caller)

    def meanwhile() -> None:
        renewed(job)
        settle.save(str(job.pk))  # as the sweeper would have it

    slow(settle, "bring", meanwhile)
    settle.save(str(job.pk))
    job.refresh_from_db()
    assert (job.status, job.fence, job.lease_until) == ("succeeded", 1, None)
    assert Asset.objects.filter(job=job, role="video").count() == 1


def test_who_lost_the_claim_saves_nothing(org, caller, slow, monkeypatch):
    job = finished(org, caller)
    slow(settle, "bring", lambda: taken(job))
    monkeypatch.setattr(storage, "put", None)
    settle.save(str(job.pk))
    job.refresh_from_db()
    assert (job.status, job.fence, job.tries) == ("saving", 2, 0)


def test_a_result_of_a_job_that_was_canceled_meanwhile_is_let_go(org, caller, slow, monkeypatch):
    job = finished(org, caller)

    def meanwhile() -> None:
        cancel(caller, job)
        cancel_at_provider(str(job.pk))
        assert process.until(
            lambda: all(thread.name != "lease" for thread in threading.enumerate()), seconds=30
        )

    slow(settle, "bring", meanwhile)
    monkeypatch.setattr(storage, "put", None)
    settle.save(str(job.pk))
    job.refresh_from_db()
    assert (job.status, job.lease_until) == ("canceled", None)


def test_an_input_that_takes_longer_than_the_claim_is_prepared_once(org, caller, slow):
    job = uploaded(org, caller)
    slow(prepare, "look_into", lambda: renewed(job))
    prepare.prepare(str(job.pk))
    job.refresh_from_db()
    assert (job.status, job.fence, job.lease_until) == ("queued", 1, None)


def test_who_lost_the_claim_prepares_nothing(org, caller, slow):
    job = uploaded(org, caller)
    slow(prepare, "check_input", lambda: taken(job))
    prepare.prepare(str(job.pk))
    job.refresh_from_db()
    assert (job.status, job.fence, job.tries) == ("preparing", 2, 0)
    assert not Job.objects.filter(inputs__audio__has_key="content_type").exists()
