"""With Redis, the file store or a provider away every page of the dashboard still answers, and what is away is told."""

from __future__ import annotations

import gc
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
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
    def unplug(address="http://127.0.0.1:9"):
        gone = {**settings.S3_STORAGE["OPTIONS"], "endpoint_url": address}
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


def test_a_store_that_takes_questions_and_says_nothing(alice_browser, no_store):
    """botocore itself would wait for minutes, and ask again."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        no_store(f"http://127.0.0.1:{mute.getsockname()[1]}")
        assert "Files: away." in told(alice_browser)
        mute.setblocking(False)
        mute.accept()[0].close()
        with pytest.raises(BlockingIOError):
            mute.accept()


def test_a_part_that_hangs_holds_up_one_thread_only():
    shown, asked, let_go = status.Kept(), threading.Event(), threading.Event()
    shown.get(lambda: {"summary": "before"})
    shown.until = 0.0

    def hangs() -> dict[str, str]:
        asked.set()
        let_go.wait(60)
        return {"summary": "after"}

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(shown.get, hangs)
        assert asked.wait(60)
        assert shown.get(hangs) == {"summary": "before"}
        let_go.set()
        assert first.result() == {"summary": "after"} == shown.get(hangs)


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
