"""A look at a picture."""

from __future__ import annotations

from typing import Any

from jobs.detect import EMO, S2V, Look

DETECTORS = {"wan-2.2-s2v": S2V, "emo-v1": EMO}


def detection(model: str, look: Look) -> dict[str, Any]:
    found = look.verdict
    return {
        "object": "detection",
        "model": model,
        "fit": found.fit,
        "person": found.person,
        "reason": None if found.fit else {"code": found.code, "message": found.message},
        "face": list(found.face) if found.face else None,
        "frame": list(found.frame) if found.frame else None,
        "price": {"currency": "USD", "charged_micros": look.charged_micros},
    }
