"""Orders at WaveSpeed's double: what its history proves, and errors that come under a 200."""

from __future__ import annotations

import pytest

from jobs.models import Attempt
from jobs.states import Status
from jobs.submit import submit
from providers import errors, vault
from providers.calls import call
from providers.registry import adapter
from tests.jobs import drive
from tests.providers.conformance.stands import grow_old, standing


@pytest.fixture
def stand(org):
    with standing("wavespeed", org) as made:
        yield made


def test_a_history_that_shows_nothing_older_proves_nothing(stand, caller):
    """It may be late: the order was taken, and is not in it yet."""
    ordered, stand.vendor.past = stand.vendor.past, []
    stand.trouble("cut_before")
    job = submit(caller, stand.request())
    drive.dispatch.dispatch()
    grow_old(job)
    for past, status in (([], "unknown"), (ordered, "failed")):
        stand.vendor.past = past
        drive.hurry()
        drive.async_to_sync(drive.poll.resolve_unknown)()
        assert Attempt.objects.get().status == status


def test_a_refusal_under_a_200_is_a_refusal(stand, caller):
    stand.vendor.in_envelopes = True
    stand.trouble("refusal")
    job = submit(caller, stand.request())
    drive.dispatch.dispatch()
    job.refresh_from_db()
    assert (job.status, job.error_code) == (Status.FAILED, "content_refused")


def test_a_wrong_key_is_seen_under_a_200_too(stand):
    stand.vendor.in_envelopes = True
    vault.keep(stand.account, key="wrong")
    stand.account.save()
    with pytest.raises(errors.AccountRefused):
        call(20, adapter("wavespeed", stand.account.pk).verify)
