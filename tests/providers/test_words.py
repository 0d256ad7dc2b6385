"""A vendor's words, planted wherever a vendor may put some, are in nothing that a customer gets."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.core import mail

from jobs import notify, webhooks
from jobs.models import Attempt, Delivery, Job
from jobs.submit import submit
from providers import errors
from providers.base import Output, State, Update
from providers.fake.adapter import FakeAdapter
from tests.jobs import drive
from tests.world import caller_for

PLANTED = "zyxvendor"
WORDS = f"{PLANTED}: CUDA error at https://gpu7.{PLANTED}.example/internal, task {PLANTED}-1"
ADDRESS = f"https://cdn.{PLANTED}.example/out.mp4"
SUBMITS = [
    errors.Refused(WORDS, code="content_refused"),
    errors.Unsuitable(WORDS, code="input_unsuitable"),
    errors.AccountRefused(WORDS),
    errors.Throttled(WORDS, retry_after=0.1),
    errors.Unavailable(WORDS),
    errors.OutcomeUnknown(WORDS),
    errors.NotFound(WORDS),
    RuntimeError(WORDS),
]
ID = f"{PLANTED}-id"
UPDATES = [
    Update(ID, State.FAILED, note=WORDS),
    Update(ID, State.FAILED, code="provider_failed", message="Not made.", note=WORDS, retryable=True),
    Update(ID, State.CANCELED, note=WORDS),
    Update(ID, State.LOST, note=WORDS),
    Update(ID, State.RUNNING, progress=0.5, phase="render", note=WORDS),
    Update(ID, State.SUCCEEDED, outputs=(Output("video", url=ADDRESS),), note=WORDS),
    RuntimeError(WORDS),
]


@pytest.fixture
def job(org, caller, alice):
    drive.fund(org)
    drive.fake_route(org)
    endpoint = {"url": "https://customer.example/hook", "events": ["*"]}
    webhooks.add(caller_for(org, alice), **endpoint)
    request = drive.request(org)
    return submit(caller, request)


def told(job: Job, api, browser) -> str:
    """All that the customer can read of it: four dialects, pages, webhooks in each dialect, e-mails."""
    name = job.pk
    addresses = [
        *(
            f"/v1/jobs/{name}",
            f"/v1/jobs/{name}/events",
            "/v1/events",
            "/v1/jobs",
            f"/v1/jobs/{name}/receipt",
        ),
        *(f"/api/v3/predictions/{name.hex}/result", f"/api/v1/tasks/{name}", f"/api/v1/tasks?task_id={name}"),
        *(f"/tasks/{name}", f"/tasks/{name}/status", f"/tasks/{name}/timings"),
    ]
    answers = [api.get(address) for address in addresses]
    assert all(answer.status_code < 500 for answer in answers), [answer.status_code for answer in answers]
    assert answers[0].status_code == answers[5].status_code == answers[6].status_code == 200
    pages = [browser.get(address) for address in (f"/jobs/{name}", f"/jobs/{name}/live", "/", "/jobs/rows")]
    shown = [b"".join(a.streaming_content) if a.streaming else a.content for a in [*answers, *pages]]
    for delivery in Delivery.objects.select_related("job", "event", "endpoint"):
        shown.append(notify.drawn(delivery)[1])
        for dialect in settings.DIALECT_WEBHOOKS:
            if delivery.endpoint is None:
                delivery.dialect = dialect
                shown.append(notify.drawn(delivery)[1])
    shown += [f"{letter.subject} {letter.body} {letter.alternatives}".encode() for letter in mail.outbox]
    return b"\n".join(shown).decode().lower()


def look(job: Job, api, browser) -> None:
    job.refresh_from_db()
    text = told(job, api, browser)
    assert str(job.pk) in text
    assert PLANTED not in text, text[max(text.index(PLANTED) - 200, 0) :][:500]


@pytest.mark.parametrize("error", SUBMITS, ids=lambda error: type(error).__name__)
def test_of_what_a_submit_says(job, api, alice_browser, monkeypatch, error):
    async def submit_(self, order):
        raise error

    monkeypatch.setattr(FakeAdapter, "submit", submit_)
    drive.dispatch.dispatch()
    look(job, api, alice_browser)
    assert PLANTED in Attempt.objects.latest("pk").note, "operators read it"
    for _ in range(3):
        drive.step()
    look(job, api, alice_browser)


@pytest.mark.parametrize("update", UPDATES, ids=lambda said: getattr(said, "state", "error"))
def test_of_what_a_poll_says(job, api, alice_browser, monkeypatch, update):
    async def submit_(self, order):
        return ID

    async def poll(self, external_ids):
        if isinstance(update, Exception):
            raise update
        return [update]

    monkeypatch.setattr(FakeAdapter, "submit", submit_)
    monkeypatch.setattr(FakeAdapter, "poll", poll)
    drive.dispatch.dispatch()
    drive.hurry()
    drive.async_to_sync(drive.polling.poll_due)()
    look(job, api, alice_browser)
    for _ in range(4):
        drive.step()
    look(job, api, alice_browser)
    assert Attempt.objects.filter(external_id__contains=PLANTED).exists()
