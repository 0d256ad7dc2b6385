"""The one statement that writes an accepted job: its row, its tags, its first event and who is told of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, transaction
from django.db.models import Model
from django.db.models.sql import InsertQuery

from jobs import events, snapshots
from jobs.models import Job, JobTag
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


def accept(job: Job, told: Mapping[str, Any], *, tell_place: bool = False) -> tuple[Job, int]:
    """The job as it was written, and how many of its organization's jobs were waiting before it.

    Call it inside a transaction that holds the organization's account, so that nobody races the count.
    """
    event, values = events.worded(job, "created", told)
    job_sql = _insert([job], "job", values)
    tags = [
        JobTag(organization_id=job.organization_id, tag=tag, job_id=job.pk) for tag in sorted(set(job.tags))
    ]
    tags_sql = f"tags AS ({_insert(tags, 'tag', values)})," if tags else ""
    with connection.cursor() as cursor:
        values |= {"waits": WAITS, "tell_place": tell_place}
        cursor.execute(ACCEPT.format(job=job_sql, tags=tags_sql, event=events.EVENT), values)
        waiting, version, text, event.id, event.at, place = cursor.fetchone()
    stored = Stored(job.organization_id, job.pk, version, text, None)
    transaction.on_commit(partial(snapshots.keep, stored), robust=True)
    events.announce(event)
    row = snapshots.row_of(stored)
    row.organization, row.first_event, row.first_place = job.organization, event, place
    return row, waiting


def _insert(rows: Sequence[Model], prefix: str, values: dict[str, Any]) -> str:
    """Django's own INSERT, so that no list of columns stands here; its parameters go into `values` by name."""
    query = InsertQuery(type(rows[0]))
    query.insert_values(rows[0]._meta.concrete_fields, list(rows))  # noqa: SLF001  Django's documented name
    [(sql, parameters)] = query.get_compiler(DEFAULT_DB_ALIAS).as_sql()
    names = [f"{prefix}_{number}" for number in range(len(parameters))]
    values |= dict(zip(names, parameters, strict=True))
    return str(sql % tuple(f"%({name})s" for name in names))
