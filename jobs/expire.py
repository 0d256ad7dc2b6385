"""Give up a job at its deadline, but ask the provider first: what has finished is kept, what has not is free."""

from __future__ import annotations

import logging

from celery import shared_task
from django.db.models import F
from django.db.models.functions import Now

from jobs import chain, poll, settle
from jobs.models import Attempt, Job
from jobs.states import ATTEMPT_OPEN, OPEN, AttemptStatus, Status
from jobs.types import Failure
from providers.calls import call
from providers.registry import adapter

log = logging.getLogger(__name__)

ASK_SECONDS = 20
EXPIRED = Failure("expired", "The job was not finished by its deadline; nothing was charged.", retryable=True)
# Between being asked a last time and being given up: a saving job is left to finish.
GIVEN_UP = OPEN - {Status.SAVING}


def expire(job_id: str) -> None:
    """Expire a job whose deadline has passed, unless its provider says that it has just finished."""
    if not Job.objects.filter(pk=job_id, status__in=GIVEN_UP, deadline_at__lt=Now()).exists():
        return
    placed = Attempt.objects.filter(job_id=job_id, status__in=ATTEMPT_OPEN).exclude(external_id="")
    running_on = [attempt for attempt in placed if not _asked_then_stopped(attempt)]
    job = Job.objects.get(pk=job_id)
    for attempt in running_on:  # before the end, which counts what the job cost
        cost = poll.cost(attempt, chain.length_ms(attempt, job))
        rows = Attempt.objects.filter(pk=attempt.pk, status__in=ATTEMPT_OPEN)
        rows.update(cost_micros=cost, note="it may run on there, and is booked as if it did")
    if settle.end(job, Status.EXPIRED, EXPIRED, given=GIVEN_UP):
        # The fence goes up, so that whoever asks about one of them at this moment writes nothing over it.
        Attempt.objects.filter(job=job, status__in=ATTEMPT_OPEN).update(
            status=AttemptStatus.CANCELED,
            finished_at=Now(),
            error_code=EXPIRED.code,
            lease_until=None,
            fence=F("fence") + 1,
        )


def _asked_then_stopped(attempt: Attempt) -> bool:
    """False where it runs on, or may, and will be charged for."""
    try:
        provider = adapter(attempt.provider, attempt.account_id)
        for update in call(ASK_SECONDS, provider.poll, [attempt.external_id]):
            poll.apply(attempt, update)
        return call(ASK_SECONDS, provider.cancel, attempt.external_id)
    except Exception:
        log.warning("no last word on %s", attempt.external_id, exc_info=True, extra={"job": attempt.job_id})
        return False


@shared_task(name="jobs.expire")
def expire_task(job_id: str) -> None:
    expire(job_id)
