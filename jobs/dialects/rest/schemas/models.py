"""What can be ordered."""

from __future__ import annotations

from billing.models import Unit
from jobs.dialects.rest.schemas.parts import (
    COUNT,
    FLAG,
    MICROS,
    answer,
    component,
    const,
    listed,
    map_of,
    nullable,
    one_of,
    text,
)

INPUT = component(
    "ModelInput",
    answer(
        "What a model takes in one role.",
        kind=one_of("image", "audio", "video"),
        required=FLAG,
        description=text(500),
        max_seconds=nullable({"type": "integer", "minimum": 1}),
    ),
)

PRICE = component(
    "Price",
    answer(
        "The price of a unit, and between how many units a video is billed.",
        resolution=text(10),
        unit=one_of(*Unit.values),
        micros_per_unit=MICROS,
        min_units=COUNT,
        max_units=COUNT,
    ),
)

MODEL = component(
    "Model",
    answer(
        "Something that can be ordered.",
        id=text(64),
        object=const("model"),
        name=text(100),
        description=text(1000),
        preview={
            "type": "boolean",
            "description": "Only a preview engine serves it here: the result shows the motion, not the quality.",
        },
        inputs=map_of(INPUT, description="By role."),
        options={"type": "object", "description": "JSON Schema of an order's `options`."},
        prices=listed(PRICE),
    ),
)

MODELS = component("ModelList", answer(data=listed(MODEL)))
