"""The organization's money."""

from __future__ import annotations

from jobs.dialects.rest.schemas.parts import CURRENCY, MICROS, answer, component

BALANCE = component(
    "Balance",
    answer(
        "What can be spent, and what is set aside for jobs that have not ended.",
        available_micros=MICROS,
        held_micros=MICROS,
        currency=CURRENCY,
    ),
)
