"""A job as a task."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

from jobs.dialects.dashscope.wire.faults import code_of, invalid
from jobs.dialects.dashscope.wire.models import SPOKEN, name_of
from jobs.models import Job
from jobs.states import UNHAPPY, Status

PENDING, RUNNING, SUCCEEDED, FAILED, CANCELED, UNKNOWN = (
    "PENDING",
    "RUNNING",
    "SUCCEEDED",
    "FAILED",
    "CANCELED",
    "UNKNOWN",
)
STATUS = {
    Status.PREPARING: PENDING,
    Status.QUEUED: PENDING,
    Status.RUNNING: RUNNING,
    Status.SAVING: RUNNING,
    Status.SUCCEEDED: SUCCEEDED,
    Status.FAILED: FAILED,
    Status.CANCELED: CANCELED,
    Status.EXPIRED: FAILED,
}
# A task is known this long in this API; the job itself stays.
LIFE = timedelta(hours=24)
ZONE = timezone(timedelta(hours=8))  # the vendor's times are Beijing's and do not say so
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ID = re.compile(r"[0-9a-f]{8}(-?)[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{12}", re.IGNORECASE)
TIME, MOMENT = "%Y%m%d%H%M%S%z", re.compile(r"[0-9]{14}")
REGION = "default"
MAX_PAGE, MAX_PAGE_SIZE = 10_000, 100


def read_id(text: str) -> UUID | None:
    return UUID(text) if ID.fullmatch(text) else None


def status(job: Job) -> str:
    return STATUS[Status(job.status)]


def statuses(word: str) -> list[Status]:
    """Our states behind one of the vendor's words; none for a word that is not one."""
    return [ours for ours, theirs in STATUS.items() if theirs == word]


def submitted(job_id: UUID, request_id: str) -> dict[str, Any]:
    return {"output": {"task_id": str(job_id), "task_status": PENDING}, "request_id": request_id}


def unknown(task_id: str, request_id: str) -> dict[str, Any]:
    """Expired, never there, or somebody else's. The SDK needs the id in it."""
    return {"request_id": request_id, "output": {"task_id": task_id, "task_status": UNKNOWN}}


def task(job: Job, video_url: str, request_id: str) -> dict[str, Any]:
    """`video_url` is empty until the job has succeeded. There is never a `code` at the top: that means an error."""
    output: dict[str, Any] = {"task_id": str(job.id), "task_status": status(job), **times(job)}
    body: dict[str, Any] = {"request_id": request_id, "output": output}
    if job.status == Status.SUCCEEDED:
        # `video_url` beside `results` is where the newer SDK looks.
        output |= {"results": {"video_url": video_url}, "video_url": video_url}
        body["usage"] = usage(job)
    elif job.status in UNHAPPY - {Status.CANCELED}:
        message = f"{job.error_message} {job.error_hint}".strip()
        output |= {"code": code_of(job.error_code or job.status), "message": message or "The task failed."}
    return body


def times(job: Job) -> dict[str, str]:
    known = {
        "submit_time": job.created_at,
        "scheduled_time": job.started_at,
        "end_time": job.finished_at,
    }
    return {name: moment(at) for name, at in known.items() if at}


def moment(at: datetime) -> str:
    """To the millisecond that has begun, as the list's numbers are."""
    return at.astimezone(ZONE).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def usage(job: Job) -> dict[str, Any]:
    """The length is called differently by each model."""
    seconds = job.length_ms / 1000
    resolution = str(job.options.get("resolution", ""))
    if job.model == "wan-2.2-animate":
        grade = "pro" if resolution == "720p" else "standard"
        return {"video_duration": seconds, "video_ratio": grade}
    if job.model == "emo-v1":
        return {"video_duration": seconds, "video_ratio": resolution}
    return {"duration": seconds, "video_count": 1, "SR": int(resolution.removesuffix("p") or 0)}


# --- the list -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wanted:
    """What a list asks for. `slug` and `options`: of the model; `statuses`: None for all."""

    start: datetime
    end: datetime
    page: int
    size: int
    task_id: UUID | None = None
    nothing: bool = False
    slug: str = ""
    options: Mapping[str, str] | None = None
    statuses: list[Status] | None = None


def wanted(query: Mapping[str, str], now: datetime) -> Wanted:
    """The query of a list; a window of at most 24 h."""
    start, end = _time(query, "start_time"), _time(query, "end_time")
    if start and end and not timedelta() <= end - start <= LIFE:
        raise invalid("end_time must lie at most 24 hours after start_time.")
    start = start or (end or now) - LIFE
    task_id, model, word = query.get("task_id", ""), query.get("model_name", ""), query.get("status", "")
    found = read_id(task_id) if task_id else None
    spoken = SPOKEN.get(model)
    return Wanted(
        start=start,
        end=end or start + LIFE,
        page=_number(query, "page_no", 1, MAX_PAGE),
        size=_number(query, "page_size", 10, MAX_PAGE_SIZE),
        task_id=found,
        nothing=bool(task_id and not found),
        slug=spoken.slug if spoken else model[:64].replace("\0", ""),
        options=spoken.options if spoken else None,
        statuses=statuses(word) if word else None,
    )


def _time(query: Mapping[str, str], name: str) -> datetime | None:
    value = query.get(name, "")
    if not value:
        return None
    try:
        # strptime alone takes shorter ones, too
        found = datetime.strptime(f"{value}+0800", TIME).astimezone(UTC) if MOMENT.fullmatch(value) else None
    except (ValueError, OverflowError):
        found = None
    if found is None:
        raise invalid(f"{name} must be a time such as 20260115083012 (UTC+8).")
    return found


def _number(query: Mapping[str, str], name: str, default: int, most: int) -> int:
    value = query.get(name, "") or str(default)
    if not (value.isascii() and value.isdecimal() and len(value) < 8 and 1 <= int(value) <= most):  # noqa: PLR2004  an int has no more
        raise invalid(f"{name} must be a whole number from 1 to {most}.")
    return int(value)


def page(jobs: Sequence[Job], total: int, asked: Wanted, request_id: str) -> dict[str, Any]:
    return {
        "total": total,
        "total_page": -(-total // asked.size),
        "page_no": asked.page,
        "page_size": asked.size,
        "request_id": request_id,
        "data": [listed(job) for job in jobs],
        # where the newer SDK looks
        "tasks": [
            {"task_id": str(job.id), "task_status": status(job), "model_name": model_name(job), **times(job)}
            for job in jobs
        ],
    }


def model_name(job: Job) -> str:
    return name_of(job.model, job.options)


def listed(job: Job) -> dict[str, Any]:
    """One line of the list: `status`, not `task_status`, and times in milliseconds since 1970."""
    owner = str(job.organization_id)
    name = model_name(job)
    line: dict[str, Any] = {
        "task_id": str(job.id),
        "status": status(job),
        "model_name": name,
        "region": REGION,
        "request_id": str(job.wire.get("request_id", "")),
        "api_key_id": str(job.key_id or ""),
        "caller_parent_id": owner,
        "caller_uid": owner,
        "user_api_unique_key": f"apikey:v1:aigc:image2video:video-synthesis:{name}",
    }
    known = {"gmt_create": job.created_at, "start_time": job.started_at, "end_time": job.finished_at}
    return line | {field: (at - EPOCH) // timedelta(milliseconds=1) for field, at in known.items() if at}
