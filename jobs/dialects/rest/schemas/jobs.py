"""Orders, quotes, jobs and what happened to them."""

from __future__ import annotations

from billing.models import Unit
from jobs.dialects.rest.schemas.files import FILE
from jobs.dialects.rest.schemas.parts import (
    A_TIME,
    ANY_OBJECT,
    COUNT,
    CURRENCY,
    FLAG,
    MICROS,
    TIME,
    UUID,
    answer,
    component,
    const,
    listed,
    map_of,
    nullable,
    one_of,
    page_of,
    request,
    text,
)
from jobs.dialects.rest.wire.orders import MAX_TAG, MAX_TAGS
from jobs.states import AttemptStatus, Status
from providers import catalogue

STATUS = component("JobStatus", one_of(*Status.values, description="The last four are ends."))
INPUTS = map_of(
    {"type": ["string", "null"]},
    description="By role: the id of a file, its address here, or a public address. `GET /v1/models` tells the roles.",
)
FILTERS = {
    "status": one_of(*Status.values, description="Only jobs in this state."),
    "model": one_of(*catalogue.models(), description="Only jobs of this model."),
    "key": {**UUID, "title": "the id of an API key", "description": "Only jobs submitted with this API key."},
    "tag": text(MAX_TAG, 1, description="Only jobs with this very tag."),
    "created_after": {**A_TIME, "description": "Only jobs made at this time or later."},
    "created_before": {**A_TIME, "description": "Only jobs made before this time."},
    "after": {**UUID, "title": "the id of a job", "description": "The `next` of the page before."},
}
TAGS = listed(text(MAX_TAG, 1), maxItems=MAX_TAGS)

ORDER = component(
    "Order",
    request(
        required=["model"],
        model=text(64, description="The id of a model.", examples=["wan-2.2-s2v"]),
        inputs=INPUTS,
        options={"type": "object", "description": "Checked against the model's `options` schema."},
        webhook_url=text(2048, description="Told when the job ends."),
        tags={**TAGS, "description": "Words of your own, to find jobs by."},
        quote=text(8192, description="The `id` of a quote for this very order: the price is then that one."),
    ),
)

FREE = {
    **COUNT,
    "description": "How much of the price the model's free units cover, in millionths of a US dollar.",
}
LINE = component(
    "PriceLine",
    answer(text=text(500), units=COUNT, micros_per_unit=MICROS, total_micros=MICROS),
)

QUOTE = component(
    "Quote",
    answer(
        "A price that holds for `expires_in` seconds. An order with this `quote` is charged `payable_micros` at most.",
        object=const("quote"),
        id=text(8192),
        currency=CURRENCY,
        expires_in=COUNT,
        model=text(64),
        resolution=text(10),
        unit=one_of(*Unit.values),
        measured_ms=COUNT,
        billed_units=COUNT,
        micros_per_unit=MICROS,
        total_micros={**MICROS, "description": "The whole price, in millionths of a US dollar."},
        free_micros=FREE,
        payable_micros={**MICROS, "description": "What is left to pay: the lines add up to it."},
        lines=listed(LINE),
    ),
)

JOB_PRICE = component(
    "JobPrice",
    answer(
        "`charged_micros` is never above `quoted_micros` less `free_micros`; null until the job has ended.",
        currency=CURRENCY,
        quoted_micros=MICROS,
        free_micros=FREE,
        charged_micros=nullable(MICROS),
        billed_seconds=nullable(COUNT),
    ),
)

JOB_ERROR = component(
    "JobError",
    answer(
        "Why a job ended without a result. It was free.",
        code=text(64, 1),
        message=text(500),
        hint=text(300, description="What would help."),
        retryable={"type": "boolean", "description": "Whether the same order can succeed later."},
    ),
)

JOB = component(
    "Job",
    answer(
        "What was ordered, and what became of it.",
        id=UUID,
        object=const("job"),
        model=text(64),
        preview={"type": "boolean", "description": "Rendered by a preview engine, not by the model itself."},
        status=STATUS,
        phase=text(16, description="What is being done while it is running."),
        progress={"type": "number", "minimum": 0, "maximum": 1},
        detail={"type": "object", "description": "What else is known of the progress."},
        queue_position=nullable(
            {"type": "integer", "minimum": 1, "description": "While it is queued: 1 is next."}
        ),
        estimated_start_at=nullable(
            {**TIME, "description": "While it is queued, where it is known how fast its model was lately."}
        ),
        estimated_seconds=nullable(
            {
                **COUNT,
                "description": "Until it has ended: while it is queued (but not yet in the answer to the order), or "
                "rendering for a while. No promise.",
            }
        ),
        inputs=INPUTS,
        options=ANY_OBJECT,
        tags=TAGS,
        price=JOB_PRICE,
        outputs=listed(FILE),
        error=nullable(JOB_ERROR),
        created_at=TIME,
        started_at=nullable(TIME),
        finished_at=nullable(TIME),
    ),
)

JOBS = component(
    "JobPage",
    page_of(JOB, next=nullable({**UUID, "description": "Give it as `after` to read on; null at the end."})),
)

EVENT = component(
    "Event",
    answer(
        "Something that happened to a job.",
        id={"type": "integer", "minimum": 1},
        object=const("event"),
        job=UUID,
        type=text(32, 1),
        at=TIME,
        data=ANY_OBJECT,
    ),
)

EVENTS = component("EventPage", page_of(EVENT))

FEED = component(
    "Feed",
    page_of(
        EVENT, next={"type": "string", "description": "Give it as `after` in the next call, also later."}
    ),
)

RECEIPT_FILE = component(
    "ReceiptFile",
    answer(
        id=UUID,
        kind=text(16),
        sha256=text(64),
        bytes=COUNT,
        duration_ms=COUNT,
        width=COUNT,
        height=COUNT,
    ),
)

RECEIPT = component(
    "Receipt",
    answer(
        "What a job was made of and what it cost.",
        object=const("receipt"),
        job=UUID,
        model=text(64),
        preview=FLAG,
        options=ANY_OBJECT,
        inputs=map_of(RECEIPT_FILE, description="By role."),
        outputs=listed(RECEIPT_FILE),
        attempts=listed(
            answer(
                number={"type": "integer", "minimum": 1},
                status=one_of(*AttemptStatus.values),
                error_code=text(64),
            )
        ),
        phases=listed(answer(phase=text(32, 1), seconds={"type": "number", "minimum": 0})),
        price=answer(
            currency=CURRENCY,
            lines=listed(LINE),
            quoted_micros=MICROS,
            free_micros=FREE,
            charged_micros=nullable(MICROS),
            billed_seconds=nullable(COUNT),
        ),
    ),
)
