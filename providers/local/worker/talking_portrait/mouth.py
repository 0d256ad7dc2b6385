"""Opening the mouth: the lower lip and jaw go down, the upper lip a little up, corners move, and behind the
parted lips lies a painted interior.

Two layers are cut from the picture along the mouth line, each with its own smooth displacement; cut edges
carry alpha, so moving a layer moves its soft edge.  At rest the layers cover each other exactly and the
picture is unchanged.  All coordinates below are the face's frame (see `Face`); displacements are "where to
look" offsets.
"""

# ruff: noqa: PLR2004 - thresholds of image and sound stand where they act, each with its meaning beside it
from __future__ import annotations

import cv2
import numpy as np

from .arrays import Field, Picture, smoothstep
from .face import Face
from .interior import paint_back, paint_tongue
from .lips import CHIN_BELOW_LINE, Lips
from .motion import Pose
from .warp import REFLECT, Warp, grid_coordinates, look, over, region_around

JAW_DROP = 0.22  # lower lip's way down at full opening, in face units (about 14 mm on an adult)
LIP_RAISE = 0.045  # upper lip's way up
PRESS = 0.75  # share of visible teeth the lower lip covers when a voice closes the mouth
WIDEN, NARROW = 0.050, 0.085  # corners' way outward for "ee", inward for "oo"
TOOTHY_RAISE = 0.3  # a smile already lifts the upper lip: it has less way left
GRID_STEPS = 10  # displacement is computed on this many nodes per face unit, and interpolated


class Mouth:
    """Draws the lower face for a pose into a canvas; built once per picture."""

    def __init__(self, canvas: Picture, face: Face, lips: Lips) -> None:
        height, width = canvas.shape[:2]
        reach = (-1.35, lips.y - 0.62, 1.35, lips.y + CHIN_BELOW_LINE + 0.75)
        self.region = region_around(face, reach, width, height)
        side = lips.half_width * 1.5
        slot = (lips.x - side, lips.y - 0.48, lips.x + side, lips.y + 0.5)
        self._slot = region_around(face, slot, width, height)
        # Layers reach further than the slot, by as far as the slot may look outside itself.
        margin = (slot[0] - 0.1, slot[1] - JAW_DROP, slot[2] + 0.1, slot[3] + lips.teeth + 0.05)
        self._source = region_around(face, margin, width, height)
        self._raise = LIP_RAISE * (TOOTHY_RAISE if lips.teeth else 1.0)
        self._press = PRESS * lips.teeth
        self._skin = canvas[self.region.slices].copy()
        step = max(2, round(face.unit / GRID_STEPS))
        x, y = face.from_picture(*grid_coordinates(self.region, step))
        jaw, corners = _jaw(x, y, lips), _corners(x, y, lips)
        nothing = np.zeros_like(x)
        outside = np.where(y > lips.line_at(x), jaw, nothing)
        self._skin_warp = Warp(
            face, self.region, self.region, [(nothing, -outside), (-corners, nothing)], step
        )
        fine = max(2, step // 2)
        x, y = face.from_picture(*grid_coordinates(self._slot, fine))
        corners = -_corners(x, y, lips)
        zero = np.zeros_like(x)
        self._low_warp = Warp(
            face, self._slot, self._source, [(zero, -_jaw(x, y, lips)), (corners, zero)], fine
        )
        self._up_warp = Warp(
            face, self._slot, self._source, [(zero, _lift(x, y, lips)), (corners, zero)], fine
        )
        self._cut_layers(canvas, face, lips)

    def _cut_layers(self, canvas: Picture, face: Face, lips: Lips) -> None:
        x, y = face.from_picture(*self._source.coordinates())
        below = y - lips.line_at(x)
        soft = max(0.014, 0.8 / face.unit)
        source = canvas[self._source.slices]
        # The two alphas overlap around the line, so that at rest nothing shows through.
        self._low_alpha = smoothstep((below + soft) / soft)
        self._up_alpha = smoothstep((2 * soft - below) / soft)
        tongue, tongue_alpha = paint_tongue(source, x, below, lips)
        self._low, self._up = source.copy(), source.copy()
        self._tongue, self._tongue_alpha = tongue, tongue_alpha
        rows, columns = self._slot.within(self._source)
        self._back = np.ascontiguousarray(paint_back(source, x, below, lips)[rows, columns])

    def draw(self, canvas: Picture, pose: Pose) -> None:
        """Paint the region of `canvas` for the opening and width of a pose."""
        drop = self._drop(pose)
        width = pose.width * (WIDEN if pose.width > 0 else NARROW)
        skin = look(self._skin, self._skin_warp.map((drop, width)), REFLECT)
        canvas[self.region.slices] = skin
        if abs(drop) < 1e-4 and abs(width) < 1e-4:
            return
        canvas[self._slot.slices] = self._lips(pose.opening, drop, width)

    def _drop(self, pose: Pose) -> float:
        """Way of the lower lip: down to open; up over visible teeth where speech closes the mouth."""
        shut = max(0.0, 1 - pose.opening / 0.22) * pose.speaking
        return JAW_DROP * pose.opening - self._press * shut

    def _lips(self, opening: float, drop: float, width: float) -> Picture:
        low_map, up_map = self._low_warp.map((drop, width)), self._up_warp.map((self._raise * opening, width))
        inside = over(look(self._tongue, low_map), self._back, look(self._tongue_alpha, low_map))
        # Little light falls through lips that have only just parted.
        inside = np.asarray(cv2.convertScaleAbs(inside, alpha=0.5 + 0.5 * min(1.0, opening / 0.6)), np.uint8)
        image = over(look(self._up, up_map), inside, look(self._up_alpha, up_map))
        return over(look(self._low, low_map), image, look(self._low_alpha, low_map))


def _jaw(x: Field, y: Field, lips: Lips) -> Field:
    """How much of the jaw's way each point takes, for points on and below the line; above it, the line's
    share.
    """
    s = (x - lips.x) / lips.half_width
    below = np.maximum(y - lips.line_at(x), 0)
    lips_share = np.clip(1 - s * s, 0, 1) ** 1.1
    jaw_share = np.exp(-(((x - lips.x) / 0.74) ** 4))
    mix = smoothstep(below / 0.42)
    across = lips_share + (jaw_share - lips_share) * mix
    # The chin follows with 0.6 of the lip's way; the neck takes what is left and gives it back to the chest.
    chin = 0.4 * smoothstep(below / CHIN_BELOW_LINE)
    neck = 0.6 * smoothstep((below - 0.8 * CHIN_BELOW_LINE) / 0.55)
    down = 1 - chin - neck
    return np.asarray(across * down, np.float32)


def _lift(x: Field, y: Field, lips: Lips) -> Field:
    """How much of the upper lip's way each point takes: all of it at the line, none at the nose."""
    s = (x - lips.x) / lips.half_width
    above = np.maximum(lips.line_at(x) - y, 0)
    share = np.clip(1 - s * s, 0, 1) * (1 - smoothstep((above - lips.teeth) / 0.30))
    return np.asarray(share, np.float32)


def _corners(x: Field, y: Field, lips: Lips) -> Field:
    """Sideways way of each point when the mouth widens by one unit at the corners."""
    s = (x - lips.x) / lips.half_width
    rise = (y - lips.y + 0.05) / 0.34
    # s·exp(...) peaks with 1 at the corners (s = ±1) and dies out over the cheeks.
    return np.asarray(s * np.exp(0.5 - 0.5 * s * s) * np.exp(-0.5 * rise * rise), np.float32)
