"""What every adapter of the registry keeps to, our own machines and the fake included."""

from __future__ import annotations

import pytest
from django.conf import settings as django_settings

from billing import ledger
from jobs.cancel import cancel, cancel_at_provider
from jobs.models import Asset, Attempt, Job
from jobs.states import FINAL, Status
from jobs.submit import submit
from tests.jobs import drive
from tests.providers.conformance.stands import STANDS, VOICE_MS

# The render worker leaves its child's pipe to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:.*FileIO:pytest.PytestUnraisableExceptionWarning")

PRICE = 3 * 30_000  # two seconds of voice; three are the least that is billed


def test_every_provider_of_the_registry_has_a_stand():
    assert set(STANDS) == set(django_settings.PROVIDERS)


@pytest.fixture
def allow(settings, stand):
    if hasattr(stand, "vendor"):
        settings.FETCH_ALLOW_HOSTS = [stand.vendor.host]


def ended(stand, job: Job, *, steps: int = 40) -> Job:
    for _ in range(steps):
        drive.step()
        stand.work()
        job.refresh_from_db()
        if job.status in FINAL:
            return job
    raise AssertionError((job.status, job.phase, list(job.attempts.values("status", "note"))))


def is_free(stand) -> bool:
    return ledger.balance(stand.organization) == ledger.Balance(20 * drive.USD, 0)


@pytest.mark.usefixtures("allow")
def test_an_order_becomes_a_video(stand, caller):
    job = ended(stand, submit(caller, stand.request()))
    assert (job.status, job.charged_micros) == (Status.SUCCEEDED, PRICE)
    assert stand.orders() == Attempt.objects.count() == 1
    video = Asset.objects.get(job=job, role="video")
    assert abs(video.duration_ms - VOICE_MS) <= 250
    attempt = Attempt.objects.get()
    assert attempt.cost_micros == stand.route.cost_micros_per_second * VOICE_MS // 1000


def test_a_failure_is_told_in_our_words_and_is_free(stand, caller):
    code = stand.fail()
    job = ended(stand, submit(caller, stand.request()))
    assert (job.status, job.error_code) == (Status.FAILED, code)
    assert job.error_message.endswith(".")
    assert is_free(stand)


def test_what_stalls_can_be_canceled(stand, caller):
    stand.stall()
    job = submit(caller, stand.request())
    drive.step()
    cancel(caller, job)
    cancel_at_provider(str(job.pk))
    job = ended(stand, job)
    assert job.status == Status.CANCELED
    assert is_free(stand)


def test_a_forgotten_order_fails_free(stand, caller):
    stand.stall()
    job = submit(caller, stand.request())
    drive.step()
    stand.forget()
    job = ended(stand, job)
    assert (job.status, job.error_code) == (Status.FAILED, "provider_lost_job")
    assert is_free(stand)
