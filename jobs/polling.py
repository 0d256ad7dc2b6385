"""Which orders are asked about, when, and how: thousands at once in one process.

What costs little for one question costs a process for a thousand. So a claim, and what is written down of the answers, is
one statement for all of them; an adapter is made once for its account; and rows are read only where something is new.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import connection

from jobs import chain, paces, poll
from jobs.models import Attempt
from jobs.states import ATTEMPT_POLLED, AttemptStatus, Status
from providers import vault
from providers.base import Adapter, State, Update
from providers.registry import adapter, adapter_class

log = logging.getLogger(__name__)

# What one process claims in a round, what it has on its way in all, and by which number an account gets no more.
BATCH = 400
MOST = 1000
AT_ONCE = 256
# The most that one account gets of a round: with AT_ONCE the most that it ever has on its way, each with its own place.
SHARE = 256
LEASE_SECONDS = 60
POLL_SECONDS = 20
# Longer than this a batch does not wait for its places among an account's queries; it comes back later instead.
QUERY_WAIT = 5.0
# At most this many seconds of an account's queries are one batch, so that it ends within POLL_SECONDS.
QUERY_SECONDS = 10
# So much news is applied by one thread, one after the other.
NEWS = 20
# So long an account's address and key are known; a new key is used by the first question after that.
ADAPTER_SECONDS = 5.0

# The longest due first, SHARE of an account at most. No more than the first few of those due are looked at: an account
# that has all of them is full after this round, and then the others are the first.
CLAIM = """
WITH due AS MATERIALIZED (
    SELECT id, provider, account_id, due_at FROM jobs_attempt a
    WHERE status IN ('running', 'submitted') AND due_at <= statement_timestamp()
        AND (lease_until IS NULL OR lease_until < statement_timestamp()) AND NOT EXISTS (
            SELECT FROM unnest(%(slugs)s::text[], %(accounts)s::bigint[]) AS busy (slug, account_id)
            WHERE busy.slug = a.provider AND busy.account_id IS NOT DISTINCT FROM a.account_id)
    ORDER BY due_at LIMIT %(seen)s
), chosen AS (
    SELECT id FROM (
        SELECT *, row_number() OVER (PARTITION BY provider, account_id ORDER BY due_at) AS place FROM due
    ) placed WHERE place <= %(share)s ORDER BY due_at LIMIT %(limit)s
), mine AS MATERIALIZED (
    SELECT id FROM jobs_attempt WHERE id IN (SELECT id FROM chosen)
        AND status IN ('running', 'submitted') AND due_at <= statement_timestamp()
        AND (lease_until IS NULL OR lease_until < statement_timestamp())
    FOR UPDATE SKIP LOCKED
)
UPDATE jobs_attempt a SET fence = a.fence + 1, lease_until = statement_timestamp() + make_interval(secs => %(lease)s)
FROM jobs_job j WHERE j.id = a.job_id AND a.id = ANY (SELECT id FROM mine)
RETURNING a.id, a.job_id, a.route_id, a.provider, a.account_id, a.external_id, a.status, a.part, a.cuts, a.due_at,
    a.fence, a.poll_failures, extract(epoch FROM statement_timestamp() - a.submitted_at)::float8,
    j.length_ms, j.status, j.progress, j.phase, j.detail
