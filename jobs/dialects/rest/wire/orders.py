"""What a customer orders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobs.errors import Invalid
from jobs.models import Job
from jobs.types import JobRequest

MAX_TAGS = 20
MAX_TAG = 64
MAX_KEY = 255
FIELDS = ("model", "inputs", "options", "webhook_url", "tags", "quote")


def to_request(body: Any, idempotency_key: str) -> JobRequest:
    """A JSON body as a JobRequest; Invalid names the first field that is of the wrong shape."""
    if not isinstance(body, Mapping):
        raise Invalid("body_invalid", "The body must be a JSON object.")
    for name in body:
        if name not in FIELDS:
            raise Invalid(
                "parameter_invalid", f"Unknown field {name!r}; known are {', '.join(FIELDS)}.", field=name
            )
    return JobRequest(
        model=_typed(body, "model", str, ""),
        inputs=_typed(body, "inputs", Mapping, {}),
        options=_typed(body, "options", Mapping, {}),
        webhook_url=_typed(body, "webhook_url", str, ""),
        tags=_tags(body.get("tags", [])),
        quote=_typed(body, "quote", str, ""),
        idempotency_key=idempotency_key_of(idempotency_key),
        dialect="rest",
    )


def idempotency_key_of(header: str) -> str:
    """The Idempotency-Key header, if it is not too long."""
    if len(header) > MAX_KEY:
        message = f"Idempotency-Key may have {MAX_KEY} characters."
        raise Invalid("parameter_invalid", message, field="Idempotency-Key")
    return header


def same_again(row: Job, idempotency_key: str) -> JobRequest:
    """The order of a job, to be placed once more: the seed is the one that was drawn."""
    inputs = {role: source.get("asset") or source["url"] for role, source in row.inputs.items()}
    return JobRequest(
        model=row.model,
        inputs=inputs,
        options=row.options,
        webhook_url=row.webhook_url,
        tags=tuple(row.tags),
        idempotency_key=idempotency_key_of(idempotency_key),
        dialect="rest",
    )


def _typed(body: Mapping[str, Any], name: str, kind: type, default: Any) -> Any:
    value = body.get(name, default)
    if not isinstance(value, kind):
        wanted = "a text" if kind is str else "an object"
        raise Invalid("parameter_invalid", f"{name} must be {wanted}.", field=name)
    return value


def _tags(value: Any) -> tuple[str, ...]:
    good = isinstance(value, list) and len(value) <= MAX_TAGS
    if not good or any(not isinstance(tag, str) or not 0 < len(tag) <= MAX_TAG for tag in value):
        message = f"tags must be a list of at most {MAX_TAGS} texts of 1 to {MAX_TAG} characters."
        raise Invalid("parameter_invalid", message, field="tags")
    return tuple(value)
