"""A stored file."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from jobs.models import Asset
from jobs.moderation import verdicts
from jobs.storage.backend import SignedPut


def file(row: Asset, url: str) -> dict[str, Any]:
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
        "flagged": verdicts.flagged(row.moderation),
        "refusal": refusal(row),
        "url": url,
        "created_at": row.created_at.isoformat(),
    }


def refusal(row: Asset) -> dict[str, str] | None:
    return {name: row.refusal.get(name, "") for name in ("code", "message", "hint")} if row.refusal else None


def ticket(row: Asset, url: str, put: SignedPut, expires_at: datetime) -> dict[str, Any]:
    return {
        "object": "upload_ticket",
        "file": file(row, url),
        "upload": {"method": "PUT", "url": put.url, "headers": dict(put.headers)},
        "expires_at": expires_at.isoformat(),
    }
