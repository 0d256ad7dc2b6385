"""The vendor's signed calls: they bring the poll forward, once or ten times, and decide nothing."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from jobs.models import Attempt
from jobs.submit import submit
from tests.jobs import drive
from tests.providers.conformance.stands import standing


@pytest.fixture
def stand(org, settings):
    settings.PROVIDER_CALLBACKS = True
    with standing("wavespeed", org) as made:
        yield made


@pytest.fixture
def attempt(stand, caller) -> Attempt:
    """An order that the vendor was asked to call about, to be asked about in an hour."""
    submit(caller, stand.request())
    drive.dispatch.dispatch()
    Attempt.objects.update(due_at=timezone.now() + timedelta(hours=1))
    return Attempt.objects.get()


def call(stand, **how) -> int:
    (task,) = stand.vendor.tasks.values()
    return post(*stand.vendor.webhook(task, **how))


def post(url: str, headers: dict[str, str], body: bytes) -> int:
    wanted = {name: value for name, value in headers.items() if name != "Content-Type"}
    return Client().post(urlsplit(url).path, body, "application/json", headers=wanted).status_code


def is_due(attempt: Attempt) -> bool:
    attempt.refresh_from_db()
    return attempt.due_at <= timezone.now()


def test_a_call_brings_the_poll_forward(stand, attempt):
    assert [call(stand), call(stand)] == [204, 204]
    assert is_due(attempt)
    drive.async_to_sync(drive.polling.poll_due)()
    attempt.refresh_from_db()
    assert attempt.status == "succeeded"
    assert call(stand) == 204  # late, and without effect
    assert Attempt.objects.get().status == "succeeded"


@pytest.mark.parametrize("how", [{"secret": "whsec_other"}, {"age": 400}, {"age": -400}])
def test_a_forged_or_old_call_changes_nothing(stand, attempt, how):
    assert call(stand, **how) == 403
    assert not is_due(attempt)


@pytest.mark.parametrize("signature", ["v3,\xe9", "\xe9", "v3"])
def test_a_signature_that_is_none_is_forged(stand, attempt, signature):
    (task,) = stand.vendor.tasks.values()
    url, headers, body = stand.vendor.webhook(task)
    assert post(url, {**headers, "webhook-signature": signature}, body) == 403
    assert not is_due(attempt)


def test_a_call_about_another_order_changes_nothing(stand, attempt):
    """Signed by the vendor, but it names another prediction than this address is for."""
    Attempt.objects.update(external_id="another")
    assert call(stand) == 204
    assert not is_due(attempt)


def test_a_body_without_bound_is_not_read(stand, attempt):
    (task,) = stand.vendor.tasks.values()
    url, headers, body = stand.vendor.webhook(task)
    assert post(url, headers, body + b" " * 300_000) == 413
    assert not is_due(attempt)


def test_a_call_tells_what_became_of_an_order_whose_answer_was_lost(stand, caller):
    stand.vendor.echoes_inputs = False  # so that the history cannot
    stand.vendor.fault("submit", "cut_after")
    submit(caller, stand.request())
    drive.step()
    attempt = Attempt.objects.get()
    assert attempt.status == "unknown"
    assert call(stand) == 204
    drive.hurry()
    drive.async_to_sync(drive.poll.resolve_unknown)()
    attempt.refresh_from_db()
    assert (attempt.status, attempt.external_id) == ("submitted", next(iter(stand.vendor.tasks)))


def test_nobody_is_asked_to_call_without_a_secret_to_check_it_by(stand, caller):
    stand.account.sealed_secret = ""
    stand.account.save()
    submit(caller, stand.request())
    drive.dispatch.dispatch()
    (task,) = stand.vendor.tasks.values()
    assert task.request["webhook"] == ""
