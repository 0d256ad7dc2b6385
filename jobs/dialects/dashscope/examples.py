"""An order as the vendor's SDK places it; none where the vendor's words cannot say it."""

from __future__ import annotations

from collections.abc import Mapping
from pprint import pformat
from typing import Any

from jobs.dialects.dashscope.wire.models import SPOKEN, Spoken, name_of
from jobs.dialects.dashscope.wire.submissions import GRADES, RESOLUTIONS
from jobs.types import KEY, Example, Sample
from providers import catalogue

WIDTH = 88
CODE = """\
import dashscope
from dashscope import VideoSynthesis

dashscope.base_http_api_url = {base_url!r}
dashscope.api_key = "{key}"
task = VideoSynthesis.call(
    model={model!r},
    task="image2video",
    extra_input={input},
    {parameters}
)
print(task.output.results["video_url"])
"""
BOXES = ("face_bbox", "ext_bbox")
# The vendor's names of our sizes.
NAMES = {ours: theirs for theirs, ours in RESOLUTIONS.items()}
GRADE_NAMES = {ours: theirs for theirs, ours in GRADES.items()}


def examples(sample: Sample) -> list[Example]:
    options = {**catalogue.model(sample.model).defaults(), **sample.options}
    spoken = SPOKEN.get(name_of(sample.model, options))
    if spoken is None or spoken.slug != sample.model:
        return []
    given = {
        field: sample.addresses[role] for field, role in spoken.inputs.items() if role in sample.addresses
    }
    left = {name: value for name, value in options.items() if name not in spoken.options}
    given |= {name: left.pop(name) for name in (*BOXES, "prompt") if left.get(name)}
    parameters = _parameters(spoken, left)
    if parameters is None:
        return []
    code = CODE.format(
        base_url=f"{sample.base_url}/api/v1",
        key=KEY,
        model=spoken.name,
        input=pformat(given, width=WIDTH, sort_dicts=False).replace("\n", "\n    "),
        parameters="\n    ".join(f"{name}={value!r}," for name, value in parameters.items()),
    )
    return [Example("dashscope", "DashScope", code, needs="dashscope")]


def _parameters(spoken: Spoken, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """In the vendor's words; None where it has none for one of them."""
    left = {name: value for name, value in options.items() if value != ""}
    found: dict[str, Any] = {}
    resolution = left.pop("resolution", "480p")
    if spoken.slug == "wan-2.2-animate":
        found["mode"] = GRADE_NAMES[resolution]
    elif spoken.slug == "emo-v1":  # its boxes say the shape
        found["style_level"] = left.pop("style_level", "normal")
    else:
        found["resolution"] = NAMES[resolution]
    seed = left.pop("seed", -1)
    return None if left else found | ({"seed": seed} if seed != -1 else {})
