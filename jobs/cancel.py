"""Stop a job. What has not succeeded costs nothing."""

from __future__ import annotations

import logging
from contextlib import suppress

from celery import shared_task
from django.db import transaction
from django.db.models.functions import Now
from django.http import HttpRequest

from accounts import audit
from accounts.models import User
from accounts.tenancy import Caller
from jobs import chain, gallery, parts, poll, settle
from jobs.dispatch import CANCELED, give_up
from jobs.errors import Conflict
from jobs.events import append
from jobs.models import Attempt, Job
from jobs.states import ATTEMPT_OPEN, AttemptStatus, Status
from jobs.wake import wake
from providers.calls import call
from providers.registry import adapter

log = logging.getLogger(__name__)

CANCEL_SECONDS = 20
EARLY = frozenset({Status.PREPARING, Status.QUEUED})
LATE = frozenset({Status.RUNNING, Status.SAVING})


def cancel(caller: Caller, job: Job) -> Job:
    """The job, canceled at once while it waits, or on its way there while it renders.

    Canceling twice is fine; Conflict for a job that has already ended otherwise.
    """
    if settle.end(job, Status.CANCELED, CANCELED, given=EARLY):
        job.refresh_from_db()
        return job
    with transaction.atomic():
        rows = Job.objects.filter(pk=job.pk, status__in=LATE, cancel_requested_at=None)
        if rows.update(cancel_requested_at=Now()):
            append(job, "cancel_requested", {})
            wake("jobs.cancel", str(job.pk))
    job.refresh_from_db()
    if job.final and job.status != Status.CANCELED:
        raise Conflict("job_ended", f"The job has already {job.status}.")
    return job


def cancel_by_operator(job: Job, *, by: User, request: HttpRequest | None = None) -> None:
    """As `cancel`, with its record in the same commit; a job that is canceled already leaves none. Raises Conflict."""
    with transaction.atomic():
        before = _facts(Job.objects.select_for_update().get(pk=job.pk))
        after = _facts(cancel(Caller(organization=job.organization), job))
        if after != before:
            audit.record(
                "job.cancel",
                by=by,
                target=job,
                organization=job.organization,
                before=before,
                after=after,
                request=request,
            )


def _facts(job: Job) -> dict[str, object]:
    return {"status": job.status, "cancel_requested": job.cancel_requested_at is not None}


def cancel_and_delete(caller: Caller, job: Job) -> bool:
    """Cancel a job, and delete it where that ended it: in one commit, so that nobody sees it canceled in between.

    False for one that renders, which is canceled and can be deleted when it has ended, and for one that had ended.
    """
    with transaction.atomic():
        if cancel_waiting(job):
            return bool(gallery.hide(caller, [job.pk]))
    with suppress(Conflict):  # it ended in this very moment
        cancel(caller, job)
    return False


def cancel_waiting(job: Job) -> bool:
    """Cancel a job only while it waits; False when it is rendering already or has ended."""
    return settle.end(job, Status.CANCELED, CANCELED, given=EARLY)


def cancel_at_provider(job_id: str) -> None:
    """Tell the provider; its own word, by poll, then ends the job. A job that is only being saved ends here."""
    job = Job.objects.get(pk=job_id)
    if job.status == Status.SAVING:
        settle.end(job, Status.CANCELED, CANCELED, given=frozenset({Status.SAVING}))
        return
    parts.next_part(job_id)  # one that is between two of its parts ends there
    for attempt in Attempt.objects.filter(job=job, status__in=ATTEMPT_OPEN).exclude(external_id=""):
        try:
            provider = adapter(attempt.provider, attempt.account_id)
            stops = call(CANCEL_SECONDS, provider.cancel, attempt.external_id)
        except Exception:
            log.warning("could not cancel %s", attempt.external_id, exc_info=True, extra={"job": job.pk})
        else:
            if not stops:
                _abandon(attempt, job)
        Attempt.objects.filter(pk=attempt.pk).update(due_at=Now())


def _abandon(attempt: Attempt, job: Job) -> None:
    """It runs on at a provider that cannot stop, to be paid for by us: the customer need not wait for it."""
    cost = poll.cost(attempt, chain.length_ms(attempt, job))
    note = "it could not be stopped there"
    give_up(attempt, CANCELED, to=AttemptStatus.CANCELED, note=note, cost_micros=cost)


@shared_task(name="jobs.cancel")
def cancel_task(job_id: str) -> None:
    cancel_at_provider(job_id)