"""

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


@dataclass(frozen=True)
class Question:
    """What a claim knows of an attempt and its job. `age` is the seconds since the order."""

    id: UUID
    job_id: UUID
    route_id: int
    provider: str
    account_id: int | None
    external_id: str
    status: str
    part: int
    cuts: list[int]
    due_at: datetime
    fence: int
    poll_failures: int
    age: float | None
    job_length_ms: int
    job_status: str
    progress: float
    phase: str
    detail: dict[str, Any]

    @property
    def door(self) -> Door:
        return self.provider, self.account_id

    @cached_property
    def length_ms(self) -> int:
        return chain.part_ms(self.part, self.cuts, self.job_length_ms)


@dataclass
class Answer:
    """What was said to a question, if anything; and in how many seconds it is asked again."""

    question: Question
    update: Update | None = None
    wait: float = 0.0
    asked: bool = True

    @property
    def failed(self) -> bool:
        return self.asked and self.update is None

    @property
    def brings_news(self) -> bool:
        """Other than it was when the question was claimed: something is to be written."""
        question, update = self.question, self.update
        if update is None:
            return False
        known = {State.WAITING: ATTEMPT_POLLED, State.RUNNING: {AttemptStatus.RUNNING}}
        told = question.job_status, question.progress, question.phase, question.detail
        shown = poll.shown(question.part, question.cuts, update)
        return question.status not in known.get(update.state, ()) or told != (Status.RUNNING, *shown)


class Polling:
    """What one process has asked and was not told yet.

    Each question is a task of its own where the provider takes them one by one, so a slow answer holds up nobody, and
    an account with many slow ones gets no more until some have come. What came is written down together; what is news is
    applied job by job, by `threads` where there are any, so that the next questions need not wait for that.
    """

    def __init__(self, threads: ThreadPoolExecutor | None = None) -> None:
        self.threads = threads
        self.busy: Counter[Door] = Counter()
        self.tasks: set[asyncio.Task[None]] = set()
        self.away: dict[UUID, Question] = {}
        self.answers: list[Answer] = []
        self.adapters: dict[Door, tuple[float, Adapter]] = {}

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
        by_door: dict[Door, list[Question]] = defaultdict(list)
        for question in due:
            by_door[question.door].append(question)
            self.away[question.id] = question
        for door, questions in by_door.items():
            self.busy[door] += len(questions)
            self._start(self._ask_at(door, questions))
        return len(due)

    def _start(self, asking: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(asking)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _ask_at(self, door: Door, questions: list[Question]) -> None:
        try:
            provider = await self._adapter(door)
            rate = provider.account.queries_per_second
            now, wait = questions, 0.0
            if rate:
                now, wait = await sync_to_async(_within_limits)(rate, door[1], questions)
        except Exception:
            log.warning("%s cannot be asked", door[0], exc_info=True)
            self._told(door, [Answer(question) for question in questions])
            return
        later = questions[len(now) :]
        self._told(door, [Answer(question, wait=QUERY_WAIT, asked=False) for question in later])
        if not provider.asks_each:
            await self._ask(door, provider, now, wait)
            return
        pace = 1 / rate if rate else 0.0
        for place, question in enumerate(now):
            self._start(self._ask(door, provider, [question], wait + place * pace))

    async def _adapter(self, door: Door) -> Adapter:
        until, known = self.adapters.get(door, (0.0, None))
        if known is None or until < time.monotonic():
            known = await sync_to_async(adapter)(*door)
            self.adapters[door] = time.monotonic() + ADAPTER_SECONDS, known
        return known

    async def _ask(self, door: Door, provider: Adapter, questions: list[Question], wait: float) -> None:
        if not questions:
            return
        updates: list[Update] = []
        try:
            if wait:
                await asyncio.sleep(wait)
            async with asyncio.timeout(POLL_SECONDS):
                updates = await provider.poll([question.external_id for question in questions])
        except Exception:
            log.warning("polling %s failed", door[0], exc_info=True)
        by_id = {update.external_id: update for update in updates}
        self._told(door, [Answer(question, by_id.get(question.external_id)) for question in questions])

    def _told(self, door: Door, answers: list[Answer]) -> None:
        self.answers += answers
        self.busy[door] -= len(answers)
        if not self.busy[door]:
            del self.busy[door]

    async def write(self) -> int:
        """Write down what was answered; how many."""
        answers, self.answers = self.answers, []
        for answer in answers:
            self.away.pop(answer.question.id, None)
        if self.threads is None:
            await sync_to_async(write_down)(answers)
            return len(answers)
        news: list[Answer] = []
        nothing_new: list[Answer] = []
        for answer in answers:
            (news if answer.brings_news else nothing_new).append(answer)
        for first in range(0, len(news), NEWS):
            self._start(self._write_news(self.threads, news[first : first + NEWS]))
        await sync_to_async(write_down)(nothing_new)
        return len(answers)

    async def _write_news(self, threads: ThreadPoolExecutor, answers: Sequence[Answer]) -> None:
        await sync_to_async(_write_apart, thread_sensitive=False, executor=threads)(answers)

    async def close(self) -> None:
        """Ask no more, and let go what others may ask about at once."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.write()
        left = [Answer(question, asked=False) for question in self.away.values()]
        await sync_to_async(_postpone)(left)


