"""What a job was made of and what it cost, line by line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any
from uuid import UUID

from billing.quotes import Quote
from jobs.events import job_events
from jobs.models import Asset, Job, JobEvent
from jobs.states import FINAL


def receipt(job: Job) -> dict[str, Any]:
    """Inputs with their hashes, attempts, seconds in each phase, price lines. Providers' names stay inside."""
    return {
        "object": "receipt",
        "job": str(job.pk),
        "model": job.model,
        "preview": job.preview,
        "options": job.options,
        "inputs": {role: _file(asset) for role, asset in _inputs(job).items()},
        "outputs": [_file(asset) for asset in Asset.objects.filter(job=job).order_by("-role")],
        "attempts": list(job.attempts.order_by("number").values("number", "status", "error_code")),
        "phases": phases(job_events(job.pk)),
        "price": {
            "currency": "USD",
            "lines": _lines(job),
            "quoted_micros": job.quoted_micros,
            "free_micros": job.free_micros,
            "charged_micros": job.charged_micros,
            "billed_seconds": job.billed_units,
        },
    }


def _lines(job: Job) -> list[dict[str, Any]]:
    """Of the price, and of what is free of it."""
    return [asdict(line) for line in Quote.from_json(job.quote).bill(job.free_micros)] if job.quote else []


def phases(events: Sequence[JobEvent]) -> list[dict[str, Any]]:
    """Each stretch between two steps of a job's road, in seconds to the millisecond, in order."""
    steps = [(_name(event), event.at) for event in events if _name(event)]
    return [
        {"phase": name, "seconds": round((later - at).total_seconds(), 3)}
        for (name, at), (_, later) in pairwise(steps)
        if name not in FINAL
    ]


def _name(event: JobEvent) -> str:
    """The step that begins with the event; empty for one that only tells of progress."""
    if event.type == "phase":
        return str(event.data["phase"])
    return "" if event.type in {"progress", "attempt_ended", "cancel_requested"} else event.type


def _inputs(job: Job) -> dict[str, Asset]:
    ids = {role: UUID(source["asset"]) for role, source in job.inputs.items() if "asset" in source}
    found = Asset.objects.for_org(job.organization).in_bulk(ids.values())
    return {role: found[pk] for role, pk in ids.items() if pk in found}


def _file(asset: Asset) -> dict[str, Any]:
    return {
        "id": str(asset.pk),
        "kind": asset.role or asset.kind,
        "sha256": asset.sha256,
        "bytes": asset.bytes,
        "duration_ms": asset.duration_ms,
        "width": asset.width,
        "height": asset.height,
    }
