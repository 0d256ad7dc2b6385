"""Unsigned calls: hints to an address that only the vendor was told, believed when the vendor is asked."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from asgiref.sync import async_to_sync
from django.test import Client
from django.utils import timezone

from jobs.models import Attempt
from jobs.orders import make_order
from jobs.states import Status
from jobs.submit import submit
from providers.registry import adapter
from tests.jobs import drive
from tests.providers.conformance.stands import standing


@pytest.fixture
def stand(org, settings):
    settings.PROVIDER_CALLBACKS = True
    with standing("inferencesh", org) as made:
        settings.FETCH_ALLOW_HOSTS = [made.vendor.host]
        yield made


def call(stand, *, body: bytes | None = None) -> int:
    task = list(stand.vendor.tasks.values())[-1]
    url, _, own = stand.vendor.webhook(task)
    return Client().post(urlsplit(url).path, own if body is None else body, "application/json").status_code


def resolve() -> Attempt:
    drive.hurry()
    drive.async_to_sync(drive.poll.resolve_unknown)()
    return Attempt.objects.get()


@pytest.fixture
def lost(stand, caller):
    """An order whose answer was lost."""
    stand.vendor.fault("submit", "cut_after")
    job = submit(caller, stand.request())
    drive.dispatch.dispatch()
    assert resolve().status == "unknown"
    return job


def test_a_call_brings_the_poll_forward_and_the_poll_decides(stand, caller):
    submit(caller, stand.request())
    drive.dispatch.dispatch()
    Attempt.objects.update(due_at=timezone.now() + timedelta(hours=1))
    stand.vendor.polls_to_end = 3
    assert [call(stand), call(stand)] == [204, 204]
    attempt = Attempt.objects.get()
    assert attempt.due_at <= timezone.now()
    drive.async_to_sync(drive.polling.poll_due)()
    attempt.refresh_from_db()
    assert attempt.status in {"submitted", "running"}, "the call said nothing that counts"


@pytest.mark.parametrize("body", [b"", b"nonsense", b'{"id": 5}'])
def test_a_call_about_nothing_is_forged(stand, caller, body):
    submit(caller, stand.request())
    drive.dispatch.dispatch()
    assert call(stand, body=body) == 403


def test_a_guessed_address_is_not_found(stand, lost):
    attempt = Attempt.objects.get()
    for path in (f"/callbacks/{attempt.tag}", f"/callbacks/{attempt.tag}.AAAA", "/callbacks/.x"):
        assert Client().post(path, b"{}", "application/json").status_code == 404


def test_a_lost_order_is_found_by_its_call(stand, lost):
    assert call(stand) == 204
    attempt = resolve()
    assert (attempt.status, attempt.external_id) == ("submitted", next(iter(stand.vendor.tasks)))
    drive.run_all(seconds=60)
    lost.refresh_from_db()
    assert lost.status == Status.SUCCEEDED
    assert stand.orders() == 1


def test_a_call_that_came_before_anybody_missed_the_order_is_kept(stand, caller):
    """The dispatcher died with the answer; the vendor calls once, long before the attempt counts as an orphan."""
    job = submit(caller, stand.request())
    start = drive.dispatch.pick()
    provider = adapter(start.attempt.provider, start.attempt.account_id)
    async_to_sync(provider.submit)(make_order(start.job, start.attempt, start.route))
    assert call(stand) == 204
    drive.orphan(start.attempt)
    Attempt.objects.update(lease_until=None)
    drive.run_all(seconds=60)
    job.refresh_from_db()
    assert job.status == Status.SUCCEEDED
    assert stand.orders() == job.attempts.count() == 1


def test_a_call_that_names_another_task_is_not_believed(stand, lost, caller):
    """The other task is the account's too, but it was ordered with another attempt's address."""
    (mine,) = stand.vendor.tasks.values()
    other = mine.__class__(
        "othertask", mine.model, {**mine.request, "webhook": "https://testserver/x"}, mine.length_ms
    )
    stand.vendor.tasks["othertask"] = other
    path = urlsplit(mine.request["webhook"]).path
    assert Client().post(path, b'{"id": "othertask"}', "application/json").status_code == 204
    attempt = resolve()
    assert (attempt.status, attempt.external_id) == ("unknown", "")


def test_a_run_that_is_written_down_as_rejected_leaves_the_job_to_another_route(stand, caller):
    stand.vendor.rejects = True
    drive.fake_route(stand.organization, priority=200)
    job = submit(caller, stand.request())
    drive.run_all(seconds=60)
    job.refresh_from_db()
    assert job.status == Status.SUCCEEDED
    assert list(job.attempts.order_by("number").values_list("error_code", flat=True)) == [
        "provider_account",
        "",
    ]
