"""Between two parts of a chained job: bring the finished one home, then queue the job for its next.

The rows are the truth: a job that runs without an open attempt is here, whoever died.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

from celery import shared_task
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from jobs import chain, media, settle
from jobs.dispatch import CANCELED
from jobs.events import transition
from jobs.models import Attempt, Job
from jobs.states import ATTEMPT_OPEN, AttemptStatus, Status
from jobs.wake import wake
from providers import leases

log = logging.getLogger(__name__)

LEASE_SECONDS = 180


def between() -> QuerySet[Job]:
    """Jobs that have a part behind them and none before a provider."""
    running = Attempt.objects.filter(job=OuterRef("pk"), status__in=ATTEMPT_OPEN)
    return Job.objects.filter(~Exists(running), status=Status.RUNNING, due_at__lte=Now())


def next_part(job_id: str) -> None:
    """Safe to call at any time."""
    rows = between().filter(pk=job_id).select_related("organization")
    for job in leases.claim(rows, seconds=LEASE_SECONDS):
        if job.cancel_requested_at is not None:
            settle.end(job, Status.CANCELED, CANCELED, fence=job.fence)
            continue
        done = job.attempts.filter(status=AttemptStatus.SUCCEEDED).latest("number")
        try:
            with leases.kept(job, seconds=LEASE_SECONDS, given=Q(status=Status.RUNNING)) as claim:
                if "picture" not in done.result:
                    _bring_home(done, job, claim)
        except leases.Lost:
            log.info("a part of %s is brought home by somebody else", job.pk, extra={"job": job.pk})
        except Exception as error:  # noqa: BLE001  sorted there
            settle.not_saved(job, done, error)
        else:
            if _queue(job, done):
                settle.count_well_made(done, job)


def _bring_home(done: Attempt, job: Job, claim: leases.Kept) -> None:
    with tempfile.TemporaryDirectory(prefix="voicereel-part-") as name:
        folder = Path(name)
        film = folder / "film"
        output = next(output for output in done.result["outputs"] if output["kind"] == "video")
        settle.bring(done, output, film)
        claim.require()
        length = chain.length_ms(done, job)
        # Its sound is not used: the whole voice goes over all parts.
        media.verify_output(
            film, expect_ms=length, tolerance_ms=settle.LENGTH_TOLERANCE_MS, expect_audio=False
        )
        claim.require()
        result = chain.keep(done, film, folder)
    Attempt.objects.filter(pk=done.pk).update(result=result)


def _queue(job: Job, done: Attempt) -> bool:
    fields: dict[str, Any] = {"due_at": Now(), "lease_until": None, "tries": 0, "phase": "waiting"}
    share = done.part / (len(done.cuts) - 1)
    won = transition(
        job, Status.QUEUED, given=frozenset({Status.RUNNING}), fence=job.fence, progress=share, **fields
    )
    if won:
        wake("jobs.dispatch")
    return won


@shared_task(name="jobs.next_part")
def next_part_task(job_id: str) -> None:
    next_part(job_id)
