"""What a customer orders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
