"""What providers say of orders, applied to attempts and jobs; and what became of orders whose answer was lost."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict
from datetime import timedelta
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from billing.models import Unit
from jobs import chain, snapshots
from jobs.dispatch import CANCELED, PUBLIC_FAILURE, give_up
from jobs.events import append, transition
from jobs.models import Attempt, Job
from jobs.orders import callback_url
from jobs.settle import end
from jobs.states import ATTEMPT_POLLED, AttemptStatus, Status
from jobs.types import Failure
from jobs.wake import wake
from providers import errors, leases
from providers.base import Callback, Lost, State, Update
from providers.models import Route
from providers.registry import adapter

log = logging.getLogger(__name__)

# Of orders whose answer is not known, or may never be.
UNANSWERED = frozenset({AttemptStatus.UNKNOWN, AttemptStatus.CREATED})
# What one process claims of lost orders, and for how long.
BATCH = 200
LEASE_SECONDS = 60
FIND_SECONDS = 20
LOST = Failure("provider_lost_job", "The provider lost this order; nothing was charged.", retryable=True)


def apply(attempt: Attempt, update: Update) -> None:
    """Move the attempt and its job by a provider's word. Applying the same word twice changes nothing."""
    match update.state:
        case State.WAITING | State.RUNNING:
            _progress(attempt, update)
        case State.SUCCEEDED:
            _succeeded(attempt, update)
        case State.FAILED:
            message = update.message or PUBLIC_FAILURE
            failure = Failure(update.code or "provider_failed", message, update.retryable, update.hint)
            give_up(attempt, failure, note=update.note, cost_micros=_told(attempt, update))
        case State.CANCELED:
            _canceled(attempt)
        case State.LOST if Job.objects.filter(pk=attempt.job_id, cancel_requested_at__isnull=False).exists():
            _canceled(attempt)  # what is canceled is forgotten at some providers
        case State.LOST:
            give_up(attempt, LOST)


def _progress(attempt: Attempt, update: Update) -> None:
    if update.state == State.RUNNING and attempt.status == AttemptStatus.SUBMITTED:
        rows = Attempt.objects.filter(pk=attempt.pk, fence=attempt.fence, status=AttemptStatus.SUBMITTED)
        rows.update(status=AttemptStatus.RUNNING)
        attempt.status = AttemptStatus.RUNNING
    progress, phase, detail = shown(attempt.part, attempt.cuts, update)
    with transaction.atomic():
        job = Job.objects.select_for_update().get(pk=attempt.job_id)
        if job.status != Status.RUNNING or (job.progress, job.phase, job.detail) == (progress, phase, detail):
            return
        Job.objects.filter(pk=job.pk).update(progress=progress, phase=phase, detail=detail)
        snapshots.renew(job.organization_id, job.pk)
        if phase != job.phase:
            append(job, "phase", {"phase": phase, "progress": progress})
        elif detail.get("clip") != job.detail.get("clip"):
            append(job, "progress", {"progress": progress, **detail})


def shown(part: int, cuts: list[int], update: Update) -> tuple[float, str, dict[str, Any]]:
    """What of it the job shows: progress, phase and detail; of a part its share of the whole."""
    progress, detail = min(max(update.progress, 0.0), 1.0), dict(update.detail)
    if part and cuts:
        parts = len(cuts) - 1
        progress, detail = (part - 1 + progress) / parts, {"clip": part, "clips": parts}
    return progress, update.phase[:16], detail


def _succeeded(attempt: Attempt, update: Update) -> None:
    outputs = [asdict(output) for output in update.outputs]
    with transaction.atomic():
        job = Job.objects.select_for_update().get(pk=attempt.job_id)
        length = chain.length_ms(attempt, job)
        rows = Attempt.objects.filter(pk=attempt.pk, status__in=ATTEMPT_POLLED)
        won = rows.update(
            status=AttemptStatus.SUCCEEDED,
            result={"outputs": outputs},
            cost_micros=_paid(attempt, job, update, length),
            finished_at=Now(),
        )
        if not won:
            return
        if job.cancel_requested_at is None and not chain.is_last(attempt):
            Job.objects.filter(pk=job.pk).update(due_at=Now(), lease_until=None, tries=0)
            wake("jobs.next_part", str(job.pk))
            wake("jobs.dispatch")
            return
        if job.cancel_requested_at is None:
            given = frozenset({Status.RUNNING})
            fields: dict[str, Any] = {
                "due_at": Now(),
                "lease_until": None,
                "tries": 0,
                "progress": 1.0,
                "phase": "saving",
            }
            if transition(job, Status.SAVING, given=given, **fields):
                wake("jobs.save", str(job.pk))
                wake("jobs.dispatch")  # the route has a place again
            return
    # It finished while the customer's cancel was on its way: the customer asked first, so it is free.
    end(job, Status.CANCELED, CANCELED)


def _paid(attempt: Attempt, job: Job, update: Update, length_ms: int) -> int:
    """What it cost us; nothing on a customer's own account."""
    if job.quote.get("unit") == Unit.OWN_KEY:
        return 0
    return update.cost_micros or cost(attempt, update.billed_ms or length_ms)


