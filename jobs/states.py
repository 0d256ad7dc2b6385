"""The states of jobs and attempts, and which may follow which: data, not code."""

from __future__ import annotations

from django.db.models import TextChoices


class Status(TextChoices):
    """Of a Job."""

    PREPARING = "preparing"
    QUEUED = "queued"
    RUNNING = "running"
    SAVING = "saving"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"


FINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELED, Status.EXPIRED})
OPEN = frozenset(Status) - FINAL
UNHAPPY = frozenset({Status.FAILED, Status.CANCELED, Status.EXPIRED})

JOB: dict[Status, frozenset[Status]] = {
    Status.PREPARING: frozenset({Status.QUEUED}) | UNHAPPY,
    Status.QUEUED: frozenset({Status.RUNNING}) | UNHAPPY,
    # back to queued: an attempt ended with a retryable verdict and another route is left
    Status.RUNNING: frozenset({Status.SAVING, Status.QUEUED}) | UNHAPPY,
    # back to queued: the result is of no use and another route is left
    Status.SAVING: frozenset({Status.SUCCEEDED, Status.QUEUED}) | UNHAPPY,
    Status.SUCCEEDED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELED: frozenset(),
    Status.EXPIRED: frozenset(),
}


class AttemptStatus(TextChoices):
    """Of an Attempt. UNKNOWN: the submit answer was lost; nothing is refunded or tried elsewhere until it is known."""

    CREATED = "created"
    SUBMITTED = "submitted"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    UNKNOWN = "unknown"


ATTEMPT_FINAL = frozenset({AttemptStatus.SUCCEEDED, AttemptStatus.FAILED, AttemptStatus.CANCELED})
ATTEMPT_OPEN = frozenset(AttemptStatus) - ATTEMPT_FINAL
ATTEMPT_POLLED = frozenset({AttemptStatus.SUBMITTED, AttemptStatus.RUNNING})

ATTEMPT: dict[AttemptStatus, frozenset[AttemptStatus]] = {
    AttemptStatus.CREATED: frozenset({AttemptStatus.SUBMITTED, AttemptStatus.UNKNOWN}) | ATTEMPT_FINAL,
    AttemptStatus.SUBMITTED: frozenset({AttemptStatus.RUNNING}) | ATTEMPT_FINAL,
    AttemptStatus.RUNNING: ATTEMPT_FINAL,
    AttemptStatus.UNKNOWN: frozenset({AttemptStatus.SUBMITTED}) | ATTEMPT_FINAL,
    # its result, once it was looked at, is of no use
    AttemptStatus.SUCCEEDED: frozenset({AttemptStatus.FAILED}),
    AttemptStatus.FAILED: frozenset(),
    AttemptStatus.CANCELED: frozenset(),
}


# What happens to a job, as its events name it: every status, and what is told in between.
EVENT_TYPES = ("created", *Status, "phase", "progress", "attempt_ended", "cancel_requested")
# What is told of an organization's money, by the kind of billing's alert.
ALERT_TYPES = {"budget": "budget.reached", "balance": "balance.low"}
# A webhook endpoint that asks for this is told everything; its messages are drawn as those of our own dialect.
EVERYTHING = "*"
OURS = "rest"


def told_as(event_type: str) -> str:
    """An event's type as webhooks name it."""
    return f"job.{event_type}"


class ForbiddenTransition(Exception):
    """A programming error: the table does not allow it."""


def sources(to: Status, given: frozenset[Status] | None = None) -> frozenset[Status]:
    """The states `to` may follow, narrowed to `given`; ForbiddenTransition when one of `given` may not lead there."""
    allowed = frozenset(status for status, following in JOB.items() if to in following)
    if given is None:
        return allowed
    if not given <= allowed:
        raise ForbiddenTransition(f"{sorted(given - allowed)} may not become {to}")
    return given
