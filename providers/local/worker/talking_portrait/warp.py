"""Smooth warps of rectangles: displacement fields on a coarse grid, layers looked up through them and laid
over.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .arrays import AnyArray, Field, Picture
from .face import Face

REFLECT = cv2.BORDER_REFLECT_101


@dataclass(frozen=True)
class Region:
    """A rectangle of the canvas, in pixels."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the region in an array of the canvas."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def within(self, other: Region) -> tuple[slice, slice]:
        """Index of the region in an array of another region that holds it."""
        rows = slice(self.top - other.top, self.bottom - other.top)
        return rows, slice(self.left - other.left, self.right - other.left)

    def coordinates(self) -> tuple[Field, Field]:
        """Pixel coordinates x and y of every pixel of the region."""
        x, y = np.meshgrid(np.arange(self.left, self.right), np.arange(self.top, self.bottom))
        return x.astype(np.float32), y.astype(np.float32)


def region_around(face: Face, box: tuple[float, float, float, float], width: int, height: int) -> Region:
    """The canvas rectangle that holds a box (left, top, right, bottom) of the face's frame."""
    x = np.array([box[0], box[2], box[0], box[2]], np.float32)
    y = np.array([box[1], box[1], box[3], box[3]], np.float32)
    px, py = face.to_picture(x, y)
    left, top = max(0, int(px.min())), max(0, int(py.min()))
    return Region(
        left, top, min(width, max(left + 2, int(px.max()) + 2)), min(height, max(top + 2, int(py.max()) + 2))
    )


class Warp:
    """Displacement fields of one region, on a coarse grid; a weighted sum of them becomes a full-size map."""

    def __init__(
        self, face: Face, region: Region, source: Region, fields: list[tuple[Field, Field]], step: int
    ) -> None:
        """Fields (dx, dy) are in the face's frame, per node of the region's grid; positions count from
        `source`.
        """
        self._size = (region.right - region.left, region.bottom - region.top)
        self._step = step
        x, y = grid_coordinates(region, step)
        self._still = np.dstack([x - source.left, y - source.top]).astype(np.float32)
        turned = []
        for dx, dy in fields:
            px, py = face.to_picture(dx, dy)
            turned.append(np.dstack([px - face.x, py - face.y]).ravel())
        self._basis = np.stack(turned).astype(np.float32)

    def map(self, weights: tuple[float, ...]) -> Field:
        """Where in the source to look, per pixel of the region: (height, width, 2), for cv2.remap."""
        moved = (np.asarray(weights, np.float32) @ self._basis).reshape(self._still.shape)
        return upsample(self._still + moved, self._step, self._size)


def grid_coordinates(region: Region, step: int) -> tuple[Field, Field]:
    """Pixel coordinates of the grid's nodes: cell middles, and one cell more beyond each edge."""
    columns = -(-(region.right - region.left) // step) + 2
    rows = -(-(region.bottom - region.top) // step) + 2
    x = region.left + (np.arange(columns) - 0.5) * step - 0.5
    y = region.top + (np.arange(rows) - 0.5) * step - 0.5
    gx, gy = np.meshgrid(x, y)
    return gx.astype(np.float32), gy.astype(np.float32)


def upsample(grid: Field, step: int, size: tuple[int, int]) -> Field:
    """Interpolate grid nodes, `step` pixels apart and one cell beyond each edge, to every pixel of `size`."""
    full = cv2.resize(grid, (grid.shape[1] * step, grid.shape[0] * step), interpolation=cv2.INTER_LINEAR)
    return np.asarray(full[step : step + size[1], step : step + size[0]], np.float32)


def look(source: AnyArray, where: Field, border: int = cv2.BORDER_REPLICATE) -> AnyArray:
    """Sample a picture or an alpha at mapped positions; by default its edge pixels continue outward."""
    seen: AnyArray = cv2.remap(source, where, np.empty(0, np.float32), cv2.INTER_LINEAR, borderMode=border)
    return seen


def over(top: AnyArray, bottom: AnyArray, alpha: Field) -> Picture:
    """The top picture laid over the bottom one where alpha (0..1) says so."""
    return np.asarray(cv2.blendLinear(top, bottom, alpha, 1 - alpha), np.uint8)
