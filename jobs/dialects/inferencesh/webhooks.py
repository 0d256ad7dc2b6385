"""Webhooks as this API's callers know them: the bare result, once at the end."""

from __future__ import annotations

import json

from jobs.dialects.inferencesh import tasks
from jobs.dialects.inferencesh.wire import tasks as wire
from jobs.models import Delivery, Job

FIELDS = ("id", "status", "output", "error", "session_id", "created_at", "updated_at")


def render(job: Job, delivery: Delivery) -> tuple[dict[str, str], bytes]:
    """Headers and body of one try; `webhook-id` is the same on every one."""
    result = wire.result(job, tasks.events_of(job), tasks.video_of(job))
    body = json.dumps({name: result[name] for name in FIELDS}, separators=(",", ":")).encode()
    return {"Content-Type": "application/json", "webhook-id": delivery.id.hex}, body
