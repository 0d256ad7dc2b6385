"""Refusals, as RFC 9457 problems."""

from __future__ import annotations

from jobs.dialects.rest.errors import ERRORS
from jobs.dialects.rest.schemas.parts import answer, component, one_of, whole

_ALWAYS = answer(
    "A refusal. Nothing was changed and nothing is charged.",
    type={
        "type": "string",
        "format": "uri-reference",
        "description": "The code's place in the error catalogue.",
    },
    title={"type": "string"},
    status=whole(400, 599),
    detail={
        "type": "string",
        "description": "A sentence for a person: what is wrong, what would be accepted.",
    },
    code=one_of(*sorted(ERRORS)),
    retryable={"type": "boolean", "description": "Whether the very same request can succeed later."},
)

PROBLEM = component(
    "Problem",
    {
        **_ALWAYS,
        "properties": {
            **_ALWAYS["properties"],
            "field": {"type": "string", "description": "The parameter, header or input that it is about."},
        },
    },
)
