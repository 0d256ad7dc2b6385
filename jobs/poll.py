"""Ask the providers, and apply what they say. A failed poll never fails a job: it is asked again."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Coroutine, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q, Window
from django.db.models.functions import Now, RowNumber

from billing.models import Unit
from jobs import chain, paces, snapshots
from jobs.dispatch import CANCELED, PUBLIC_FAILURE, callback_url, give_up
from jobs.events import append, transition
from jobs.models import Attempt, Job
from jobs.settle import end
from jobs.states import ATTEMPT_POLLED, AttemptStatus, Status
from jobs.types import Failure
from jobs.wake import wake
from providers import circuit, errors, leases, vault
from providers.base import Adapter, Callback, Lost, State, Update
from providers.models import Route
from providers.registry import adapter, adapter_class

log = logging.getLogger(__name__)

# What one process claims in a round, what it has on its way in all, and by which number an account gets no more.
BATCH = 200
MOST = 1000
AT_ONCE = 128
# The most that one account gets of a round: with AT_ONCE the most that it ever has on its way, each with its own place.
SHARE = 64
LEASE_SECONDS = 60
POLL_SECONDS = 20
FIND_SECONDS = 20
# Longer than this a batch does not wait for its places among an account's queries; it comes back later instead.
QUERY_WAIT = 5.0
# At most this many seconds of an account's queries are one batch, so that it ends within POLL_SECONDS.
QUERY_SECONDS = 10
LOST = Failure("provider_lost_job", "The provider lost this order; nothing was charged.", retryable=True)
# Of a job no more is read here than how it stands.
UNREAD = [f"job__{field}" for field in ("inputs", "options", "request", "wire", "quote", "tags")]

# Whoever was brought forward while it was asked about keeps that: what was answered may be older than the call.
POSTPONE = """
UPDATE jobs_attempt a SET lease_until = NULL,
    due_at = CASE WHEN a.due_at = n.due_at THEN statement_timestamp() + make_interval(secs => n.wait) ELSE a.due_at END,
    poll_failures = CASE WHEN n.failed THEN a.poll_failures + 1 WHEN n.asked THEN 0 ELSE a.poll_failures END
FROM unnest(%s::uuid[], %s::bigint[], %s::timestamptz[], %s::float8[], %s::bool[], %s::bool[])
    AS n (id, fence, due_at, wait, asked, failed)
