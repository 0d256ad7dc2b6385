"""Start attempts: fair between organizations, within everyone's limits, one open attempt a job.

The row is written before the provider is called. An answer that never came makes the attempt `unknown`: the hold
stays and nothing is tried elsewhere until `find` or the deadline tells what became of it.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from celery import shared_task
from django.conf import settings
from django.db import connection, transaction
from django.db.models import BooleanField, ExpressionWrapper, Prefetch, Q
from django.db.models.functions import Now
from django.utils import timezone

from billing import quotas
from jobs import chain, in_flight, inputs, settle
from jobs.events import append, transition
from jobs.models import Attempt, Job
from jobs.orders import FILE_GONE, InputGone, make_order
from jobs.states import AttemptStatus, Status
from jobs.types import Failure, new_id
from jobs.wake import wake
from providers import bounds, circuit, errors, routing
from providers.calls import call
from providers.models import Route
from providers.registry import adapter, adapter_class

log = logging.getLogger(__name__)

# Until an order has been placed for so long, nobody else looks after it; see `_lease`.
SUBMIT_SECONDS = 30
MAX_ATTEMPTS = 4
# A route that says "later" to a job again and again is asked ever more rarely, so rarely at most.
MOST_REST = timedelta(minutes=5)
MOST_DOUBLINGS = 16
# Cutting a part out of a long voice takes so long at most.
CUT_SECONDS = 300
BATCH = 25
# So many threads of a process wait for one route at most, half of those that the `orders` worker has: where one provider
# hangs, the others still get their orders.
AT_ONCE = 4
# A constant of ours: the advisory lock under which jobs are picked, so that limits hold across dispatchers.
PICK_LOCK = 0x766F6963

# Who waits at all: a probe of the index for each, however many of its jobs do.
WAITING = """
WITH RECURSIVE waiting AS (
    (SELECT organization_id FROM jobs_job WHERE status = 'queued' ORDER BY organization_id LIMIT 1)
    UNION ALL
    SELECT (SELECT j.organization_id FROM jobs_job j WHERE j.status = 'queued'
                AND j.organization_id > waiting.organization_id ORDER BY j.organization_id LIMIT 1)
    FROM waiting WHERE waiting.organization_id IS NOT NULL
)
SELECT organization_id FROM waiting WHERE organization_id IS NOT NULL
"""
# Fair share: the next place goes to the organization with the fewest jobs for its weight, running or ahead here.
FAIR = """
WITH running AS (
    SELECT organization_id, count(*) AS n FROM jobs_job WHERE status IN ('running', 'saving') GROUP BY 1
), waiting AS (
    SELECT id, organization_id, row_number() OVER (PARTITION BY organization_id ORDER BY id) AS place
    FROM jobs_job WHERE status = 'queued' AND due_at <= statement_timestamp() AND NOT EXISTS (
        SELECT FROM unnest(%s::uuid[], %s::text[]) AS stuck (organization_id, model)
        WHERE stuck.organization_id = jobs_job.organization_id AND stuck.model IN ('', jobs_job.model)
    )
)
SELECT w.id FROM waiting w LEFT JOIN running r USING (organization_id)
LEFT JOIN unnest(%s::uuid[], %s::float8[]) AS share (organization_id, weight) USING (organization_id)
ORDER BY (coalesce(r.n, 0) + w.place) / coalesce(share.weight, 1), w.id LIMIT %s
"""
# So many waiting jobs are looked at together; when all of them must wait, those like them are passed over for the next.
WINDOW, WINDOWS = BATCH * 4, 20

# What must wait: an organization and a model, or an organization with "" for all of its models.
Stuck = set[tuple[UUID, str]]

PUBLIC_FAILURE = "The video could not be rendered; nothing was charged."
# Another route may be able to: each is tried once.
OWN_REFUSED = Failure(
    "own_account_refused",
    "Your own account at the provider refused the order; nothing was charged.",
    hint="Check its key and its credit there, then the account under Settings, Providers.",
)
UNBUILT = Failure("order_failed", PUBLIC_FAILURE, retryable=True)


@dataclass(frozen=True)
class Start:
    """A job picked for a route, its attempt written."""

    job: Job
    attempt: Attempt
    route: Route


class Placing:
    """The orders that this process is placing now, counted by route."""

    def __init__(self) -> None:
        self.picking, self.counting = threading.Lock(), threading.Lock()
        self.by_route: Counter[int] = Counter()

    def pick(self) -> Start | None:
        """One thread at a time: they would wait for each other in the database, with a connection each."""
        with self.picking:
            start = pick(self.full())
            if start:
                self._count(start, 1)
            return start

    def place(self, start: Start) -> None:
        try:
            begin(start)
        finally:
            self._count(start, -1)

    def full(self) -> frozenset[int]:
        with self.counting:
            return frozenset(route for route, count in self.by_route.items() if count >= AT_ONCE)

    def _count(self, start: Start, more: int) -> None:
        with self.counting:
            self.by_route[start.route.id] += more
            if not self.by_route[start.route.id]:
                del self.by_route[start.route.id]


placing = Placing()


def dispatch(limit: int = BATCH) -> int:
    """Start up to `limit` attempts now; how many it were."""
    started = 0
    while started < limit and (start := placing.pick()):
        placing.place(start)
        started += 1
    return started


def pick(full: Collection[int] = ()) -> Start | None:
    """The next job whose turn it is, moved to `running` with its attempt `created`; None when all must wait. Routes
    that are `full` take none now.
    """
    hopeless: list[tuple[Job, Failure]] = []
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [PICK_LOCK])
        load, stuck, weights = in_flight.load(full), Stuck(), _weights()
        for _ in range(WINDOWS):
            ids = _due(stuck, weights)
            start = _first_startable(ids, load, hopeless, stuck)
            if start or len(ids) < WINDOW:
                break
    for job, failure in hopeless:
        settle.end(job, Status.FAILED, failure, given=frozenset({Status.QUEUED}))
    return start


def _weights() -> dict[UUID, int]:
    with connection.cursor() as cursor:
        cursor.execute(WAITING)
        return quotas.weights([row[0] for row in cursor.fetchall()])


def _due(stuck: Stuck, weights: dict[UUID, int]) -> list[UUID]:
    passed: list[list[Any]] = [[pair[0] for pair in stuck], [pair[1] for pair in stuck]]
    with connection.cursor() as cursor:
        cursor.execute(FAIR, [*passed, list(weights), list(weights.values()), WINDOW])
        return [row[0] for row in cursor.fetchall()]


def _first_startable(
    ids: list[UUID], load: routing.Load, hopeless: list[tuple[Job, Failure]], stuck: Stuck
) -> Start | None:
    by_org: dict[UUID, int] = {}
    for job in _read(ids):
        if job.organization_id not in by_org:
            by_org[job.organization_id] = _running(job.organization_id)
        if not quotas.may_run(job.organization, by_org[job.organization_id]):
            stuck.add((job.organization_id, ""))
            continue
        attempts = list(job.attempts.all())
        try:
            routes = _routes(job, attempts, load)
        except errors.Resting:
            _put_off(job, attempts)
            continue
        except errors.NoRoute as none:
            hopeless.append(
                (
                    job,
                    _last_failure(attempts)
                    or Failure(none.code, none.message, retryable=none.code == errors.NoRoute.code),
                )
            )
            stuck.add((job.organization_id, job.model))
            continue
        if routes and (start := _written(job, routes[0], attempts)):
            if start.route.id in load.probed:
                circuit.probe(start.route.id)
            return start
        stuck.add((job.organization_id, job.model))
    return None


def _read(ids: list[UUID]) -> Iterator[Job]:
    """The jobs in their order, read as they are needed: mostly the first one can start, and is the only one read."""
    rows = Job.objects.select_related("organization").prefetch_related(
        Prefetch("attempts", Attempt.objects.order_by("number").annotate(rests=RESTS))
    )
    begin, size = 0, 1
    while begin < len(ids):
        some = ids[begin : begin + size]
        by_id = rows.in_bulk(some)
        yield from (by_id[pk] for pk in some if pk in by_id)
        begin, size = begin + size, size * 5


def _running(organization: UUID) -> int:
    return Job.objects.filter(
        organization_id=organization, status__in=[Status.RUNNING, Status.SAVING]
    ).count()


def _last_failure(attempts: list[Attempt]) -> Failure | None:
    if not attempts:
        return None
    last = attempts[-1]
    return Failure(last.error_code, last.error_message, last.error_retryable, last.error_hint)


# What a provider says that only means "later": the route does not count as tried.
LATER = frozenset({errors.Throttled.code, errors.Unavailable.code})


RESTS = ExpressionWrapper(
    Q(status=AttemptStatus.FAILED, error_code__in=LATER, due_at__gt=Now()), output_field=BooleanField()
)


def _resting(attempts: list[Attempt]) -> dict[int, datetime]:
    """The routes that said "later" to the job a moment ago, and until when they are left alone by it."""
    return {attempt.route_id: attempt.due_at for attempt in attempts if attempt.rests}  # type: ignore[attr-defined]  # annotated


def _put_off(job: Job, attempts: list[Attempt]) -> None:
    """Look at the job again when the first of its routes has rested."""
    Job.objects.filter(pk=job.pk, status=Status.QUEUED).update(due_at=min(_resting(attempts).values()))


def _routes(job: Job, attempts: list[Attempt], load: routing.Load) -> list[Route]:
    """Free routes not tried before; NoRoute when none is left, Resting when those that are have said "later"."""
    resting = _resting(attempts)
    ended = [attempt for attempt in attempts if attempt.status != AttemptStatus.SUCCEEDED]
    tried = [attempt.route_id for attempt in ended if attempt.error_code not in LATER]
    if len(tried) >= MAX_ATTEMPTS:
        raise errors.NoRoute
    done = chain.finished(attempts)
    if done and done[-1].route_id not in tried:
        staying = routing.staying(done[-1].route_id, job.organization_id, load=load)
        if staying is not None:
            if done[-1].route_id in resting:
                raise errors.Resting
            return staying
    asked = inputs.asked(job, timezone.now())
    return routing.candidates(asked, job.organization_id, load=load, tried=tried, resting=resting)


def _written(job: Job, route: Route, attempts: list[Attempt]) -> Start | None:
    number, part, cuts = len(attempts) + 1, *_part(job, route, attempts)
    fields: dict[str, Any] = {"lease_until": None, "tries": 0, "phase": "waiting", "progress": 0.0}
    if part > 1:
        fields["progress"] = (part - 1) / (len(cuts) - 1)
    fields["preview"] = route.preview
    if job.started_at is None:
        fields["started_at"] = Now()
    if not transition(
        job, Status.RUNNING, given=frozenset({Status.QUEUED}), data={"attempt": number}, **fields
    ):
        return None
    attempt_id = new_id()
    attempt = Attempt.objects.create(
        id=attempt_id,
        job=job,
        number=number,
        route_id=route.id,
        provider=route.provider,
        account_id=route.account_id,
        part=part,
        cuts=cuts,
        tag=attempt_id.hex,
        lease_until=_lease(route, CUT_SECONDS if part else 0),
    )
    return Start(job, attempt, route)


def _part(job: Job, route: Route, attempts: list[Attempt]) -> tuple[int, list[int]]:
    """Which part of the job this attempt is for, and where it is cut; 0 for the whole."""
    done = chain.finished(attempts)
    if done and done[-1].route_id == route.id:
        return done[-1].part + 1, done[-1].cuts
    return int(bounds.cuts(route, inputs.asked(job, timezone.now()))), []


def _lease(route: Route, more: int) -> Any:
    """Until when nobody may take the attempt for an orphan: some providers want files sent first, and asking one what
    became of an order that is still on its way could start it twice.
    """
    seconds = adapter_class(route.provider).submit_seconds
    if seconds <= SUBMIT_SECONDS and not more:
        return None
    return Now() + timedelta(seconds=seconds + SUBMIT_SECONDS + more)


def begin(start: Start) -> None:
    """Call the provider, outside any transaction, and write down what it said."""
    attempt = start.attempt
    try:
        provider, order = (
            adapter(attempt.provider, attempt.account_id),
            make_order(start.job, attempt, start.route),
        )
    except errors.AccountRefused as refusal:
        _not_allowed(start, refusal)
        return
    except InputGone as gone:
        give_up(attempt, gone.failure)
        return
    except Exception:
        # Nothing has left the house, so nothing can have been lost.
        log.exception("no order could be made for %s", attempt.tag, extra={"job": attempt.job_id})
        give_up(attempt, UNBUILT)
        return
    try:
        external_id = call(provider.submit_seconds, provider.submit, order)
    except errors.Refused as refusal:
        message = refusal.customer_message or "The provider refused this order; nothing was charged."
        failure = Failure(refusal.code, message, hint=refusal.hint)
        give_up(attempt, failure, elsewhere=isinstance(refusal, errors.Unsuitable), note=refusal.message)
    except errors.AccountRefused as refusal:
        _not_allowed(start, refusal)
    except (errors.Throttled, errors.Unavailable) as later:
        _later(attempt, later)
    except Exception as error:
        # Whatever else happened, the order may have arrived.
        log.exception("the answer to %s was lost", attempt.tag, extra={"job": attempt.job_id})
        _become(attempt, AttemptStatus.UNKNOWN, due_at=Now() + settings.RETRY_STEP, note=str(error)[:500])
        circuit.take_in(attempt.route_id, good=False, began_at=attempt.created_at)
    else:
        due = Now() + timedelta(seconds=provider.poll_seconds)
        _become(attempt, AttemptStatus.SUBMITTED, external_id=external_id, submitted_at=Now(), due_at=due)


def _later(attempt: Attempt, said: errors.Throttled | errors.Unavailable) -> None:
    """Leave the route alone, each time for twice as long; another one may have the job at once. But a job that is
    throttled for the first time waits, for that is soon over.
    """
    same = Attempt.objects.filter(job_id=attempt.job_id, route_id=attempt.route_id, part=attempt.part)
    before = same.filter(status=AttemptStatus.FAILED, error_code__in=LATER).count()
    throttled = isinstance(said, errors.Throttled)
    step = timedelta(seconds=said.retry_after) if isinstance(said, errors.Throttled) else settings.RETRY_STEP
    rest = max(step, min(step * 2 ** min(before, MOST_DOUBLINGS), MOST_REST))
    failure = Failure(said.code, PUBLIC_FAILURE, retryable=True)
    wait = rest if throttled and not before else timedelta()
    give_up(attempt, failure, wait=wait, rest=rest, note=said.message)


def _not_allowed(start: Start, refusal: errors.AccountRefused) -> None:
    """An operator has something to do, or the customer whose account it is; another route is tried meanwhile."""
    if start.route.own_key:
        give_up(start.attempt, OWN_REFUSED, elsewhere=True, note=refusal.message)
        return
    log.error("route %s may not order: %s", start.route, refusal, extra={"job": start.job.pk})
    give_up(start.attempt, Failure(refusal.code, PUBLIC_FAILURE, retryable=True), note=refusal.message)


def _become(attempt: Attempt, to: AttemptStatus, **fields: object) -> bool:
    """Guarded move of an attempt that is still open."""
    rows = Attempt.objects.filter(pk=attempt.pk, status=attempt.status)
    if rows.update(status=to, lease_until=None, **fields) != 1:
        return False
    attempt.status = to
    return True


def give_up(
    attempt: Attempt,
    failure: Failure,
    *,
    wait: timedelta = timedelta(),
    rest: timedelta = timedelta(),
    to: AttemptStatus = AttemptStatus.FAILED,
    elsewhere: bool = False,
    note: str = "",
    cost_micros: int = 0,
) -> None:
    """End an attempt without a result; the job goes to another route if the verdict allows it, else it fails, free.

    `elsewhere`: another provider may do it although the customer's trying again would not help. `cost_micros`: what the
    provider takes for it all the same. The job waits for `wait`, and leaves the route alone for `rest`.
    """
    was = attempt.status
    with transaction.atomic():
        job = Job.objects.select_for_update().get(pk=attempt.job_id)
        ended = _become(
            attempt,
            to,
            finished_at=Now(),
            due_at=Now() + rest,
            error_code=failure.code,
            error_message=failure.message[:500],
            error_hint=failure.hint[:300],
            error_retryable=failure.retryable,
            note=note[:500],
            cost_micros=cost_micros,
        )
        if not ended:
            return
        append(job, "attempt_ended", {"attempt": attempt.number, "code": failure.code})
        again = (failure.retryable or elsewhere) and job.cancel_requested_at is None
        if again:
            due = Now() + wait
            transition(
                job, Status.QUEUED, given=frozenset({Status.RUNNING}), due_at=due, phase="", progress=0.0
            )
            wake("jobs.dispatch")
    # That its answer was lost has been counted already.
    if was != AttemptStatus.UNKNOWN and failure.code not in NOBODYS:
        circuit.take_in(attempt.route_id, good=not failure.retryable, began_at=attempt.created_at)
    if not again:
        _end(job, failure)


def _end(job: Job, failure: Failure) -> None:
    if job.cancel_requested_at is not None:
        settle.end(job, Status.CANCELED, CANCELED)
    else:
        settle.end(job, Status.FAILED, failure)


CANCELED = Failure("canceled", "The job was canceled; nothing was charged.")
# Ends that say nothing of the route. A refusal for good, of whoever answers, says that it works.
STOPPED = Failure("route_stopped", PUBLIC_FAILURE, retryable=True)
NOBODYS = frozenset({CANCELED.code, UNBUILT.code, FILE_GONE, errors.Throttled.code, STOPPED.code})


@shared_task(name="jobs.dispatch")
def dispatch_task() -> None:
    if dispatch() == BATCH:
        wake("jobs.dispatch")
