"""Blinking: the skin above each eye slides down over it, lashes first, and stretches as a lid does."""

# ruff: noqa: PLR2004 - thresholds of image and sound stand where they act, each with its meaning beside it
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .arrays import AnyArray, Field, Picture, smoothstep
from .face import Face
from .motion import Pose
from .warp import REFLECT, Warp, grid_coordinates, look, over, region_around

DOTS = 100  # close-up pixels per face unit
HALF_WIDTH = 0.25  # of the eye's slit, in face units
USUAL_TOP, USUAL_BOTTOM = -0.085, 0.080  # lid edges above and below the pupil, in face units
NEAREST, FARTHEST = 0.035, 0.17  # where a lid edge may lie
FARTHEST_DRAWN = 0.22  # in drawings
MIN_SLOPE = 0.5  # lightness steps per close-up pixel; flatter than this is no edge
OUTLINE = 40.0  # lightness steps by which a drawn outline is darker than the white inside it
LID_SKIN = 0.14  # face units between lid edge and brow: the skin that stretches while the lid comes down


@dataclass(frozen=True)
class Eye:
    """Pupil and lid edges of one eye in the face's frame; `top` and `bottom` are relative to the pupil."""

    x: float
    y: float
    top: float
    bottom: float

    def lens(self, x: Field) -> Field:
        """Height profile over the slit: 1 at the pupil, 0 beyond the corners."""
        s = (x - self.x) / HALF_WIDTH
        return np.asarray(np.clip(1 - s * s, 0, 1) ** 0.8, np.float32)


def find_eyes(picture: Picture, face: Face) -> tuple[Eye, ...]:
    """Both eyes as the picture shows them; none where the face was found without its eyes."""
    return tuple(_measure(picture, face, side) for side in (-0.5, 0.5)) if face.eyes_found else ()


def _measure(picture: Picture, face: Face, side: float) -> Eye:
    x, y = np.meshgrid(np.arange(side - 0.3, side + 0.3, 1 / DOTS), np.arange(-0.28, 0.28, 1 / DOTS))
    px, py = face.to_picture(x.astype(np.float32), y.astype(np.float32))
    close = cv2.cvtColor(look(picture, np.dstack([px, py]), REFLECT), cv2.COLOR_BGR2GRAY)
    light = cv2.GaussianBlur(close.astype(np.float32), (0, 0), 1.5)
    # The iris is the darkest disc near the expected place.
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (13, 13)).astype(np.float32)
    prior = 1400 * ((x - side) ** 2 + 1.6 * y**2)
    row, column = np.unravel_index(
        int((cv2.filter2D(light, -1, disc / disc.sum()) + prior).argmin()), light.shape
    )
    profile = light[:, max(0, column - 7) : column + 8].mean(axis=1)
    top = _edge(profile[: row + 1][::-1], USUAL_TOP)
    bottom = _edge(profile[row:], USUAL_BOTTOM)
    return Eye(float(x[row, column]), float(y[row, column]), -top, bottom)


def _edge(profile: AnyArray, usual: float) -> float:
    """Distance from the pupil to the lid edge: the steepest brightening outward, near where edges usually
    are.

    A dark outline beyond it says that the edge was only the iris's, in eyes as large as drawings have.
    """
    distance = np.arange(profile.size) / DOTS
    likely = np.gradient(profile) * np.exp(-0.5 * ((distance - abs(usual)) / 0.04) ** 2)
    likely[(distance < NEAREST) | (distance > FARTHEST)] = 0
    best = int(likely.argmax())
    if likely[best] < MIN_SLOPE:
        return abs(usual)
    beyond = profile[best : round(FARTHEST_DRAWN * DOTS)]
    outline = np.flatnonzero(np.maximum.accumulate(beyond) - beyond > OUTLINE)
    return float(distance[best + (int(outline[-1]) if outline.size else 0)])


class Lid:
    """Draws one eyelid into a canvas; built once per eye and picture."""

    def __init__(self, canvas: Picture, face: Face, eye: Eye) -> None:
        height, width = canvas.shape[:2]
        reach = HALF_WIDTH * 1.25
        box = (eye.x - reach, eye.y + eye.top - LID_SKIN * 1.2, eye.x + reach, eye.y + eye.bottom + 0.08)
        self._region = region_around(face, box, width, height)
        self._eye = canvas[self._region.slices].copy()
        step = max(2, round(face.unit / 14))
        x, y = face.from_picture(*grid_coordinates(self._region, step))
        way = (eye.bottom - eye.top) * 1.06 * eye.lens(x)
        # From nothing under the brow to the whole way at the lower lid: the skin between unfolds evenly.
        skin = np.clip(
            (y - (eye.y + eye.top * eye.lens(x)) + LID_SKIN) / (LID_SKIN + np.maximum(way, 0.02)), 0, 1
        )
        fall = np.asarray(-way * skin, np.float32)
        self._warp = Warp(face, self._region, self._region, [(np.zeros_like(x), fall)], step)
        x, y = face.from_picture(*self._region.coordinates())
        soft = max(0.016, 0.8 / face.unit)
        # The lid's edge takes a little of the lash line with it.
        below = y - (eye.y + eye.top * eye.lens(x) + 0.02)
        self._alpha = smoothstep((soft - below) / soft)

    def draw(self, canvas: Picture, pose: Pose) -> None:
        """Paint the lid for a pose, 0 open to 1 shut."""
        if pose.blink < 0.02:
            canvas[self._region.slices] = self._eye
            return
        where = self._warp.map((pose.blink,))
        canvas[self._region.slices] = over(look(self._eye, where), self._eye, look(self._alpha, where))
