"""A stored file."""

from __future__ import annotations

from typing import Any

from jobs.models import Asset


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
        "url": url,
        "created_at": row.created_at.isoformat(),
    }
