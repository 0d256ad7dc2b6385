"""Stored files."""

from __future__ import annotations

from jobs.dialects.rest.schemas.parts import (
    COUNT,
    TIME,
    UUID,
    answer,
    component,
    const,
    map_of,
    nullable,
    one_of,
    page_of,
    request,
    text,
    whole,
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
        flagged={
            "type": ["boolean", "null"],
            "description": "What the content check found in a picture or a film; null where none was made.",
        },
        refusal=nullable(
            component(
                "FileRefusal",
                answer(
                    "Why a file cannot be used, and what would help.",
                    code=text(64),
                    message=text(500),
                    hint=text(300),
                ),
            )
        ),
        url={"type": "string", "format": "uri", "description": "Needs no key; valid for some days."},
        created_at=TIME,
    ),
)

FILES = page_of(FILE, next=nullable(UUID))

ANNOUNCED = component(
    "FileAnnouncement",
    request(
        required=["filename", "bytes"],
        filename=text(255, 1),
        bytes=whole(1, 2**40, description="The file's length; the address takes exactly as much."),
        content_type=text(100, description="Such as image/png; what counts in the end is the content."),
        sha256={"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "Held against the content."},
    ),
)
TICKET = component(
    "UploadTicket",
    answer(
        "Where to send a file: once, by this method, to this address, with exactly these headers and no key.",
        object=const("upload_ticket"),
        file=FILE,
        upload=component(
            "Upload",
            answer(
                method=const("PUT"),
                url={"type": "string", "format": "uri"},
                headers=map_of({"type": "string"}),
            ),
        ),
        expires_at=TIME,
    ),
)

UPLOAD = {
    "type": "object",
    "properties": {
        "file": {"type": "string", "contentMediaType": "application/octet-stream", "minLength": 1}
    },
    "required": ["file"],
}
