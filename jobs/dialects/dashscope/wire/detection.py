"""face-detect: what is asked, and a verdict as the vendor says it."""

from __future__ import annotations

from typing import Any

from jobs.detect import EMO, S2V
from jobs.dialects.dashscope.wire.faults import code_of, invalid
from jobs.dialects.dashscope.wire.models import SPOKEN, URL_ERROR
from jobs.dialects.dashscope.wire.submissions import Body
from providers.base import Verdict

FACE_DETECT = "/api/v1/services/aigc/image2video/face-detect"
SYNTHESIS = "/api/v1/services/aigc/image2video/video-synthesis"
DETECTORS = {"wan2.2-s2v-detect": S2V, "emo-detect-v1": EMO}
RATIOS = ("1:1", "3:4")


def asked(body: Body) -> tuple[str, str, str]:
    """Our detector, the picture, and the ratio of the shot."""
    detector = DETECTORS.get(body.model)
    if detector is None and body.model in SPOKEN:
        raise invalid(f"{URL_ERROR} {body.model} is served at {SYNTHESIS}.")
    if detector is None:
        raise invalid(f"Model not exist: {body.model[:100]!r}; known are {', '.join(DETECTORS)}.")
    ratio = body.choice(body.parameters, "ratio", RATIOS, default=RATIOS[0]) if detector == EMO else ""
    return detector, body.address("image_url"), ratio


def answer(detector: str, verdict: Verdict, request_id: str) -> dict[str, Any]:
    """The same shape for a refused picture, with the reason inside: the call itself has succeeded."""
    output: dict[str, Any] = {"check_pass": verdict.fit}
    if detector == S2V:
        output["humanoid"] = verdict.person
    if not verdict.fit:
        output |= {"code": code_of(verdict.code), "message": verdict.message}
    elif detector == EMO:
        boxes = {"face_bbox": verdict.face, "ext_bbox": verdict.frame}
        output |= {name: list(box) for name, box in boxes.items() if box}
    return {"output": output, "usage": {"image_count": 1}, "request_id": request_id}
