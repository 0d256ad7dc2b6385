"""From a pose to a frame: the face is drawn into a larger canvas, and the canvas is seen through a gentle
sway.

The canvas has `OVERSAMPLE` times the film's resolution, so that moving it by fractions of a pixel keeps it
sharp with plain linear sampling.
"""

from __future__ import annotations

import cv2
import numpy as np

from .arrays import AnyArray, Field, Picture, smoothstep
from .eyes import Lid, find_eyes
from .face import Face, find_face, require_visible
from .lips import find_lips
from .motion import Pose
from .mouth import Mouth
from .plan import Plan
from .warp import REFLECT, Region, grid_coordinates, look, upsample

OVERSAMPLE = 1.5
GRID_CELLS = 56  # nodes of the sway's grid along the longer side
# How far things move at most, in face units (the distance between the eyes, 63 mm on an adult) and radians.
SHIFT_X, SHIFT_Y, ROLL, YAW, PITCH, BREATH, BROWS = 0.045, 0.030, 0.022, 0.050, 0.035, 0.022, 0.022
REACHES = (SHIFT_X, SHIFT_Y, ROLL, YAW, PITCH, BREATH, BROWS)
STILL = 0.03  # pixels: what moves less stands still
NECK = 1.9  # face units below the eyes: the head turns about this point


class Stage:
    """Everything about one picture that stays the same from frame to frame."""

    def __init__(self, picture: Picture, plan: Plan) -> None:
        """Find the face and prepare its layers; raises `RenderError` ``face_not_found``."""
        found = find_face(picture)
        self._canvas, scale, left, top = _canvas(picture, plan)
        require_visible(found, scale / OVERSAMPLE)
        face = found.scaled(scale, -left, -top)
        self.face = face.scaled(1 / OVERSAMPLE)
        lips, eyes = find_lips(picture, found), find_eyes(picture, found)
        self._lids = [Lid(self._canvas, face, eye) for eye in eyes]
        self._mouth = Mouth(self._canvas, face, lips)
        whole = Region(0, 0, plan.width, plan.height)
        self._moving = _moving_region(self.face, whole)
        self._sway = _Sway(self.face, self._moving)
        self._still = look(self._canvas, _Sway(self.face, whole).map(None), REFLECT)

    def frame(self, pose: Pose) -> Picture:
        """The frame (height, width, 3) for a pose; depends on nothing else."""
        for lid in self._lids:
            lid.draw(self._canvas, pose)
        self._mouth.draw(self._canvas, pose)
        frame = self._still.copy()
        frame[self._moving.slices] = look(self._canvas, self._sway.map(pose), REFLECT)
        return frame


def _canvas(picture: Picture, plan: Plan) -> tuple[Picture, float, float, float]:
    """The picture scaled to cover the frame, oversampled, and cut in the middle; with scale and cut."""
    width, height = round(plan.width * OVERSAMPLE), round(plan.height * OVERSAMPLE)
    scale = max(width / picture.shape[1], height / picture.shape[0])
    size = (max(width, round(picture.shape[1] * scale)), max(height, round(picture.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LANCZOS4
    whole = cv2.resize(picture, size, interpolation=method)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return np.ascontiguousarray(whole[top : top + height, left : left + width]), scale, left, top


class _Sway:
    """Where each pixel of a region looks in the canvas, for the movement of head, brows and chest."""

    def __init__(self, face: Face, region: Region) -> None:
        self._size = (region.right - region.left, region.bottom - region.top)
        self._step = max(4, -(-max(self._size) // GRID_CELLS))
        px, py = grid_coordinates(region, self._step)
        self._nodes = np.dstack([px, py]).astype(np.float32)
        self._basis = _sway_basis(face, px, py)

    def map(self, pose: Pose | None) -> Field:
        """Canvas coordinates (height, width, 2) for every pixel of the region; at rest without a pose."""
        nodes = self._nodes
        if pose:
            nodes = nodes - (_weights(pose) @ self._basis).reshape(nodes.shape)
        # Pixel middles: film pixel p lies at canvas pixel (p + 0.5) * OVERSAMPLE - 0.5.
        return upsample((nodes + 0.5) * OVERSAMPLE - 0.5, self._step, self._size)


def _weights(pose: Pose) -> Field:
    shares = (pose.shift_x, pose.shift_y, pose.roll, pose.yaw, pose.pitch, pose.breath, pose.brows)
    return np.array([reach * share for reach, share in zip(REACHES, shares, strict=True)], np.float32)


def _sway_basis(face: Face, px: Field, py: Field) -> Field:
    """Displacement in pixels of each node for one unit of each movement: (movements, nodes * 2)."""
    x, y = face.from_picture(px, py)
    fields = [face.to_picture(dx, dy) for dx, dy in _sway_fields(x, y)]
    return np.stack([np.dstack([dx - face.x, dy - face.y]).ravel() for dx, dy in fields])


def _moving_region(face: Face, whole: Region) -> Region:
    """The part of the frame that the sway, the mouth or a blink can reach; the rest is rendered once."""
    step = 8
    px, py = grid_coordinates(whole, step)
    reach = np.abs(_sway_basis(face, px, py)) * np.asarray(REACHES, np.float32)[:, None]
    moved = reach.sum(axis=0).reshape(*px.shape, 2).max(axis=2) > STILL
    rows, columns = np.flatnonzero(moved.any(axis=1)), np.flatnonzero(moved.any(axis=0))
    return Region(
        max(0, int(px[0, columns[0]]) - step),
        max(0, int(py[rows[0], 0]) - step),
        min(whole.right, int(px[0, columns[-1]]) + step),
        min(whole.bottom, int(py[rows[-1], 0]) + step),
    )


def _sway_fields(x: Field, y: Field) -> list[tuple[Field, Field]]:
    """Displacement of each point of the face's frame for one unit of each movement, in the order of the
    weights.
    """
    nothing = np.zeros_like(x)
    # 1 on the head, fading to 0 about one head away, so that the background stands still.
    far = np.sqrt((x / 1.25) ** 2 + ((y - 0.35) / 1.75) ** 2)
    head = 1 - smoothstep((far - 0.75) / 1.5)
    # A face is a bulge: its middle moves more than its rim when it turns.
    bulge = np.asarray(np.exp(-((x / 0.95) ** 2) - ((y - 0.45) / 1.2) ** 2), np.float32)
    chest = smoothstep((y - 1.5) / 1.8) * np.exp(-((x / 3.2) ** 4)).astype(np.float32)
    brow = np.exp(-((x / 0.8) ** 4) - ((y + 0.36) / 0.20) ** 2).astype(np.float32)
    return [
        (head, nothing),
        (nothing, head),
        (np.asarray(-head * (y - NECK), np.float32), np.asarray(head * x, np.float32)),
        (bulge, nothing),
        (nothing, bulge),
        (np.asarray(0.25 * chest * x, np.float32), -chest),
        (nothing, -brow),
    ]


def to_yuv(frame: AnyArray) -> AnyArray:
    """Planar YUV 4:2:0 of a frame, BT.601 at limited range, (height * 3 / 2, width)."""
    planes: AnyArray = cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420)
    return planes
