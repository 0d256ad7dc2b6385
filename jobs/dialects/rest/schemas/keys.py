"""API keys."""

from __future__ import annotations

from typing import Any

from accounts.scopes import SCOPES
from jobs.dialects.rest.schemas.parts import (
    A_TIME,
    COUNT,
    FLAG,
    TIME,
    UUID,
    answer,
    component,
    const,
    listed,
    nullable,
    one_of,
    page_of,
    request,
    text,
    whole,
)

MOST_MICROS = 2**53 - 1
LONGEST_OVERLAP = 30 * 24
OVERLAP = 24

SCOPE = component("Scope", one_of(*SCOPES))
_KEY = {
    "id": UUID,
    "object": const("api_key"),
    "name": text(120),
    "last4": {"type": "string", "description": "The end of the key, to tell keys apart."},
    "status": one_of("active", "expired", "revoked"),
    "scopes": listed(SCOPE),
    "expires_at": nullable(TIME),
    "allowed_networks": listed(text(50), description="From anywhere if empty."),
    "spend_cap_micros": nullable(COUNT),
    "spent_micros": {
        **COUNT,
        "description": "Charged so far, by this key and those that it replaced or that replaced it.",
    },
    "held_micros": {**COUNT, "description": "Set aside for jobs of theirs that have not ended."},
    "replaces": nullable({**UUID, "description": "The key that a rotation replaced by this one."}),
    "replaced_by": nullable(UUID),
    "current": {**FLAG, "description": "Whether it is the key of this very request."},
    "created_at": TIME,
    "last_used_at": nullable({**TIME, "description": "To the minute."}),
    "revoked_at": nullable(TIME),
}
KEY = component("ApiKey", answer("A programme's key; its text is never shown again.", **_KEY))
ISSUED = component(
    "IssuedApiKey",
    answer(
        "A new key with its text. Keep it: it is in this one answer and nowhere else.",
        **_KEY,
        key={"type": "string", "pattern": "^vr_[0-9A-Za-z]{49}$"},
    ),
)
KEYS = page_of(KEY, next=nullable(UUID))

_SETTINGS: dict[str, Any] = {
    "name": text(120, 1, description="Which programme uses it."),
    "scopes": listed(SCOPE, minItems=1, maxItems=len(SCOPES), description="None that the key you use lacks."),
    "expires_at": nullable({**A_TIME, "description": "When it ends; never if null."}),
    "allowed_networks": listed(
        text(50, 1), maxItems=50, description="Such as 203.0.113.0/24; from anywhere if empty."
    ),
    "spend_cap_micros": nullable(
        whole(0, MOST_MICROS, description="The most it may ever spend; without end if null.")
    ),
}
NEW = component("NewApiKey", request(required=["name", "scopes"], **_SETTINGS))
CHANGE = component("ApiKeyChange", request("What is left out stays as it is.", **_SETTINGS))
ROTATION = component(
    "Rotation",
    request(
        overlap_hours=whole(
            0,
            LONGEST_OVERLAP,
            default=OVERLAP,
            description="How long the old key works on, unless it would have ended sooner.",
        )
    ),
)
