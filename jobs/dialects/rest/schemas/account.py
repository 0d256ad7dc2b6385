"""The organization's money."""

from __future__ import annotations

from billing.free_models import FreeUnit
from jobs.dialects.rest.schemas.parts import CURRENCY, MICROS, answer, component, listed, one_of, text

UNITS = {"type": "number", "minimum": 0}
FREE_UNITS = component(
    "FreeUnits",
    answer(
        "What is free of a model, once, before anything of it is paid.",
        model=text(80),
        unit=one_of(*FreeUnit.values),
        units={**UNITS, "description": "Free in all."},
        held={**UNITS, "description": "Taken by jobs that have not ended."},
        used={**UNITS, "description": "Used up."},
        left={**UNITS, "description": "Free for the next jobs."},
    ),
)

BALANCE = component(
    "Balance",
    answer(
        "What can be spent, and what is set aside for jobs that have not ended.",
        available_micros=MICROS,
        held_micros=MICROS,
        currency=CURRENCY,
        free=listed(FREE_UNITS),
    ),
)