async def poll_due() -> int:
    """One whole round: claim what is due, ask, apply the answers; how many were claimed."""
    polling = Polling()
    claimed = await polling.ask()
    while polling.tasks:
        await asyncio.gather(*polling.tasks)
    await polling.write()
    return claimed


def claim_due(full: Collection[Door] = (), *, limit: int = BATCH) -> list[Question]:
    """Questions that are due, the longest first, none of a `full` account and no more than SHARE of any."""
    known: dict[str, Any] = {
        "slugs": [slug for slug, _ in full],
        "accounts": [account_id for _, account_id in full],
        "share": SHARE,
        "limit": limit,
        "seen": limit * 4,
        "lease": LEASE_SECONDS,
    }
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, known)
        rows = cursor.fetchall()
    return sorted((_question(row) for row in rows), key=lambda question: question.due_at)


def _question(row: Sequence[Any]) -> Question:
    """JSON comes as text."""
    question = Question(*row)
    return replace(question, cuts=json.loads(row[8]), detail=json.loads(row[17]))


def _within_limits(
    rate: float, account_id: int | None, questions: list[Question]
) -> tuple[list[Question], float]:
    """The first of them that may be asked, and in how many seconds."""
    if account_id is None:
        return questions, 0.0
    now = questions[: max(int(rate * QUERY_SECONDS), 1)]
    wait = vault.reserve_queries(account_id, len(now), rate, patience=QUERY_WAIT)
    return ([], 0.0) if wait is None else (now, wait)


def _write_apart(answers: Sequence[Answer]) -> None:
    """In a thread that goes on: it keeps no connection that may have broken meanwhile."""
    try:
        write_down(answers)
    except Exception:
        log.exception("%s answers are asked for again", len(answers))
    finally:
        connection.close()


def write_down(answers: Sequence[Answer]) -> None:
    """Apply what is new, and set when each is asked about again: later and later where nothing came."""
    if not answers:
        return
    _apply(answers)
    for answer in answers:
        if answer.asked:
            answer.wait = _wait(answer)
    _postpone(answers)


def _apply(answers: Iterable[Answer]) -> None:
    news = {answer.question.id: answer for answer in answers if answer.brings_news}
    attempts = Attempt.objects.select_related("job").in_bulk(news) if news else {}
    for pk, answer in news.items():
        attempt, update = attempts.get(pk), answer.update
        if attempt is None:
            continue  # its job was erased since
        assert update is not None
        attempt.fence = answer.question.fence
        try:
            poll.apply(attempt, update)
        except Exception:
            extra = {"job": attempt.job_id, "attempt": pk}
            log.exception("could not apply %s", update, extra=extra)
            answer.update = None


def _wait(answer: Answer) -> float:
    question = answer.question
    try:
        kind = adapter_class(question.provider)
    except KeyError:  # a provider that is not configured any more
        return paces.jittered(QUERY_WAIT * 2 ** min(question.poll_failures, 6))
    if answer.failed:
        return paces.jittered(kind.poll_seconds * 2 ** min(question.poll_failures, 6))
    if kind.rarest_seconds <= kind.poll_seconds:
        return kind.poll_seconds
    expected = paces.expected_seconds(question.route_id, question.length_ms)
    wait = paces.interval(question.age or 0.0, expected, least=kind.poll_seconds, most=kind.rarest_seconds)
    return paces.jittered(wait)


def _postpone(answers: Sequence[Answer]) -> None:
    questions = [answer.question for answer in answers]
    columns: list[Any] = [
        [question.id for question in questions],
        [question.fence for question in questions],
        [question.due_at for question in questions],
        [answer.wait for answer in answers],
        [answer.asked for answer in answers],
        [answer.failed for answer in answers],
    ]
    with connection.cursor() as cursor:
        cursor.execute(POSTPONE, columns)
