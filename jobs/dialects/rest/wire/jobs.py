"""A job, its price and its events."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from jobs.dialects.rest.wire import files
from jobs.estimates import NOTHING, Estimate
from jobs.models import Asset, Job, JobEvent
from jobs.submit import Offer


def job(
    row: Job,
    outputs: Sequence[tuple[Asset, str]],
    queue_position: int | None = None,
    estimate: Estimate = NOTHING,
) -> dict[str, Any]:
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
        "estimated_start_at": estimate.start_at.isoformat() if estimate.start_at else None,
        "estimated_seconds": estimate.seconds,
        "inputs": row.request.get("inputs", {}),
        "options": row.options,
        "tags": row.tags,
        "price": price(row),
        "outputs": [files.file(item, url) for item, url in outputs],
        "error": error(row),
        "created_at": row.created_at.isoformat(),
        "started_at": row.started_at.isoformat() if row.started_at else None,
        "finished_at": row.finished_at.isoformat() if row.finished_at else None,
    }


def price(row: Job) -> dict[str, Any]:
    return {
        "currency": "USD",
        "quoted_micros": row.quoted_micros,
        "free_micros": row.free_micros,
        "charged_micros": row.charged_micros,
        "billed_seconds": row.billed_units,
    }


def quote(offered: Offer, seconds: int) -> dict[str, Any]:
    """An offer: `id` goes into the job's `quote` within `expires_in` seconds."""
    shown = offered.quote.as_json()
    kept = (
        "model",
        "resolution",
        "unit",
        "measured_ms",
        "billed_units",
        "micros_per_unit",
        "total_micros",
    )
    return {
        "object": "quote",
        "id": offered.text,
        "currency": "USD",
        "expires_in": seconds,
        **{k: shown[k] for k in kept},
        "free_micros": offered.free_micros,
        "payable_micros": offered.payable_micros,
        "lines": [dataclasses.asdict(line) for line in offered.lines],
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


def event(row: JobEvent) -> dict[str, Any]:
    return {
        "id": row.id,
        "object": "event",
        "job": str(row.job_id),
        "type": row.type,
        "at": row.at.isoformat(),
        "data": row.data,
    }
