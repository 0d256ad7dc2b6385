"""A job as its readers see it, kept in Redis for a moment: who asks how it goes costs the database nothing.

A snapshot is the row with its outputs and its newest provider, and with its events where somebody wants those. Whoever
commits a change writes the new snapshot (`renew`); a reader that finds none reads the rows and leaves one. Each carries a
version that grows with every change, and Redis takes none that is older than what it has. So a slow reader can bring
nothing back, and after a cancel or a delete the next answer shows it. Where a writer dies between its commit and this,
or does not reach Redis, readers see the old state until the snapshot has run out. Without Redis the rows are read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

import redis
from django.db import connection, transaction

from accounts.rows import from_json
from accounts.shortcut import shortcut
from jobs.models import Asset, Job, JobEvent

LIFE_MS = 10_000
# The newest are told; a job of many hundred clips has more, and some answers carry all of these.
MOST_EVENTS = 500

# Every part of the version only grows, and one statement sees all parts at one moment. Outputs are never removed,
# only marked; an event, or a file, may come without a change of the row.
SNAPSHOT = """
SELECT j.organization_id, j.id,
       j.version + (SELECT count(*) FROM jobs_jobevent e WHERE e.job_id = j.id)
                 + (SELECT count(*) + count(a.deleted_at) FROM jobs_asset a WHERE a.job_id = j.id),
       json_build_object('job', row_to_json(j), 'outputs', (
           SELECT coalesce(json_agg(a ORDER BY a.id), '[]') FROM jobs_asset a
           WHERE a.job_id = j.id AND a.deleted_at IS NULL), 'provider', (
           SELECT t.provider FROM jobs_attempt t WHERE t.job_id = j.id ORDER BY t.number DESC LIMIT 1))::text,
       CASE WHEN %(events)s THEN (
           SELECT coalesce(json_agg(json_build_array(e.id, e.type, e.data, e.at) ORDER BY e.id), '[]')
           FROM (SELECT * FROM jobs_jobevent WHERE job_id = j.id ORDER BY id DESC LIMIT %(most)s) e)::text END
FROM jobs_job j WHERE j.id = ANY(%(jobs)s)
"""

# What is as new stays as it is, unless this one knows the events and that one does not.
KEEP = """
local kept = tonumber(redis.call('HGET', KEYS[1], 'version') or '-1')
local given = tonumber(ARGV[1])
if kept > given then return 0 end
if kept == given and (ARGV[4] == '' or redis.call('HEXISTS', KEYS[1], 'events') == 1) then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'job', ARGV[3])
if ARGV[4] ~= '' then redis.call('HSET', KEYS[1], 'events', ARGV[4]) end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""


@dataclass(frozen=True)
class Stored:
    """A snapshot on its way into Redis."""

    organization_id: UUID
    job_id: UUID
    version: int
    job: str
    events: str | None

    @property
    def name(self) -> str:
        return _name(self.organization_id, self.job_id)


@dataclass(frozen=True)
class Snapshot:
    """`rows`: the job and its live outputs. `told`: the newest events, where they were asked for."""

    rows: Mapping[str, Any]
    told: Sequence[Sequence[Any]] = ()

    @cached_property
    def job(self) -> Job:
        return from_json(Job, self.rows["job"])

    @cached_property
    def outputs(self) -> list[Asset]:
        """In the order in which they were made."""
        return [from_json(Asset, row) for row in self.rows["outputs"]]

    @property
    def provider(self) -> str:
        """Of the newest attempt; "" before there is one. An attempt begins and ends with a change of its job."""
        return self.rows.get("provider") or ""

    @cached_property
    def events(self) -> list[JobEvent]:
        """Oldest first."""
        job = self.job
        return [
            JobEvent(
                id=number,
                organization_id=job.organization_id,
                job_id=job.pk,
                type=kind,
                data=data,
                at=datetime.fromisoformat(at),
            )
            for number, kind, data, at in self.told
        ]


def read(organization_id: UUID, job_id: UUID, *, events: bool = False) -> Snapshot | None:
    """The organization's job as it is now, deleted ones too; None for unknown ids and those of others."""
    if connection.in_atomic_block:  # what it sees may never be committed: not for others to read
        return _shown(_from_rows([job_id], events=events), organization_id)
    name, fields = _name(organization_id, job_id), ["job", "events"] if events else ["job"]
    kept = shortcut().ask(lambda store: store.hmget(name, fields), None)
    texts = [text for text in kept or [] if text]
    if len(texts) == len(fields):
        return Snapshot(*(json.loads(text) for text in texts))
    found = _from_rows([job_id], events=events)
    if found and found[0].organization_id == organization_id:
        shortcut().ask(lambda store: _keep(store, found), None)
    return _shown(found, organization_id)


def keep(stored: Stored) -> None:
    """Leave a snapshot whose row has been committed."""
    if not connection.in_atomic_block:
        shortcut().tell(lambda store: _keep(store, [stored]), None)


def row_of(stored: Stored) -> Job:
    return Snapshot(json.loads(stored.job)).job


def renew(organization_id: UUID, *jobs: UUID) -> None:
    """When the running transaction has committed (at once outside of one), readers get these jobs as they are then."""
    renewal = Renewal(organization_id, jobs)
    if not any(hook[1] == renewal for hook in connection.run_on_commit):
        transaction.on_commit(renewal, robust=True)


@dataclass(frozen=True)
class Renewal:
    """One after a commit is enough, however many changes of a job it had."""

    organization_id: UUID
    jobs: tuple[UUID, ...]

    def __call__(self) -> None:
        if connection.in_atomic_block or not self.jobs:
            return
        # Events cost, and most readers want none: they are renewed where somebody read them a moment ago.
        known = shortcut().tell(self._with_events, None)
        if known is None:
            return
        plain = [job for job in self.jobs if job not in known]
        found = _from_rows(plain, events=False) + _from_rows(known, events=True)
        shortcut().tell(lambda store: _keep(store, found), None)

    def _with_events(self, store: redis.Redis) -> list[UUID] | None:
        with store.pipeline(transaction=False) as pipe:
            for job in self.jobs:
                pipe.hexists(_name(self.organization_id, job), "events")
            return [job for job, known in zip(self.jobs, pipe.execute(), strict=True) if known]


def _from_rows(jobs: Sequence[UUID], *, events: bool) -> list[Stored]:
    if not jobs:
        return []
    with connection.cursor() as cursor:
        cursor.execute(SNAPSHOT, {"jobs": list(jobs), "events": events, "most": MOST_EVENTS})
        return [Stored(*row) for row in cursor.fetchall()]


def _shown(found: Sequence[Stored], organization_id: UUID) -> Snapshot | None:
    for row in found:
        if row.organization_id == organization_id:
            return Snapshot(json.loads(row.job), json.loads(row.events or "[]"))
    return None


def _keep(store: redis.Redis, found: Sequence[Stored]) -> None:
    script = store.register_script(KEEP)
    for row in found:
        script(keys=[row.name], args=[row.version, LIFE_MS, row.job, row.events or ""])


def _name(organization_id: UUID, job_id: UUID) -> str:
    return f"job:{organization_id}:{job_id}"
