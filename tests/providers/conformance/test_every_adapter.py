"""What every adapter of the registry keeps to, our own machines and the fake included."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from billing import ledger
from jobs.cancel import cancel, cancel_at_provider
from jobs.models import Asset, Attempt, Job
from jobs.orders import callback_url
from jobs.states import FINAL, Status
from jobs.submit import submit
from providers.models import FakeTask
from tests.jobs import drive
from tests.providers.conformance.matrix import proves
from tests.providers.conformance.stands import VOICE_MS, standing

# The render worker leaves its child's pipe to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:.*FileIO:pytest.PytestUnraisableExceptionWarning")

PRICE = 3 * 30_000  # two seconds of voice; three are the least that is billed


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


@proves("success")
@pytest.mark.usefixtures("allow")
def test_an_order_becomes_a_video(stand, caller):
    job = ended(stand, submit(caller, stand.request()))
    assert (job.status, job.charged_micros) == (Status.SUCCEEDED, PRICE)
    assert stand.orders() == Attempt.objects.count() == 1
    video = Asset.objects.get(job=job, role="video")
    assert abs(video.duration_ms - VOICE_MS) <= 250
    attempt = Attempt.objects.get()
    assert attempt.cost_micros == stand.route.cost_micros_per_second * VOICE_MS // 1000


@proves("refusal", of=["local"])
def test_a_failure_is_told_in_our_words_and_is_free(stand, caller):
    code = stand.fail()
    job = ended(stand, submit(caller, stand.request()))
    assert (job.status, job.error_code) == (Status.FAILED, code)
    assert job.error_message.endswith(".")
    assert is_free(stand)


@proves("slow")
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


@proves("forged callback")
def test_a_forged_call_changes_nothing(stand, caller, settings):
    """To the address that the provider was told, about an order that is not this attempt's; and to a made-up one."""
    settings.PROVIDER_CALLBACKS = True
    stand.stall()
    submit(caller, stand.request())
    drive.dispatch.dispatch()
    in_an_hour = timezone.now() + timedelta(hours=1)
    Attempt.objects.update(due_at=in_an_hour)
    attempt = Attempt.objects.get()
    address = urlsplit(callback_url(attempt.tag)).path
    forged = {"id": "0" * 32, "status": "completed", "outputs": ["https://evil.example/a.mp4"]}
    assert Client().post(address, forged, "application/json").status_code in {204, 403}
    assert Client().post(f"{address}x", forged, "application/json").status_code == 404
    attempt.refresh_from_db()
    assert attempt.due_at == in_an_hour
    assert attempt.status == "submitted"


@proves("vendor words", of=["fake", "local"])
@pytest.mark.parametrize("slug", ["fake", "local"])
def test_our_own_names_of_orders_are_not_shown_either(slug, org, caller, api, alice_browser):
    with standing(slug, org) as stand:
        stand.fail()
        job = ended(stand, submit(caller, stand.request()))
        addresses = [
            f"/v1/jobs/{job.pk}",
            f"/v1/jobs/{job.pk}/events",
            "/v1/events",
            f"/v1/jobs/{job.pk}/receipt",
        ]
        pages = [api.get(address) for address in addresses] + [alice_browser.get(f"/jobs/{job.pk}")]
        assert {page.status_code for page in pages} == {200}
        words = stand.words()
        assert words
        assert [word for word in words for page in pages if word in page.content.decode()] == []


# --- what only the fake can be told to do without a wire ----------------------------------------------------

WORDLY = {
    # words: how the attempts end, and the job
    "refuse=content_refused": (["content_refused"], "failed"),
    "throttle=2 order=mine": (["provider_throttled", "provider_throttled", ""], "succeeded"),
    "drop": ([""], "succeeded"),
}


@proves("refusal", "throttle", "cut after the effect", of=["fake"])
@pytest.mark.parametrize("script", WORDLY)
def test_what_the_script_says_of_a_submit(org, caller, script):
    drive.fund(org)
    drive.fake_route(org)
    job = submit(caller, drive.request(org, f"[fake {script}]"))
    drive.run_all()
    job.refresh_from_db()
    codes = list(job.attempts.order_by("number").values_list("error_code", flat=True))
    assert (codes, job.status) == WORDLY[script]
    assert FakeTask.objects.exclude(order={}).count() == (job.status == "succeeded")


@proves("server error", "cut before the effect", of=["fake"])
def test_nobody_there_orders_nothing(org, caller):
    drive.fund(org)
    drive.fake_route(org)
    job = submit(caller, drive.request(org, "[fake unavailable]"))
    drive.step()
    job.refresh_from_db()
    assert (job.status, job.attempts.first().error_code) == ("queued", "provider_unavailable")
    assert not FakeTask.objects.exists()
