"""Webhook endpoints, what was sent to them, and what verifies it."""

from __future__ import annotations

from typing import Any

from jobs.dialects.rest.schemas.parts import (
    ANY_OBJECT,
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
from jobs.models import Delivery, WebhookEndpoint
from jobs.webhooks import DEFAULT_EVENTS, MAX_DESCRIPTION, MAX_OVERLAP, OVERLAP, PING, TYPES

A_SECRET = {"type": "string", "pattern": "^whsec_[A-Za-z0-9+/]+=*$"}

SECRET = component(
    "WebhookSecret",
    answer("The key that signs webhooks (Standard Webhooks, HMAC).", secret=A_SECRET),
)

TYPE = component("WebhookType", one_of(*TYPES, description="`*` is every one."))

_FIELDS: dict[str, Any] = {
    "url": text(2048, 1, description="Where the events are sent: http or https, on the public internet."),
    "description": text(MAX_DESCRIPTION, description="For your own eyes."),
    "events": listed(
        TYPE,
        minItems=1,
        maxItems=len(TYPES),
        description=f"What it is told of; without this, the ends of jobs: {', '.join(DEFAULT_EVENTS)}.",
    ),
    "enabled": {**FLAG, "description": "Switched off, it is told nothing, and what still waits is given up."},
}
ENDPOINT_ORDER = component("WebhookOrder", request(required=["url"], **_FIELDS))
ENDPOINT_CHANGE = component("WebhookChange", request(**_FIELDS))
ROTATION = component(
    "WebhookRotation",
    request(
        overlap_seconds=whole(
            0,
            int(MAX_OVERLAP.total_seconds()),
            description="How long messages are signed with the replaced secret as well; without this, "
            f"{int(OVERLAP.total_seconds())}.",
        )
    ),
)

_ENDPOINT: dict[str, Any] = {
    "id": UUID,
    "object": const("webhook"),
    "url": text(2048),
    "description": text(MAX_DESCRIPTION),
    "events": listed(TYPE),
    "enabled": FLAG,
    "disabled_at": nullable(TIME),
    "disabled_reason": nullable(
        one_of(*WebhookEndpoint.Reason.values, description="`customer`: by a call; the others: by us.")
    ),
    "failing_since": nullable(TIME),
    "previous_secret_until": nullable(TIME),
    "created_at": TIME,
}
ENDPOINT = component(
    "Webhook",
    answer("An address of yours that is told of your jobs, whatever API they came through.", **_ENDPOINT),
)
ENDPOINT_WITH_SECRET = component(
    "WebhookWithSecret",
    answer(
        "An endpoint and the secret that checks its messages, shown this once.", **_ENDPOINT, secret=A_SECRET
    ),
)
ENDPOINTS = component("Webhooks", answer(data=listed(ENDPOINT)))

_DELIVERY: dict[str, Any] = {
    "id": {**UUID, "description": "Without its hyphens, the `webhook-id` of every try."},
    "object": const("delivery"),
    "webhook": nullable({**UUID, "description": "Null where the job named its own address."}),
    "job": nullable(UUID),
    "event": nullable({"type": "integer", "minimum": 1, "description": "Its id in the feed of events."}),
    "type": one_of(*TYPES[1:], PING),
    "url": text(2048),
    "status": one_of(*Delivery.Status.values),
    "reason": nullable(one_of(*Delivery.Reason.values, description="Why it was given up.")),
    "tries": {**COUNT, "description": "Since it was made or replayed."},
    "last_status": nullable(COUNT),
    "next_try_at": nullable(TIME),
    "created_at": TIME,
    "finished_at": nullable(TIME),
}
DELIVERY = component("Delivery", answer("One message to one receiver.", **_DELIVERY))
DELIVERIES = component(
    "DeliveryPage",
    page_of(
        DELIVERY, next=nullable({**UUID, "description": "Give it as `after` to read on; null at the end."})
    ),
)
DELIVERY_FILTERS = {
    "status": one_of(*Delivery.Status.values, description="Only deliveries in this state."),
    "after": {**UUID, "title": "the id of a delivery", "description": "The `next` of the page before."},
}
TRY = component(
    "DeliveryTry",
    answer(
        "One request and what came of it.",
        at=TIME,
        status=nullable({**COUNT, "description": "Null where no answer came; `answer` then says why."}),
        answer=text(1000, description="The beginning of the receiver's answer."),
        duration_ms=COUNT,
    ),
)
DELIVERY_IN_FULL = component(
    "DeliveryInFull",
    answer(
        "A delivery with its message and the log of its tries.",
        **_DELIVERY,
        payload=nullable(
            {
                **ANY_OBJECT,
                "description": "As it would be sent now; addresses of files in it are fresh. Null where its secret "
                "can no longer be read: rotate it.",
            }
        ),
        log=listed(TRY),
    ),
)
