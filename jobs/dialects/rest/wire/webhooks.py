"""Endpoints, deliveries and messages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from billing.models import Alert
from jobs.dialects.rest.wire.jobs import event
from jobs.models import Delivery, DeliveryTry, WebhookEndpoint


def message(row: Delivery, job: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a receiver gets: the event where there is one, and the job as it stands at this try; or the alert.

    The installation's key signs for all its tenants, so the message names the one it is for.
    """
    told = event(row.event) if row.event else None
    return {
        "id": row.id.hex,
        "type": row.type,
        "timestamp": told["at"] if told else row.created_at.isoformat(),
        "organization": str(row.organization_id),
        "event": told,
        "data": alert(row.alert) if row.alert else job,
    }


def alert(row: Alert) -> dict[str, Any]:
    """What was reached, and what was found then. Of a balance there is neither month nor percent."""
    return {
        "object": "alert",
        "kind": row.kind,
        "month": f"{row.month:%Y-%m}" if row.month else None,
        "percent": row.percent or None,
        "limit_micros": row.limit_micros,
        "found_micros": row.found_micros,
        "currency": "USD",
        "raised_at": row.created_at.isoformat(),
    }


def endpoint(row: WebhookEndpoint) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "object": "webhook",
        "url": row.url,
        "description": row.description,
        "events": row.events,
        "enabled": row.enabled,
        "disabled_at": _time(row.disabled_at),
        "disabled_reason": row.disabled_reason or None,
        "failing_since": _time(row.failing_since),
        "previous_secret_until": _time(row.previous_until),
        "created_at": _time(row.created_at),
    }


def delivery(row: Delivery) -> dict[str, Any]:
    due = row.status == Delivery.Status.DUE
    return {
        "id": str(row.id),
        "object": "delivery",
        "webhook": str(row.endpoint_id) if row.endpoint_id else None,
        "job": str(row.job_id) if row.job_id else None,
        "event": row.event_id,
        "type": row.type,
        "url": row.address,
        "status": row.status,
        "reason": row.reason or None,
        "tries": row.tries,
        "last_status": row.last_status,
        "next_try_at": _time(row.due_at) if due else None,
        "created_at": _time(row.created_at),
        "finished_at": _time(row.finished_at),
    }


def tried(row: DeliveryTry) -> dict[str, Any]:
    return {
        "at": _time(row.at),
        "status": row.status,
        "answer": row.answer,
        "duration_ms": row.duration_ms,
    }


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
