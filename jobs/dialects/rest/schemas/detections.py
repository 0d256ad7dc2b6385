"""Is a picture fit for a model?"""

from __future__ import annotations

from jobs.dialects.rest.schemas.parts import (
    COUNT,
    CURRENCY,
    FLAG,
    NO_NUL,
    answer,
    component,
    const,
    listed,
    nullable,
    one_of,
    request,
    text,
)

MODELS = ("wan-2.2-s2v", "emo-v1")
RATIOS = ("1:1", "3:4")
MODEL = one_of(*MODELS)
BOX = listed({"type": "integer"}, minItems=4, maxItems=4, description="Left, top, right, bottom, in px.")

CHECK = component(
    "PictureCheck",
    request(
        required=["image"],
        image={
            "type": "string",
            "minLength": 1,
            "pattern": NO_NUL,
            "description": "The id of a file, its address here, a public address, or a `data:` address.",
        },
        model={**MODEL, "default": MODELS[0], "description": "For which model it must be fit."},
        ratio=one_of(*RATIOS, default=RATIOS[0], description="Of the shot; for emo-v1 only."),
    ),
)
DETECTION = component(
    "Detection",
    answer(
        "What a look at a picture found.",
        object=const("detection"),
        model=MODEL,
        fit={**FLAG, "description": "Whether a video can be made from it."},
        person={**FLAG, "description": "Whether somebody is in it, fit or not."},
        reason=nullable(
            component(
                "DetectionReason",
                answer("Why it is not fit, and what would be.", code=text(64), message=text(500)),
            )
        ),
        face=nullable(BOX),
        frame=nullable({**BOX, "description": "The part around the face that a shot of the ratio shows."}),
        price=component("DetectionPrice", answer(currency=CURRENCY, charged_micros=COUNT)),
    ),
)
