"""Stored files."""

from __future__ import annotations

from jobs.dialects.rest.schemas.parts import (
    COUNT,
    TIME,
    UUID,
    answer,
    component,
    const,
    one_of,
    text,
)
from jobs.models import Asset

FILE = component(
    "File",
    answer(
        "An input, or an output of a job.",
        id=UUID,
        object=const("file"),
        kind=one_of(
            *("", "image", "audio", "video", "preview", "poster"),
            description="What it was found to be; of an output, what it is for. Empty before it was looked into.",
        ),
        status=one_of(*Asset.Status.values),
        filename=text(255),
        content_type=text(100),
        bytes=COUNT,
        sha256={"type": "string", "pattern": "^([0-9a-f]{64})?$"},
        duration_ms=COUNT,
        width=COUNT,
        height=COUNT,
        url={"type": "string", "format": "uri", "description": "Needs no key; valid for some days."},
        created_at=TIME,
    ),
)

UPLOAD = {
    "type": "object",
    "properties": {
        "file": {"type": "string", "contentMediaType": "application/octet-stream", "minLength": 1}
    },
    "required": ["file"],
}
