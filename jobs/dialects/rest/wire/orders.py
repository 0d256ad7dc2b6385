"""What a customer orders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobs.models import Job
from jobs.types import JobRequest

MAX_TAGS = 20
MAX_TAG = 64


def to_request(body: Mapping[str, Any], idempotency_key: str) -> JobRequest:
    """An Order, checked against its schema, as a JobRequest."""
    return JobRequest(
        model=body["model"],
        inputs=body.get("inputs", {}),
        options=body.get("options", {}),
        webhook_url=body.get("webhook_url", ""),
        tags=tuple(body.get("tags", ())),
        quote=body.get("quote", ""),
        idempotency_key=idempotency_key,
        dialect="rest",
        tell_place=True,
    )


def same_again(row: Job, idempotency_key: str) -> JobRequest:
    """The order of a job, to be placed once more: the seed is the one that was drawn."""
    inputs = {role: source.get("asset") or source["url"] for role, source in row.inputs.items()}
    return JobRequest(
        model=row.model,
        inputs=inputs,
        options=row.options,
        webhook_url=row.webhook_url,
        tags=tuple(row.tags),
        idempotency_key=idempotency_key,
        dialect="rest",
        tell_place=True,
    )
