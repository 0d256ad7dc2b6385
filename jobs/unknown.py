"""An operator's word on an attempt whose answer was lost: it was placed, under this external id, or it never was.

Whoever resolves raises the fence: a `find` still on its way can then write nothing over it.
"""

from __future__ import annotations

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.http import HttpRequest

from accounts import audit
from accounts.audit import Actor
from jobs.dispatch import PUBLIC_FAILURE, give_up
from jobs.errors import Conflict, Invalid
from jobs.models import Attempt, Job
from jobs.states import AttemptStatus
from jobs.types import Failure
from jobs.wake import wake
from providers import errors
from providers.base import State
from providers.calls import call
from providers.registry import adapter

ASK_SECONDS = 20
# A constant of ours: two operators must not give the same external id to two attempts at once.
RESOLVE_LOCK = 0x756E6B6E
NEVER_PLACED = Failure("provider_unavailable", PUBLIC_FAILURE, retryable=True)


def placed(
    attempt: Attempt, external_id: str, *, reason: str, by: Actor, request: HttpRequest | None = None
) -> None:
    """The order is at the provider under `external_id`: it is polled from now on.

    Invalid where the provider does not know the id or another attempt has it; Conflict where the provider gives no
    answer, or the attempt is not unknown any more.
    """
    reason, external_id = _given(reason, "reason"), _given(external_id, "external_id")
    _require_unknown(attempt)
    _require_known(attempt, external_id)
    with transaction.atomic():
        job = _locked(attempt)
        _require_unused(attempt, external_id)
        rows = Attempt.objects.filter(pk=attempt.pk, status=AttemptStatus.UNKNOWN)
        rows.update(
            status=AttemptStatus.SUBMITTED,
            external_id=external_id,
            submitted_at=Now(),
            due_at=Now(),
            lease_until=None,
            fence=F("fence") + 1,
            poll_failures=0,
        )
        _record("attempt.placed", job, attempt, by, request, {"external_id": external_id, "reason": reason})
        if job.cancel_requested_at is not None:
            wake("jobs.cancel", str(job.pk))


def never_placed(attempt: Attempt, *, reason: str, by: Actor, request: HttpRequest | None = None) -> None:
    """The order never arrived: the attempt fails, and the job takes another route, or fails free where none is left.

    Conflict where the attempt is not unknown any more, or the job's deadline has passed.
    """
    reason = _given(reason, "reason")
    with transaction.atomic():
        job = _locked(attempt)
        if not Job.objects.filter(pk=job.pk, deadline_at__gt=Now()).exists():
            raise Conflict("deadline_passed", "The job's deadline has passed: it is about to expire, free.")
        attempt.refresh_from_db()
        give_up(attempt, NEVER_PLACED, note=f"never placed, says an operator: {reason}")
        Attempt.objects.filter(pk=attempt.pk).update(fence=F("fence") + 1)
        _record("attempt.never_placed", job, attempt, by, request, {"reason": reason})


def _given(text: str, field: str) -> str:
    text = text.strip()
    if not text:
        raise Invalid(f"{field}_missing", f"Say the {field.replace('_', ' ')}.", field=field)
    return text


def _require_unknown(attempt: Attempt) -> None:
    status = Attempt.objects.values_list("status", flat=True).get(pk=attempt.pk)
    if status != AttemptStatus.UNKNOWN:
        raise Conflict("attempt_resolved", f"Nothing is unknown about this attempt any more: it is {status}.")


def _locked(attempt: Attempt) -> Job:
    """The attempt's job, locked, while the attempt is unknown. Its end locks it too, so the deadline cannot overtake."""
    job = Job.objects.select_for_update(of=("self",)).select_related("organization").get(pk=attempt.job_id)
    list(Attempt.objects.select_for_update().filter(pk=attempt.pk).values_list("pk"))
    _require_unknown(attempt)
    if job.final:
        raise Conflict("job_ended", f"The job has already {job.status}.")
    return job


def _require_known(attempt: Attempt, external_id: str) -> None:
    """Ask the provider, so that a slip of the pen is found before anything hangs on it."""
    try:
        provider = adapter(attempt.provider, attempt.account_id)
        updates = call(ASK_SECONDS, provider.poll, [external_id])
    except ValueError:  # not even shaped like an id of theirs
        raise _no_such_order(external_id) from None
    except (errors.ProviderError, TimeoutError):
        updates = []
    states = {update.state for update in updates if update.external_id == external_id}
    if not states:
        message = (
            "The provider did not say whether it knows this order; nothing was changed. Try again later."
        )
        raise Conflict("provider_silent", message, retryable=True)
    if State.LOST in states:
        raise _no_such_order(external_id)


def _no_such_order(external_id: str) -> Invalid:
    message = f"The provider knows no order {external_id} on this account."
    return Invalid("external_id_unknown", message, field="external_id")


def _require_unused(attempt: Attempt, external_id: str) -> None:
    """Or one job would get another's video. Call it inside the transaction that uses the id."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [RESOLVE_LOCK])
    same = Attempt.objects.filter(
        provider=attempt.provider, account_id=attempt.account_id, external_id=external_id
    )
    if other := same.exclude(pk=attempt.pk).first():
        message = f"Order {external_id} belongs to attempt {other.number} of job {other.job_id}."
        raise Invalid("external_id_taken", message, field="external_id")


def _record(
    action: str, job: Job, attempt: Attempt, by: Actor, request: HttpRequest | None, after: dict[str, str]
) -> None:
    organization = job.organization
    audit.record(action, by=by, target=attempt, organization=organization, after=after, request=request)