WHERE a.id = n.id AND a.fence = n.fence
"""

# A provider, and our account there.
Door = tuple[str, int | None]


@dataclass
class Answer:
    """What was said of an attempt, if anything; and in how many seconds it is asked about again."""

    attempt: Attempt
    update: Update | None = None
    wait: float = 0.0
    asked: bool = True

    @property
    def failed(self) -> bool:
        return self.asked and self.update is None


class Polling:
    """What one process has asked and was not told yet.

    Each question is a task of its own where the provider takes them one by one, so a slow answer holds up nobody, and
    an account with many slow ones gets no more until some have come. What came is written down together.
    """

    def __init__(self) -> None:
        self.busy: Counter[Door] = Counter()
        self.tasks: set[asyncio.Task[None]] = set()
        self.away: dict[UUID, Attempt] = {}
        self.answers: list[Answer] = []

    async def round(self) -> int:
        """Write down what was answered, claim what is due and ask; how many it were of both."""
        return await self.write() + await self.ask()

    async def ask(self) -> int:
        """Claim what is due and ask; how many."""
        room = min(MOST - self.busy.total(), BATCH)
        if room <= 0:
            return 0
        full = [door for door, count in self.busy.items() if count >= AT_ONCE]
        due = await sync_to_async(claim_due)(full, limit=room)
        by_door: dict[Door, list[Attempt]] = defaultdict(list)
        for attempt in due:
            by_door[attempt.provider, attempt.account_id].append(attempt)
            self.away[attempt.pk] = attempt
        for door, attempts in by_door.items():
            self.busy[door] += len(attempts)
            self._start(self._ask_at(door, attempts))
        return len(due)

    def _start(self, asking: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(asking)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _ask_at(self, door: Door, attempts: list[Attempt]) -> None:
        slug, account_id = door
        try:
            provider = await sync_to_async(adapter)(slug, account_id)
            now, wait = await sync_to_async(_within_limits)(provider, account_id, attempts)
        except Exception:
            log.warning("%s cannot be asked", slug, exc_info=True)
            self._told(door, [Answer(attempt) for attempt in attempts])
            return
        asked = {attempt.pk for attempt in now}
        later = [attempt for attempt in attempts if attempt.pk not in asked]
        self._told(door, [Answer(attempt, wait=QUERY_WAIT, asked=False) for attempt in later])
        if not provider.asks_each:
            await self._ask(door, provider, now, wait)
            return
        pace = 1 / provider.account.queries_per_second if provider.account.queries_per_second else 0.0
        for place, attempt in enumerate(now):
            self._start(self._ask(door, provider, [attempt], wait + place * pace))

    async def _ask(self, door: Door, provider: Adapter, attempts: list[Attempt], wait: float) -> None:
        if not attempts:
            return
        updates: list[Update] = []
        try:
            await asyncio.sleep(wait)
            updates = await asyncio.wait_for(provider.poll([a.external_id for a in attempts]), POLL_SECONDS)
        except Exception:
            log.warning("polling %s failed", door[0], exc_info=True)
        by_id = {update.external_id: update for update in updates}
        self._told(door, [Answer(attempt, by_id.get(attempt.external_id)) for attempt in attempts])

    def _told(self, door: Door, answers: list[Answer]) -> None:
        self.answers += answers
        self.busy[door] -= len(answers)
        if not self.busy[door]:
            del self.busy[door]

    async def write(self) -> int:
        """Write down what was answered; how many."""
        answers, self.answers = self.answers, []
        for answer in answers:
            self.away.pop(answer.attempt.pk, None)
        if answers:
            await sync_to_async(write_down)(answers)
        return len(answers)

    async def close(self) -> None:
        """Ask no more, and let go what others may ask about at once."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.write()
        await sync_to_async(_postpone)([Answer(attempt, asked=False) for attempt in self.away.values()])


async def poll_due() -> int:
    """One whole round: claim the attempts that are due, ask, apply the answers; how many were claimed."""
    polling = Polling()
    claimed = await polling.ask()
    while polling.tasks:
        await asyncio.gather(*polling.tasks)
    await polling.write()
    return claimed


def claim_due(full: Collection[Door] = (), *, limit: int = BATCH) -> list[Attempt]:
    """Attempts that are due, the longest first, none of a `full` account and no more than SHARE of any."""
    due = Q(status__in=ATTEMPT_POLLED, due_at__lte=Now())
    rows = Attempt.objects.filter(leases.FREE, due)
    for slug, account_id in full:
        rows = rows.exclude(provider=slug, account_id=account_id)
    place = Window(RowNumber(), partition_by=["provider", "account_id"], order_by="due_at")
    chosen = rows.annotate(place=place).filter(place__lte=SHARE).order_by("due_at").values("pk")[:limit]
    mine = Attempt.objects.filter(due, pk__in=chosen).annotate(age=Now() - F("submitted_at"))
    fields = mine.select_related("job").defer(*UNREAD)
    return leases.claim(fields.order_by("due_at"), seconds=LEASE_SECONDS, limit=limit)


def _within_limits(
    provider: Adapter, account_id: int | None, attempts: list[Attempt]
) -> tuple[list[Attempt], float]:
    """Those that may be asked about, and in how many seconds."""
    rate = provider.account.queries_per_second
    if not rate or account_id is None:
        return attempts, 0.0
    now = attempts[: max(int(rate * QUERY_SECONDS), 1)]
    wait = vault.reserve_queries(account_id, len(now), rate, patience=QUERY_WAIT)
    return ([], 0.0) if wait is None else (now, wait)


