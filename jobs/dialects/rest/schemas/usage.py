"""What was used."""

from __future__ import annotations

from billing.usage import GROUPS
from jobs.dialects.rest.schemas.parts import (
    COUNT,
    CURRENCY,
    DATE,
    MICROS,
    UUID,
    answer,
    component,
    const,
    listed,
    nullable,
    one_of,
    text,
)

GROUP = one_of(*GROUPS)
SECONDS = {"type": "number", "minimum": 0, "description": "Of video, as billed; pictures have none."}
_SUMS = {
    "jobs": {**COUNT, "description": "Jobs and picture checks that were charged."},
    "seconds": SECONDS,
    "micros": MICROS,
}
ROW = component(
    "UsageRow",
    answer(
        "What one day, model and key cost together. What is not grouped by is null.",
        day=nullable(DATE),
        model=nullable(text(80)),
        key=nullable({**UUID, "description": "Null also for what was done in the dashboard."}),
        key_name=nullable(text(120)),
        **_SUMS,
    ),
)
USAGE = component(
    "Usage",
    answer(
        "What was charged, to the micro-dollar as the ledger has it. Days are UTC; a job counts on the day it ended.",
        **{"object": const("usage"), "from": DATE, "to": DATE},
        group_by=listed(GROUP),
        currency=CURRENCY,
        data=listed(ROW),
        totals=component("UsageTotals", answer(**_SUMS)),
    ),
)
CSV = {
    "type": "string",
    "description": "A line of names, then a line for each entry: the columns that were grouped by (`key` with "
    "`key_name`), then `jobs`, `seconds`, `micros`.",
}
