"""A job as a prediction."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from jobs.dialects.wavespeed.wire.models import path_of
from jobs.models import Job
from jobs.states import Status

STATUS = {
    Status.PREPARING: "created",
    Status.QUEUED: "created",
    Status.RUNNING: "processing",
    Status.SAVING: "processing",
    Status.SUCCEEDED: "completed",
    Status.FAILED: "failed",
    Status.CANCELED: "cancelled",
    Status.EXPIRED: "timeout",
}
DELETED = "deleted"
ID = re.compile(r"[0-9a-f]{32}")

FINE, PARAMETER_MISSING, PARAMETER_INVALID, MEDIA_UNREACHABLE, NO_CREDIT = 0, 1400, 1401, 1402, 1407
MODERATED, TASK_FAILED, INTERNAL, UNAVAILABLE, TIMED_OUT = 1200, 1405, 5000, 5003, 5004
# Our stable codes by their beginnings, as the vendor numbers them; what is not listed is a failed task.
BUSINESS = (
    ("parameter_missing", PARAMETER_MISSING),
    ("parameter_", PARAMETER_INVALID),
    ("url_too_large", PARAMETER_INVALID),
    ("url_", MEDIA_UNREACHABLE),
    ("file_", MEDIA_UNREACHABLE),
    ("input_unreachable", MEDIA_UNREACHABLE),
    ("input_", PARAMETER_INVALID),
    ("rights_refused", MODERATED),
    ("content_", MODERATED),
    ("moderat", MODERATED),
    ("insufficient_funds", NO_CREDIT),
    ("key_spend_cap", NO_CREDIT),
    ("monthly_budget", NO_CREDIT),
    ("image_", PARAMETER_INVALID),
    ("audio_", PARAMETER_INVALID),
    ("video_", PARAMETER_INVALID),
    ("media_", PARAMETER_INVALID),
    ("not_media", PARAMETER_INVALID),
    ("wrong_type", PARAMETER_INVALID),
    ("probe_", PARAMETER_INVALID),
    ("face_", PARAMETER_INVALID),
    ("clip_too_long", PARAMETER_INVALID),
    ("expired", TIMED_OUT),
    ("no_route", UNAVAILABLE),
    ("provider_timeout", TIMED_OUT),
    ("provider_", UNAVAILABLE),
    ("engine_failed", INTERNAL),
)
# The SDK submits a whole paid task again when a failure's text contains "HTTP 5" or "HTTP 429".
RERUN = re.compile(r"HTTP (?=5|429)")


def prediction(
    job: Job, outputs: Sequence[str], base: str, flags: Sequence[bool | None] = ()
) -> dict[str, Any]:
    """The fields of every answer about a job. `base` is our own address; `outputs` addresses or base64, `flags` what the
    content check says of each. Where one was not judged nothing is said at all: none would read as a no.
    """
    milliseconds = inference_ms(job)
    code = business_code(job)
    fields: dict[str, Any] = {
        "id": job.id.hex,
        "model": path_of(job.model),
        "status": status(job),
        "outputs": list(outputs),
        "urls": {"get": result_url(job.id, base)},
        "has_nsfw_contents": [] if None in flags else list(flags),
        "created_at": moment(job.created_at),
        "error": error_text(job),
        "timings": {"inference": milliseconds},
        "executionTime": milliseconds,
        "code": code,
    }
    if code:
        fields["error_code"] = job.error_code or job.status
    return fields


def with_echo(fields: dict[str, Any], job: Job) -> dict[str, Any]:
    """A webhook also carries what was asked for, as the customer wrote it."""
    return {**fields, "input": {**job.request.get("inputs", {}), **job.request.get("options", {})}}


def timed_out(fields: dict[str, Any], reason: str) -> dict[str, Any]:
    """The answer of a sync submit whose wait is over before the job is. It begins as the SDK expects."""
    text = f"Sync mode timed out: {reason} The task goes on; its result will be at {fields['urls']['get']}"
    return {**fields, "status": "processing", "code": TIMED_OUT, "error_code": "sync_timeout", "error": text}


def status(job: Job) -> str:
    return DELETED if job.deleted_at else STATUS[Status(job.status)]


def statuses(word: str) -> list[Status]:
    """Our states behind one of the vendor's words; none for a word that is not one."""
    return [ours for ours, theirs in STATUS.items() if theirs == word]


def error_text(job: Job) -> str:
    """Empty while all is well, never empty otherwise, and never a text that makes the SDK pay twice."""
    if job.deleted_at:
        return "This prediction was deleted."
    if not business_code(job):
        return ""
    text = f"{job.error_message} {job.error_hint}".strip()
    return RERUN.sub("status ", text) or f"The task {STATUS[Status(job.status)]}."


def business_code(job: Job) -> int:
    if job.status not in {Status.FAILED, Status.CANCELED, Status.EXPIRED}:
        return FINE
    if job.status == Status.EXPIRED:
        return TIMED_OUT
    return next((number for start, number in BUSINESS if job.error_code.startswith(start)), TASK_FAILED)


def inference_ms(job: Job) -> int:
    if not (job.started_at and job.finished_at):
        return 0
    return max(0, round((job.finished_at - job.started_at).total_seconds() * 1000))


def result_url(job_id: UUID, base: str) -> str:
    return f"{base}/api/v3/predictions/{job_id.hex}/result"


def moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_id(text: str) -> UUID | None:
    """A prediction's id: 32 lowercase hex digits, nothing else."""
    return UUID(text) if ID.fullmatch(text) else None
