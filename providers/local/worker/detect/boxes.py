"""Boxes around a face: the face itself, and the part of the picture that a head or half-body shot shows.

Pure arithmetic.  A box is (left, top, right, bottom) in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Shot:
    """The frame of a shot: its shape, its width in face widths, and how far down in it the face's middle lies."""

    columns: int
    rows: int
    width: float
    face_at: float


SHOTS = {"1:1": Shot(1, 1, 2.5, 0.44), "3:4": Shot(3, 4, 3.0, 0.36)}
TALLER = 1.1  # a face box over the cascades' square one: they leave out the chin


def face_box(left: float, top: float, side: float, width: int, height: int) -> Box:
    """The face's box inside a picture of this size."""
    right, bottom = round(left + side), round(top + side * TALLER)
    return max(0, round(left)), max(0, round(top)), min(width, right), min(height, bottom)


def shot_box(face: Box, ratio: str, width: int, height: int) -> Box | None:
    """The largest frame of exactly this shape up to the shot's own size; None when the face does not fit into it."""
    shot = SHOTS[ratio]
    unit = min(
        round((face[2] - face[0]) * shot.width) // shot.columns, width // shot.columns, height // shot.rows
    )
    w, h = unit * shot.columns, unit * shot.rows
    left = _inside((face[0] + face[2]) / 2 - w / 2, w, width)
    top = _inside((face[1] + face[3]) / 2 - h * shot.face_at, h, height)
    box = (left, top, left + w, top + h)
    fits = box[0] <= face[0] and box[1] <= face[1] and box[2] >= face[2] and box[3] >= face[3]
    return box if fits else None


def _inside(start: float, length: int, whole: int) -> int:
    return max(0, min(round(start), whole - length))
