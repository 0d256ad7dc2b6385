"""With Redis, the file store or a provider away every page of the dashboard still answers, and what is away is told."""

from __future__ import annotations

import gc
import re

import pytest
from botocore.config import Config
from django.db import connection

from accounts import shortcut
from billing import throttles
from config import status
from jobs.models import Job
from jobs.submit import submit
from providers import circuit
from providers.models import Route
from tests.architecture.test_permissions import PAGES, filled, things  # noqa: F401  a fixture
from tests.jobs import drive

# The doors to what was plugged in before are left to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:.*socket.socket:pytest.PytestUnraisableExceptionWarning")
NOWHERE = "redis://127.0.0.1:1/0"
# Streams go on until the job has ended; a clip is an address of the store, of a job that renders.
SKIPPED = {"studio/jobs/<uuid:job_id>/events", "studio/jobs/<uuid:job_id>/clips/<int:index>"}
READ = sorted(
    route
    for route, rows in PAGES.items()
    if route not in SKIPPED and any(row.method == "get" for row in rows)
)


@pytest.fixture(autouse=True)
def fresh():
    status.kept.forget()
    yield
    status.kept.forget()
    gc.collect()  # here, where it is expected


@pytest.fixture
def video(things, org, caller):  # noqa: F811  the fixture above
    """A finished video, so that pages have files to show."""
    job = submit(caller, drive.request(org))
    drive.run_all()
    return Job.objects.get(pk=job.pk)


@pytest.fixture
def no_redis(settings, monkeypatch):
    def unplug():
        settings.REDIS_URL = settings.CELERY_BROKER_URL = NOWHERE
        settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": NOWHERE}}
        shortcut.shortcut.cache_clear()
        throttles.counter.cache_clear()

    yield unplug
    shortcut.shortcut.cache_clear()
    throttles.counter.cache_clear()


@pytest.fixture
def no_store(settings):
    def unplug():
        gone = {**settings.S3_STORAGE["OPTIONS"], "endpoint_url": "http://127.0.0.1:9"}
        gone["client_config"] = Config(connect_timeout=1, retries={"max_attempts": 0})
        for name in ("signature_version", "addressing_style"):
            gone.pop(name)
        settings.STORAGES = {**settings.STORAGES, "default": {**settings.S3_STORAGE, "OPTIONS": gone}}

    return unplug


def walk(browser, things, job) -> None:  # noqa: F811  the fixture above
    """Every page, with the things of an organization and once more with its finished video."""
    for route in READ:
        for names in (things, {**things, "<uuid:job_id>": str(job.pk)}):
            answer = browser.get(filled(route, names))
            if answer.status_code == 503:  # a file itself, no page; it says why in a sentence
                assert route == "studio/files/<uuid:file_id>"
                assert answer.json()["code"] == "storage_unavailable"
                continue
            # 409: a page, too, that says why that job is not ordered again.
            assert answer.status_code in {200, 302, 409}, (route, answer)
            if not answer.streaming and b"<html" in answer.content:
                assert b'hx-get="/status/note"' in answer.content, route


def told(browser) -> str:
    answer = browser.get("/status/note")
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", answer.content.decode()))


def test_while_all_is_well_nothing_is_told(alice_browser):
    answer = alice_browser.get("/status/note")
    assert (answer.status_code, answer.content) == (204, b"")


def test_without_redis(alice_browser, things, video, no_redis):  # noqa: F811  the fixture above
    no_redis()
    walk(alice_browser, things, video)
    assert "Live updates: away. Live progress and rate limits." in told(alice_browser)


def test_without_the_store(alice_browser, things, video, no_store):  # noqa: F811  the fixture above
    no_store()
    walk(alice_browser, things, video)
    assert "Files: away. Uploads and finished videos." in told(alice_browser)


def test_without_a_provider(alice_browser, things, video):  # noqa: F811  the fixture above
    Route.objects.filter(organization=None).delete()
    route = Route.objects.create(model="wan-2.2-s2v", provider="fake")
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        began = cursor.fetchone()[0]
    for _ in range(round(circuit.ENOUGH) + 1):
        circuit.take_in(route.pk, good=False, began_at=began)
    walk(alice_browser, things, video)
    assert "Rendering: disturbed. Nobody renders wan-2.2-s2v at the moment" in told(alice_browser)
    assert "fake" not in told(alice_browser)
    spare = Route.objects.create(model="wan-2.2-s2v", provider="local")
    status.kept.forget()
    assert alice_browser.get("/status/note").status_code == 204, spare
