"""Two Voicereels in a row: this process orders, by each vendor's adapter, at the dialect of that vendor which a second
platform serves. What the one sends is what the other reads, and both keep right books.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from billing import ledger
from config.embedded import process
from jobs.models import Asset, Job
from jobs.states import FINAL, Status
from jobs.submit import submit
from jobs.types import JobRequest
from providers import vault
from providers.models import ProviderAccount, Route
from tests.dialects.wavespeed.live import account
from tests.jobs import drive
from tests.jobs.drive import SAMPLES
from tests.providers.conformance.stands import stored

pytestmark = pytest.mark.timeout(600)
MS = 12_528
PRICE = 13 * 30_000
LOOK = 574
PATHS = {"wavespeed": "", "dashscope": "/api/v1", "inferencesh": ""}


def sample(organization) -> JobRequest:
    image = stored(
        organization, "image", (SAMPLES / "portrait.jpg").read_bytes(), "image/jpeg", width=512, height=512
    )
    voice = stored(organization, "audio", (SAMPLES / "speech.wav").read_bytes(), "audio/wav", duration_ms=MS)
    options = {"seed": 7, "prompt": "a talk", "resolution": "480p"}
    inputs = {"image": image, "audio": voice}
    return JobRequest(model="wan-2.2-s2v", inputs=inputs, options=options, dialect="rest")


@pytest.fixture
def behind(live_stack, org, settings):
    """`behind(slug)`: a customer's account on the second platform, and a route of Acme's to it."""

    def made(slug: str, *, fake: bool = True):
        there = account(live_stack, fake=fake)
        settings.FETCH_ALLOW_HOSTS = [
            urlsplit(live_stack.url).netloc,
            urlsplit(live_stack.env["S3_ENDPOINT_URL"]).netloc,
        ]
        row = ProviderAccount(provider=slug, name="behind", base_url=live_stack.url + PATHS[slug])
        vault.keep(row, key=there.key)
        row.save()
        drive.fund(org)
        Route.objects.create(model="wan-2.2-s2v", provider=slug, account=row, organization=org)
        return there

    return made


def step(job: Job) -> bool:
    drive.step()
    job.refresh_from_db()
    return job.status in FINAL


def notes(job: Job) -> list:
    return [job.status, job.error_code, *job.attempts.values_list("status", "error_code", "note")]


@pytest.mark.parametrize("slug", PATHS)
def test_the_sample_renders_through_the_chain(behind, org, caller, slug):
    there = behind(slug, fake=slug != "wavespeed")  # once by the CPU engine, for the sake of the whole road
    job = submit(caller, sample(org))
    assert process.until(lambda: step(job), seconds=400, pause=0.2), notes(job)
    assert job.status == Status.SUCCEEDED, notes(job)
    video = Asset.objects.get(job=job, role="video")
    assert video.has_audio
    assert abs(video.duration_ms - MS) <= 250

    assert (job.charged_micros, ledger.balance(org).held_micros) == (PRICE, 0)
    assert ledger.balance(org).available_micros == 20 * drive.USD - PRICE
    spent = PRICE + (LOOK if slug == "dashscope" else 0)  # that adapter has the picture looked at first
    assert there.balance() == (20 * drive.USD - spent, 0)
    assert len(there.jobs()) == 1
    assert job.attempts.get().external_id.replace("-", "") == there.jobs()[0]


@pytest.mark.parametrize("slug", ["wavespeed", "inferencesh"])  # the third carries no prompt to script by
def test_a_failure_there_is_told_in_our_words_here(behind, org, caller, slug):
    there = behind(slug)
    request = sample(org)
    request.options["prompt"] = "[fake fail=engine_failed]"
    job = submit(caller, request)
    assert process.until(lambda: step(job), seconds=60, pause=0.2), notes(job)
    assert (job.status, job.error_code) == (Status.FAILED, "provider_failed"), notes(job)
    assert ledger.balance(org) == ledger.Balance(20 * drive.USD, 0)
    assert there.balance() == (20 * drive.USD, 0)
