"""The vendor's model names and ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

URL_ERROR = "url error, please check url！"  # noqa: RUF001  the vendor's own sentence, which clients look for


@dataclass(frozen=True)
class Spoken:
    """A model as the vendor speaks of it: our slug, the input fields by role, and the options its name implies."""

    name: str
    slug: str
    inputs: Mapping[str, str]
    options: Mapping[str, str] = field(default_factory=dict)
    parameters_required: bool = False


_S2V = {"image_url": "image", "audio_url": "audio"}
_ANIMATE = {"image_url": "image", "video_url": "video"}
SPOKEN = {
    spoken.name: spoken
    for spoken in (
        Spoken("wan2.2-s2v", "wan-2.2-s2v", _S2V),
        Spoken("emo-v1", "emo-v1", _S2V),
        Spoken("wan2.2-animate-move", "wan-2.2-animate", _ANIMATE, {"mode": "animate"}, True),
        Spoken("wan2.2-animate-mix", "wan-2.2-animate", _ANIMATE, {"mode": "replace"}, True),
    )
}


def name_of(slug: str, options: Mapping[str, object]) -> str:
    """What the vendor calls the model of a job; our own slug where it knows no such model."""
    for spoken in SPOKEN.values():
        if spoken.slug == slug and all(options.get(name) == value for name, value in spoken.options.items()):
            return spoken.name
    return slug
