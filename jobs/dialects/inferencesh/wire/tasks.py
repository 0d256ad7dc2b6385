"""A job as a task: the numbers and fields of SDK 0.36.0."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any
from uuid import UUID

from jobs.dialects.inferencesh.wire.apps import app_of
from jobs.models import Job, JobEvent
from jobs.states import Status


class TaskStatus(IntEnum):
    """Since January 2026; before, what stands above CANCELLING was one lower."""

    RECEIVED = 1
    QUEUED = 2
    DISPATCHED = 3
    RUNNING = 7
    CANCELLING = 8
    UPLOADING = 9
    COMPLETED = 10
    FAILED = 11
    CANCELLED = 12


TERMINAL = frozenset({TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED})
# In this order a task goes through them; the vendor's "preparing" comes after its queue, ours before.
STATUS = {
    Status.PREPARING: TaskStatus.RECEIVED,
    Status.QUEUED: TaskStatus.QUEUED,
    Status.RUNNING: TaskStatus.RUNNING,
    Status.SAVING: TaskStatus.UPLOADING,
    Status.SUCCEEDED: TaskStatus.COMPLETED,
    Status.FAILED: TaskStatus.FAILED,
    Status.CANCELED: TaskStatus.CANCELLED,
    Status.EXPIRED: TaskStatus.FAILED,
}
# A job that was given away and that nobody has begun.
WAITING = "waiting"
TASK_LOG = 4
ID = re.compile(r"[0-9a-f]{8}(-?)[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{12}", re.IGNORECASE)


def task(job: Job, events: Sequence[JobEvent], video: str | None) -> dict[str, Any]:
    """The whole task. `events` oldest first; `video` is the output's address."""
    now = status(job)
    return {
        **result(job, events, video),
        "deleted_at": None,
        "visibility": "private",
        "app_id": app_of(job.model),
        "function": "run",
        "infra": "cloud",
        "workers": [],
        "webhook": job.webhook_url or None,
        "setup": None,
        "input": {**job.request.get("inputs", {}), **job.request.get("options", {})},
        "error": error(job) or None,
        "rating": "unrated",
        "progress": round(job.progress * 100),
        "events": task_events(job, events),
        "logs": logs(job, events),
        "status_text": now.name.lower(),
        "run_at": None,
    }


def result(job: Job, events: Sequence[JobEvent], video: str | None) -> dict[str, Any]:
    """What a webhook tells."""
    now = status(job)
    return {
        "id": str(job.id),
        "short_id": short_id(job.id),
        "status": int(now),
        "output": {"file": video} if now == TaskStatus.COMPLETED else None,
        "error": error(job),
        "session_id": None,
        "created_at": moment(job.created_at),
        "updated_at": updated_at(job, events),
    }


def status(job: Job) -> TaskStatus:
    if job.cancel_requested_at and not job.final:
        return TaskStatus.CANCELLING
    if job.status == Status.RUNNING and job.phase == WAITING:
        return TaskStatus.DISPATCHED
    return STATUS[Status(job.status)]


def brief(job: Job, events: Sequence[JobEvent]) -> dict[str, Any]:
    now = status(job)
    return {
        "id": str(job.id),
        "status": int(now),
        "status_text": now.name.lower(),
        "updated_at": updated_at(job, events),
    }


def error(job: Job) -> str:
    """Empty while all is well; begins with our stable code otherwise."""
    if job.status not in {Status.FAILED, Status.CANCELED, Status.EXPIRED}:
        return ""
    message = f"{job.error_message} {job.error_hint}".strip()
    return f"{job.error_code or job.status}: {message or 'The task ended without a result.'}"


def task_events(job: Job, events: Sequence[JobEvent]) -> list[dict[str, Any]]:
    """Changes of status only, each once."""
    found: list[dict[str, Any]] = []
    for event in events:
        reached = _reached(event)
        if reached is None or (found and found[-1]["status"] == reached):
            continue
        at = moment(event.at)
        found.append(
            {
                "id": str(event.id),
                "created_at": at,
                "event_time": at,
                "task_id": str(job.id),
                "status": int(reached),
            }
        )
    return found


