"""Webhooks."""

from __future__ import annotations

from jobs.dialects.rest.schemas.parts import answer, component

SECRET = component(
    "WebhookSecret",
    answer(
        "The key that signs webhooks (Standard Webhooks, HMAC).",
        secret={"type": "string", "pattern": "^whsec_[A-Za-z0-9+/]+=*$"},
    ),
)