def write_down(answers: Sequence[Answer]) -> None:
    """Apply what is new, and set when each is asked about again: later and later where nothing came."""
    for answer in answers:
        if answer.update is not None and not _says_nothing_new(answer.attempt, answer.update):
            extra = {"job": answer.attempt.job_id, "attempt": answer.attempt.pk}
            try:
                apply(answer.attempt, answer.update)
            except Exception:
                log.exception("could not apply %s", answer.update, extra=extra)
                answer.update = None
        if answer.asked:
            answer.wait = _wait(answer)
    _postpone(answers)


def _says_nothing_new(attempt: Attempt, update: Update) -> bool:
    """As it was when the attempt was claimed: nothing is to be written."""
    job = attempt.job
    told = (job.status, job.progress, job.phase, job.detail)
    known = {State.WAITING: ATTEMPT_POLLED, State.RUNNING: {AttemptStatus.RUNNING}}
    return attempt.status in known.get(update.state, ()) and told == (
        Status.RUNNING,
        *_shown(attempt, update),
    )


def _wait(answer: Answer) -> float:
    attempt = answer.attempt
    try:
        kind = adapter_class(attempt.provider)
    except KeyError:  # a provider that is not configured any more
        return paces.jittered(QUERY_WAIT * 2 ** min(attempt.poll_failures, 6))
    if answer.failed:
        return paces.jittered(kind.poll_seconds * 2 ** min(attempt.poll_failures, 6))
    if kind.rarest_seconds <= kind.poll_seconds:
        return kind.poll_seconds
    age: timedelta | None = attempt.age  # type: ignore[attr-defined]  # by claim_due
    expected = paces.expected_seconds(attempt.route_id, chain.length_ms(attempt, attempt.job))
    gone = age.total_seconds() if age is not None else 0.0
    wait = paces.interval(gone, expected, least=kind.poll_seconds, most=kind.rarest_seconds)
    return paces.jittered(wait)


def _postpone(answers: Sequence[Answer]) -> None:
    if not answers:
        return
    attempts = [answer.attempt for answer in answers]
    columns: list[Any] = [
        [attempt.pk for attempt in attempts],
        [attempt.fence for attempt in attempts],
        [attempt.due_at for attempt in attempts],
        [answer.wait for answer in answers],
        [answer.asked for answer in answers],
        [answer.failed for answer in answers],
    ]
    with connection.cursor() as cursor:
        cursor.execute(POSTPONE, columns)


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
            give_up(attempt, failure, note=update.note)
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
    progress, phase, detail = _shown(attempt, update)
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


def _shown(attempt: Attempt, update: Update) -> tuple[float, str, dict[str, Any]]:
    """What of it the job shows: progress, phase and detail; of a part its share of the whole."""
    progress, detail = min(max(update.progress, 0.0), 1.0), dict(update.detail)
    if attempt.part and attempt.cuts:
        parts = len(attempt.cuts) - 1
        progress, detail = (attempt.part - 1 + progress) / parts, {"clip": attempt.part, "clips": parts}
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
        circuit.take_in(attempt.route_id, good=True, began_at=attempt.created_at, length_ms=job.length_ms)
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
    waiting = others.filter(status__in=[AttemptStatus.UNKNOWN, AttemptStatus.CREATED]).exclude(pk=attempt.pk)
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
    rows.filter(status=AttemptStatus.UNKNOWN).update(due_at=Now(), claimed_id=callback.external_id)


def _still_unknown(attempt: Attempt) -> None:
    wait = settings.RETRY_STEP * 2 ** min(attempt.poll_failures, 7)
    Attempt.objects.filter(pk=attempt.pk, fence=attempt.fence).update(
        status=AttemptStatus.UNKNOWN,
        due_at=Now() + wait,
        lease_until=None,
        poll_failures=F("poll_failures") + 1,
    )


def _resolved(attempt: Attempt, external_id: str | None) -> None:
    if external_id is None:
        give_up(attempt, Failure("provider_unavailable", PUBLIC_FAILURE, retryable=True))
        return
    Attempt.objects.filter(pk=attempt.pk, fence=attempt.fence).update(
        status=AttemptStatus.SUBMITTED,
        external_id=external_id,
        submitted_at=Now(),
        due_at=Now(),
        lease_until=None,
        poll_failures=0,
    )