def _reached(event: JobEvent) -> TaskStatus | None:
    match event.type:
        case "created":
            return TaskStatus.RECEIVED
        case "cancel_requested":
            return TaskStatus.CANCELLING
        case "phase":
            return TaskStatus.DISPATCHED if event.data.get("phase") == WAITING else TaskStatus.RUNNING
        case Status.RUNNING:
            return TaskStatus.DISPATCHED
    return STATUS[Status(event.type)] if event.type in Status.values else None


def logs(job: Job, events: Sequence[JobEvent]) -> list[dict[str, Any]]:
    """Everything that happened, a line each; the id is the same in every answer."""
    return [
        {
            "id": str(event.id),
            "created_at": moment(event.at),
            "updated_at": moment(event.at),
            "task_id": str(job.id),
            "log_type": TASK_LOG,
            "content": _told(event),
        }
        for event in events
    ]


def _told(event: JobEvent) -> str:
    data = event.data
    percent = f", {round(data['progress'] * 100)} %" if isinstance(data.get("progress"), float) else ""
    match event.type:
        case "created":
            return "received"
        case "cancel_requested":
            return "cancelling"
        case "phase":
            return f"{data.get('phase')}{percent}"
        case "progress":
            clip = f"clip {data['clip']} of {data.get('clips', '?')}" if data.get("clip") else "progress"
            return f"{clip}{percent}"
    reached = _reached(event)
    text = reached.name.lower() if reached else event.type
    return f"{text}: {data['code']}: {data['message']}" if data.get("code") and data.get("message") else text


def task_logs(job: Job, events: Sequence[JobEvent]) -> dict[str, Any]:
    return {
        "task_id": str(job.id),
        "status": int(status(job)),
        "events": task_events(job, events),
        "logs": logs(job, events),
    }


def timings(job: Job, events: Sequence[JobEvent], now: datetime) -> dict[str, Any]:
    """Durations by phase and by status; `now` closes what has not ended."""
    end = job.finished_at or now
    marks = [
        ("preparing", job.created_at, job.queued_at or end),
        ("queued", job.queued_at, job.started_at or end),
        ("running", job.started_at, end),
    ]
    groups = [
        {"label": label, "start_at": moment(start), "end_at": moment(stop), **_duration(start, stop)}
        for label, start, stop in marks
        if start is not None
    ]
    steps = task_events(job, events)
    times = [datetime.fromisoformat(step["event_time"]) for step in steps]
    following = [*zip(steps[1:], times[1:], strict=True), (None, end)][: len(steps)]
    shown = [
        {
            "status": TaskStatus(step["status"]).name.lower(),
            "timestamp": step["event_time"],
            **_duration(at, stop),
            "next_status": TaskStatus(after["status"]).name.lower() if after else "",
        }
        for step, at, (after, stop) in zip(steps, times, following, strict=True)
    ]
    total = _duration(job.created_at, end)
    return {
        "task_id": str(job.id),
        "status": int(status(job)),
        "total_duration": total["duration"],
        "total_duration_ms": total["duration_ms"],
        "groups": groups,
        "events": shown,
    }


def _duration(start: datetime, stop: datetime) -> dict[str, Any]:
    milliseconds = max(0, round((stop - start).total_seconds() * 1000))
    return {"duration": f"{milliseconds / 1000:g}s", "duration_ms": milliseconds}


def updated_at(job: Job, events: Sequence[JobEvent]) -> str:
    known = [
        job.created_at,
        job.queued_at,
        job.started_at,
        job.finished_at,
        *(event.at for event in events[-1:]),
    ]
    return moment(max(at for at in known if at is not None))


def moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def short_id(job_id: UUID) -> str:
    return job_id.hex[-8:]


def read_id(text: str) -> UUID | None:
    """A task's id, with dashes or without; a short one names nothing."""
    return UUID(text) if ID.fullmatch(text) else None
