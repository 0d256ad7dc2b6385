"""One update of a stream, whole on one line and in ASCII: readers split lines at more than line feeds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

NDJSON = "application/x-ndjson"
SSE = "text/event-stream"
ASKING_FOR_LINES = (NDJSON, "application/jsonl")


def form(accept: str) -> str:
    """The vendor's rule: lines for who asks for them, server-sent events for all others."""
    return NDJSON if any(name in accept.lower() for name in ASKING_FOR_LINES) else SSE


def line(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode("ascii") + b"\n"


def event(fields: Mapping[str, Any]) -> bytes:
    return b"event: update\ndata: " + line(fields) + b"\n"


DONE = b"event: done\ndata: {}\n\n"
