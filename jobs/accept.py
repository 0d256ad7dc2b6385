"""The one statement that writes an accepted job: its row, its tags, its first event and who is told of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, transaction
from django.db.models import Model
from django.db.models.sql import InsertQuery

from jobs import events, snapshots
from jobs.marks import JobTag
from jobs.models import Job
from jobs.snapshots import Stored
from jobs.states import Status

# A statement sees nothing of what its own parts write: `waiting` counts the jobs before this one.
ACCEPT = """
WITH waiting AS (
    SELECT count(*) AS jobs FROM jobs_job
    WHERE organization_id = %(organization)s AND status = ANY(%(waits)s)
), accepted AS ({job} RETURNING *), {tags} {event}
SELECT waiting.jobs, accepted.version + 1,
       json_build_object('job', row_to_json(accepted), 'outputs', json_build_array())::text, event.id, event.at,
       CASE WHEN %(tell_place)s AND accepted.status = 'queued'
            THEN (SELECT count(*) + 1 FROM jobs_job WHERE status = 'queued') END
FROM waiting, accepted, event
"""
WAITS = [Status.PREPARING.value, Status.QUEUED.value]


class Acceptance:
    """A job about to be written. Everything slow is done before the organization's account is locked, or after."""

    def __init__(self, job: Job, told: Mapping[str, Any], *, tell_place: bool = False) -> None:
        self.job = job
        self.event, self.values = events.worded(job, "created", told)
        tags = [
            JobTag(organization_id=job.organization_id, tag=tag, job_id=job.pk)
            for tag in sorted(set(job.tags))
        ]
        job_sql = _insert([job], "job", self.values)
        tags_sql = f"tags AS ({_insert(tags, 'tag', self.values)})," if tags else ""
        self.values |= {"waits": WAITS, "tell_place": tell_place}
        self.sql = ACCEPT.format(job=job_sql, tags=tags_sql, event=events.EVENT)
        self.place: int | None = None
        self.stored: Stored

    def write(self) -> int:
        """How many of the organization's jobs were waiting before this one.

        Call it inside a transaction that holds the organization's account, so that nobody races the count.
        """
        with connection.cursor() as cursor:
            cursor.execute(self.sql, self.values)
            waiting, version, text, self.event.id, self.event.at, self.place = cursor.fetchone()
        self.stored = Stored(self.job.organization_id, self.job.pk, version, text, None)
        transaction.on_commit(partial(snapshots.keep, self.stored), robust=True)
        events.announce(self.event)
        return int(waiting)

    def row(self) -> Job:
        """The job as the database has it."""
        row = snapshots.row_of(self.stored)
        row.organization, row.first_event, row.first_place = self.job.organization, self.event, self.place
        return row


def _insert(rows: Sequence[Model], prefix: str, values: dict[str, Any]) -> str:
    """Django's own INSERT, so that no list of columns stands here; its parameters go into `values` by name."""
    query = InsertQuery(type(rows[0]))
    query.insert_values(rows[0]._meta.concrete_fields, list(rows))  # noqa: SLF001  Django's documented name
    [(sql, parameters)] = query.get_compiler(DEFAULT_DB_ALIAS).as_sql()
    names = [f"{prefix}_{number}" for number in range(len(parameters))]
    values |= dict(zip(names, parameters, strict=True))
    return str(sql % tuple(f"%({name})s" for name in names))
