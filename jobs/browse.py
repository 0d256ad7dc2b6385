"""Looking through an organization's jobs: filters, pages by keyset, a search in prompts; and the marks people find by.

Filters go down indexes in the order of the list. A search in prompts has none: a job's row changes many times while it
is made, and each change would write the prompt's index anew. It looks through a bounded number of jobs and says how far
it came; its reader goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from uuid import UUID

from django.db import connection, transaction

from accounts.models import User
from accounts.tenancy import Caller
from jobs import snapshots
from jobs.errors import Invalid
from jobs.marks import Favourite, JobTag
from jobs.models import Job, JobQuerySet
from jobs.states import OPEN, Status
from jobs.types import time_of

# How many jobs one search in prompts looks through.
LOOKED_THROUGH = 20_000
MOST_TAGS = 20
LONGEST_TAG = 64
TAGS_SHOWN = 200

STATES: Final[dict[str, frozenset[Status]]] = {
    "ready": frozenset({Status.SUCCEEDED}),
    "open": OPEN,
    "failed": frozenset({Status.FAILED}),
    "late": frozenset({Status.EXPIRED}),
    "canceled": frozenset({Status.CANCELED}),
}
# The tags that there are: from each to the next one, so that a tag of a million jobs costs one step.
TAGS = """
WITH RECURSIVE known AS (
    (SELECT tag FROM jobs_jobtag WHERE organization_id = %(organization)s ORDER BY tag LIMIT 1)
    UNION ALL
    SELECT (SELECT tag FROM jobs_jobtag WHERE organization_id = %(organization)s AND tag > known.tag ORDER BY tag LIMIT 1)
    FROM known WHERE known.tag IS NOT NULL
) SELECT tag FROM known WHERE tag IS NOT NULL LIMIT %(most)s
"""


@dataclass(frozen=True)
class Wanted:
    """Filters that narrow each other; empty ones let everything pass. Days are whole ones in UTC, both included."""

    text: str = ""
    model: str = ""
    state: str = ""
    person: int | None = None
    tag: str = ""
    since: date | None = None
    until: date | None = None
    favourites: bool = False

    def __bool__(self) -> bool:
        return self != Wanted()


@dataclass(frozen=True)
class Page:
    """`older`: what to give as `before` to read on, None at the end. `back_to`: how far a search came that has not
    filled its page yet.
    """

    jobs: list[Job]
    older: UUID | None
    back_to: datetime | None = None


def page(
    caller: Caller, wanted: Wanted, *, before: UUID | None, size: int, related: Sequence[str] = ()
) -> Page:
    """The newest jobs that pass, older than `before`; with what is `related`, by name."""
    rows = _narrowed(caller, wanted).order_by("-pk")
    if related:
        rows = rows.select_related(*related)
    if before:
        rows = rows.filter(pk__lt=before)
    edge = _edge(caller, before) if wanted.text else None
    if wanted.text:
        rows = rows.filter(options__prompt__icontains=wanted.text)
    if edge:
        rows = rows.filter(pk__gte=edge)
    found = list(rows[: size + 1])
    if len(found) > size:
        return Page(found[:size], found[size - 1].pk)
    return Page(found, edge, time_of(edge) if edge else None)


def _narrowed(caller: Caller, wanted: Wanted) -> JobQuerySet:
    rows = Job.objects.for_org(caller.organization).visible()
    states = STATES.get(wanted.state, frozenset())
    # One status is read in the order of its index; several are not.
    plain = {
        "model": wanted.model,
        "user_id": wanted.person,
        "status": next(iter(states)) if len(states) == 1 else None,
        "status__in": sorted(states) if len(states) > 1 else None,
    }
    rows = rows.filter(**{name: value for name, value in plain.items() if value})
    if wanted.tag:
        rows = rows.tagged(caller.organization, wanted.tag)
    if wanted.favourites:
        rows = rows.starred(caller.organization, _person(caller))
    return rows.created(after=_start(wanted.since), before=_start(wanted.until, days=1))


def _edge(caller: Caller, before: UUID | None) -> UUID | None:
    """The last job that one search looks at; None where it comes to the end."""
    rows = Job.objects.for_org(caller.organization).order_by("-pk")
    if before:
        rows = rows.filter(pk__lt=before)
    return rows.values_list("pk", flat=True)[LOOKED_THROUGH - 1 : LOOKED_THROUGH].first()


def _start(day: date | None, *, days: int = 0) -> datetime | None:
    return datetime.combine(day, time(tzinfo=UTC)) + timedelta(days=days) if day else None


# --- tags ---


def tags(caller: Caller) -> list[str]:
    """The tags of the organization's jobs, in order."""
    with connection.cursor() as cursor:
        cursor.execute(TAGS, {"organization": caller.organization.pk, "most": TAGS_SHOWN})
        return [tag for (tag,) in cursor.fetchall()]


def tag(caller: Caller, ids: Iterable[UUID], name: str) -> list[Job]:
    """Put a tag on jobs; those that have it now. Raises Invalid for a tag that is none, or where a job has too many."""
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_TAG:
        raise Invalid("tag_invalid", f"A tag has between 1 and {LONGEST_TAG} characters.", field="tag")
    with transaction.atomic():
        jobs = _locked(caller, ids)
        if any(name not in job.tags and len(job.tags) >= MOST_TAGS for job in jobs):
            raise Invalid("tag_limit", f"A video has {MOST_TAGS} tags at most.", field="tag")
        for job in jobs:
            if name not in job.tags:
                _retag(job, [*job.tags, name])
        JobTag.objects.bulk_create(
            (JobTag(organization=caller.organization, tag=name, job=job) for job in jobs),
            ignore_conflicts=True,
        )
        snapshots.renew(caller.organization.pk, *(job.pk for job in jobs))
    return jobs


def untag(caller: Caller, ids: Iterable[UUID], name: str) -> list[Job]:
    """Take a tag off jobs; all of them, those too that did not have it."""
    with transaction.atomic():
        jobs = _locked(caller, ids)
        for job in jobs:
            if name in job.tags:
                _retag(job, [tag for tag in job.tags if tag != name])
        JobTag.objects.filter(organization=caller.organization, tag=name, job__in=jobs).delete()
        snapshots.renew(caller.organization.pk, *(job.pk for job in jobs))
    return jobs


def _locked(caller: Caller, ids: Iterable[UUID]) -> list[Job]:
    """In one order, so that two people who tag the same jobs do not wait for each other in a circle."""
    rows = Job.objects.for_org(caller.organization).visible().filter(pk__in=list(ids))
    return list(rows.order_by("-pk").select_for_update(no_key=True))


def _retag(job: Job, names: list[str]) -> None:
    job.tags = names
    Job.objects.filter(pk=job.pk).update(tags=names)


# --- favourites ---


def star(caller: Caller, job: Job) -> None:
    """Twice is fine."""
    row = Favourite(organization=caller.organization, user=_person(caller), job=job)
    Favourite.objects.bulk_create([row], ignore_conflicts=True)


def unstar(caller: Caller, job: Job) -> None:
    Favourite.objects.filter(organization=caller.organization, user=_person(caller), job=job).delete()


def starred(caller: Caller, jobs: Sequence[Job]) -> set[UUID]:
    """Which of these are the person's favourites."""
    rows = Favourite.objects.filter(organization=caller.organization, user=_person(caller), job__in=jobs)
    return set(rows.values_list("job_id", flat=True))


def _person(caller: Caller) -> User:
    """Favourites are a person's own; keys have none."""
    assert caller.user is not None
    return caller.user
