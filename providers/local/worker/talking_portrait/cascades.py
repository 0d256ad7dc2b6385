"""OpenCV's Haar cascades: loaded once, with a start-up check that the installed wheel still carries them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2

from providers.local.worker.protocol import RenderError

FACE_CASCADES = ("frontalface_default", "frontalface_alt", "frontalface_alt2")
EYE_CASCADES = ("eye_tree_eyeglasses", "eye")


@cache
def cascade(name: str) -> cv2.CascadeClassifier:
    """One cascade by its short name; raises `RenderError` ``engine_failed`` naming the pin when it is
    missing.
    """
    data = getattr(cv2, "data", None)  # OpenCV 5 wheels have neither the files nor the classifier
    path = Path(data.haarcascades if data else "", f"haarcascade_{name}.xml")
    if not path.is_file() or not hasattr(cv2, "CascadeClassifier"):
        raise RenderError(
            "engine_failed",
            f"The face finder is not installed (haarcascade_{name}.xml is missing).",
            "Install opencv-python-headless>=4.14,<5: wheels from 5 on carry no cascades.",
        )
    classifier = cv2.CascadeClassifier(str(path))
    if classifier.empty():
        raise RenderError(
            "engine_failed", f"The face finder's file {path} is damaged.", "Install OpenCV again."
        )
    return classifier


def check() -> None:
    """Load every cascade once, so that a wrong OpenCV is found before any work is done."""
    for name in (*FACE_CASCADES, *EYE_CASCADES):
        cascade(name)