def _told(attempt: Attempt, update: Update) -> int:
    """What it costs us without a result; as a rule nothing, and nothing on a customer's own account."""
    if not update.cost_micros or attempt.job.quote.get("unit") == Unit.OWN_KEY:
        return 0
    return update.cost_micros


def cost(attempt: Attempt, billed_ms: int) -> int:
    """What the route's price makes of the length, rounded up."""
    route = Route.objects.select_related("account").filter(pk=attempt.route_id).first()
    if route is None or route.own_key:
        return 0
    resolution = str(attempt.job.options.get("resolution", ""))
    return -(-billed_ms * route.cost(resolution) // 1000)


def _canceled(attempt: Attempt) -> None:
    job = Job.objects.get(pk=attempt.job_id)
    asked = job.cancel_requested_at is not None
    failure = CANCELED if asked else Failure("provider_canceled", PUBLIC_FAILURE, retryable=True)
    give_up(attempt, failure, to=AttemptStatus.CANCELED)


async def resolve_unknown() -> int:
    """Ask what became of orders whose answer was lost, or whose dispatcher died; how many were asked about."""
    attempts = await sync_to_async(claim_unknown)()
    await asyncio.gather(*(_resolve(attempt) for attempt in attempts))
    return len(attempts)


def claim_unknown() -> list[Attempt]:
    # Still `created` after this long: its dispatcher died between the row and the call.
    orphans = Q(
        status=AttemptStatus.CREATED, created_at__lt=Now() - timedelta(seconds=settings.ORPHAN_SECONDS)
    )
    rows = Attempt.objects.filter(Q(status=AttemptStatus.UNKNOWN, due_at__lte=Now()) | orphans)
    return leases.claim(rows.order_by("due_at"), seconds=LEASE_SECONDS, limit=BATCH)


async def _resolve(attempt: Attempt) -> None:
    try:
        provider = await sync_to_async(adapter)(attempt.provider, attempt.account_id)
        lost = await sync_to_async(_lost)(attempt)
        external_id = await asyncio.wait_for(provider.find(lost), FIND_SECONDS)
    except Exception as error:
        if not isinstance(error, errors.OutcomeUnknown):
            log.warning("could not find %s", attempt.tag, exc_info=True)
        await sync_to_async(_still_unknown)(attempt)
        return
    await sync_to_async(_resolved)(attempt, external_id)


def _lost(attempt: Attempt) -> Lost:
    """What is known about an order whose answer was lost."""
    model = Job.objects.values_list("model", flat=True).get(pk=attempt.job_id)
    others = Attempt.objects.filter(
        account_id=attempt.account_id, provider=attempt.provider, job__model=model
    )
    # Ids begin with their time: the primary key finds those since then, with a minute for clocks that differ.
    since = UUID(int=(attempt.pk.int >> 80) - 60_000 << 80)
    waiting = others.filter(status__in=UNANSWERED).exclude(pk=attempt.pk)
    return Lost(
        tag=attempt.tag,
        model=model,
        since=attempt.created_at,
        known=frozenset(
            others.filter(pk__gte=since).exclude(external_id="").values_list("external_id", flat=True)
        ),
        alone=not waiting.exists(),
        claimed=attempt.claimed_id,
        callback_url=callback_url(attempt.tag),
    )


def bring_forward(attempt: Attempt, callback: Callback) -> None:
    """A provider called about this attempt: ask it now. What it called about is believed only when it is asked."""
    rows = Attempt.objects.filter(pk=attempt.pk)
    # One that is being asked about is asked once more: that answer may have left before this call.
    later = Q(due_at__gt=Now()) | Q(lease_until__gt=Now())
    rows.filter(later, status__in=ATTEMPT_POLLED, external_id=callback.external_id).update(due_at=Now())
    # Still `created`: the answer is on its way, or whoever waited for it died, and nobody calls a second time.
    rows.filter(status__in=UNANSWERED).update(due_at=Now(), claimed_id=callback.external_id)


def _unanswered(attempt: Attempt) -> QuerySet[Attempt]:
    """The row, while it is ours to resolve: its job may have ended while the provider was asked."""
    return Attempt.objects.filter(pk=attempt.pk, fence=attempt.fence, status__in=UNANSWERED)


def _still_unknown(attempt: Attempt) -> None:
    wait = settings.RETRY_STEP * 2 ** min(attempt.poll_failures, 7)
    _unanswered(attempt).update(
        status=AttemptStatus.UNKNOWN,
        due_at=Now() + wait,
        lease_until=None,
        poll_failures=F("poll_failures") + 1,
    )


def _resolved(attempt: Attempt, external_id: str | None) -> None:
    if external_id is None:
        give_up(attempt, Failure("provider_unavailable", PUBLIC_FAILURE, retryable=True))
        return
    _unanswered(attempt).update(
        status=AttemptStatus.SUBMITTED,
        external_id=external_id,
        submitted_at=Now(),
        due_at=Now(),
        lease_until=None,
        poll_failures=0,
    )
