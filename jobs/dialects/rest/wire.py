"""Pure functions between `/v1`'s JSON and the product's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from billing.models import Price
from billing.quotes import Quote
from jobs.errors import Invalid
from jobs.models import Asset, Job, JobEvent
from jobs.types import JobRequest
from providers.catalogue import Model

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


def job(row: Job, outputs: Sequence[tuple[Asset, str]], queue_position: int | None = None) -> dict[str, Any]:
    """A job as `/v1` shows it. `outputs` are its assets with their addresses; times are RFC 3339 in UTC."""
    return {
        "id": str(row.id),
        "object": "job",
        "model": row.model,
        "preview": row.preview,
        "status": row.status,
        "phase": row.phase,
        "progress": round(row.progress, 4),
        "detail": row.detail,
        "queue_position": queue_position,
        "inputs": row.request.get("inputs", {}),
        "options": row.options,
        "tags": row.tags,
        "price": price(row),
        "outputs": [asset(item, url) for item, url in outputs],
        "error": error(row),
        "created_at": row.created_at.isoformat(),
        "started_at": row.started_at.isoformat() if row.started_at else None,
        "finished_at": row.finished_at.isoformat() if row.finished_at else None,
    }


def price(row: Job) -> dict[str, Any]:
    return {
        "currency": "USD",
        "quoted_micros": row.quoted_micros,
        "charged_micros": row.charged_micros,
        "billed_seconds": row.billed_units,
    }


def quote(offered: Quote, text: str, seconds: int) -> dict[str, Any]:
    """An offer: `id` goes into the job's `quote` within `expires_in` seconds."""
    shown = offered.as_json()
    kept = (
        "model",
        "resolution",
        "unit",
        "measured_ms",
        "billed_units",
        "micros_per_unit",
        "total_micros",
        "lines",
    )
    return {
        "object": "quote",
        "id": text,
        "currency": "USD",
        "expires_in": seconds,
        **{k: shown[k] for k in kept},
    }


def price_of(row: Price) -> dict[str, Any]:
    """A line of the price list: micro-dollars a unit, and between how many units a video is billed."""
    return {
        "resolution": row.resolution,
        "unit": row.unit,
        "micros_per_unit": row.micros_per_unit,
        "min_units": row.min_units,
        "max_units": row.max_units,
    }


def error(row: Job) -> dict[str, Any] | None:
    if not row.error_code:
        return None
    return {
        "code": row.error_code,
        "message": row.error_message,
        "hint": row.error_hint,
        "retryable": row.error_retryable,
    }


def asset(row: Asset, url: str) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "object": "file",
        "kind": row.role or row.kind,
        "status": row.status,
        "filename": row.filename,
        "content_type": row.content_type,
        "bytes": row.bytes,
        "sha256": row.sha256,
        "duration_ms": row.duration_ms,
        "width": row.width,
        "height": row.height,
        "url": url,
        "created_at": row.created_at.isoformat() if hasattr(row.created_at, "isoformat") else None,
    }


def event(row: JobEvent) -> dict[str, Any]:
    return {
        "id": row.id,
        "object": "event",
        "job": str(row.job_id),
        "type": row.type,
        "at": row.at.isoformat(),
        "data": row.data,
    }


def model(entry: Model, prices: Sequence[Mapping[str, Any]], *, preview: bool) -> dict[str, Any]:
    inputs = {
        role: {
            "kind": wanted.kind,
            "required": wanted.required,
            "description": wanted.description,
            "max_seconds": wanted.max_ms // 1000 or None,
        }
        for role, wanted in entry.inputs.items()
    }
    return {
        "id": entry.slug,
        "object": "model",
        "name": entry.name,
        "description": entry.description,
        "preview": preview,
        "inputs": inputs,
        "options": entry.options,
        "prices": list(prices),
    }


def problem(
    status: int, code: str, detail: str, *, field: str = "", retryable: bool = False
) -> dict[str, Any]:
    """RFC 9457, with our stable `code`, the field it is about and whether trying again can help."""
    body: dict[str, Any] = {
        "type": f"/docs/errors#{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
        "retryable": retryable,
    }
    return {**body, "field": field} if field else body
