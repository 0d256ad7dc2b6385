"""Driving jobs without worker processes: the same verbs that the workers' tasks call, until nothing is left to do."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from asgiref.sync import async_to_sync
from django.conf import settings
from django.db import connection, transaction

from accounts.models import Organization
from billing import ledger
from jobs import dispatch, lanes, notify, parts, poll, polling, prepare, settle, storage
from jobs.models import Asset, Attempt, Job
from jobs.states import FINAL, Status
from jobs.types import JobRequest
from providers.models import Route

SAMPLES = Path(__file__).parent.parent / "samples"
USD = 1_000_000


def fund(organization: Organization, usd: int = 20) -> None:
    organization.tier = "gold"  # its limits are not what is tested
    organization.save(update_fields=["tier"])
    with transaction.atomic():
        ledger.grant(organization, usd * USD, reference=uuid.uuid4().hex, reason="test credit")


def fake_route(organization: Organization, model: str = "wan-2.2-s2v", **fields) -> Route:
    return Route.objects.create(model=model, provider="fake", organization=organization, **fields)


def asset(organization: Organization, kind: str, *, duration_ms: int = 4000, status: str = "ready") -> Asset:
    """A file of the organization, stored and described as if it had been probed."""
    row = Asset(organization=organization, origin="upload", kind=kind, status=status, filename=f"{kind}.bin")
    row.key = storage.new_key(organization.pk, row.id, row.filename)
    row.content_type = {"image": "image/jpeg", "audio": "audio/wav", "video": "video/mp4"}[kind]
    row.duration_ms = 0 if kind == "image" else duration_ms
    row.width = row.height = 512 if kind != "audio" else 0
    sample = SAMPLES / ("portrait.jpg" if kind == "image" else "speech.wav")
    storage.put(row.key, sample, content_type=row.content_type)
    row.bytes = sample.stat().st_size
    row.save(force_insert=True)
    return row


def request(organization: Organization, prompt: str = "", *, duration_ms: int = 4000, **fields) -> JobRequest:
    inputs = {"image": str(asset(organization, "image").id)}
    inputs["audio"] = str(asset(organization, "audio", duration_ms=duration_ms).id)
    options = {"prompt": prompt, "seed": 7, **fields.pop("options", {})}
    return JobRequest(
        **{"model": "wan-2.2-s2v", "inputs": inputs, "options": options, "dialect": "rest", **fields}
    )


def run_all(seconds: float = 20) -> None:
    """Work until every job is final, or fail the test after `seconds`."""
    end = time.monotonic() + seconds
    while Job.objects.exclude(status__in=FINAL).exists():
        step()
        assert time.monotonic() < end, list(Job.objects.values_list("status", "error_code", "phase"))


def step() -> None:
    hurry()
    for job in Job.objects.filter(status=Status.PREPARING):
        prepare.prepare(str(job.pk))
    dispatch.dispatch()
    async_to_sync(polling.poll_due)()
    async_to_sync(poll.resolve_unknown)()
    for job in parts.between():
        parts.next_part(str(job.pk))
    for job in Job.objects.filter(status=Status.SAVING):
        settle.save(str(job.pk))


def tell() -> int:
    """Try every webhook that is due, as the couriers do; how many tries it were."""
    tries = 0
    while turns := lanes.claim(32, 16):
        for turn in turns:
            notify.attempt(turn.delivery)
        tries += len(turns)
    return tries


@contextmanager
def worker() -> Generator[None, None, None]:
    """Jobs go on beside the test, as with worker processes; for tests whose rows are committed."""
    over = threading.Event()

    def work() -> None:
        try:
            while not over.wait(0.02):
                step()
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def hurry() -> None:
    """What is due later is due now: the waits are not what is tested."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE jobs_attempt SET due_at = now() - interval '1 s'"
            " WHERE status IN ('submitted', 'running', 'unknown') OR status = 'failed' AND due_at > now()"
        )
        cursor.execute(
            "UPDATE jobs_job SET due_at = now() - interval '1 s' WHERE status IN ('preparing', 'queued', 'saving')"
        )


def orphan(attempt: Attempt) -> None:
    """Make an attempt as old as one whose dispatcher died."""
    with connection.cursor() as cursor:
        age = f"{settings.ORPHAN_SECONDS + 1} s"
        cursor.execute(
            "UPDATE jobs_attempt SET created_at = now() - %s::interval WHERE id = %s", [age, attempt.pk]
        )
