"""Finding the face to animate: several cascades vote, eyes and tone must agree, the largest face wins."""

# ruff: noqa: PLR2004 - thresholds of image and sound stand where they act, each with its meaning beside it
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import atan2, cos, hypot, radians, sin

import cv2
import numpy as np

from providers.local.worker.protocol import RenderError

from .arrays import AnyArray, Field, Picture
from .cascades import EYE_CASCADES, FACE_CASCADES, cascade

MIN_FACE_PX = 36  # width of the face in the customer's picture, in pixels; below it there is no mouth to open
MIN_FRAME_PX = 28  # width of the face in the film: below it nobody sees the mouth move
# Boxes are searched in small pictures first: (degrees of tilt, pixels of the longer side).  A cascade itself
# forgives about 10 degrees of tilt; a face in one of the later, costlier searches is small or tilted.
SEARCHES = ((0.0, 360), (0.0, 720), (-14.0, 420), (14.0, 420), (-28.0, 420), (28.0, 420))
DETAIL_SIDE = 720  # eyes are looked for in a picture of this size
MIN_SEARCH_PX = 28  # smallest window of the search
# Votes a box needs (see _votes; a clear portrait gets 6).  Blobs, foliage and text reach 3, but rarely as the
# main thing in the picture; turning the picture gives them more chances.
VOTES_WHEN_LARGE, VOTES = 3.5, 4.5
LARGE = 0.25  # of the longer side
# Frontal boxes of these cascades, in box widths: where eyes lie and how far they are apart (measured on
# portraits).
EYE_LINE, EYE_GAP = 0.385, 0.42


@dataclass(frozen=True)
class Face:
    """The face's own frame: origin between the eyes, unit the distance between them, turned by `roll`.

    `x`, `y` and `unit` are pixels of the picture it was found in, `roll` radians clockwise.  `eyes_found`
    tells whether the eyes were seen or only derived from the box.
    """

    x: float
    y: float
    unit: float
    roll: float
    eyes_found: bool

    def scaled(self, factor: float, shift_x: float = 0.0, shift_y: float = 0.0) -> Face:
        """The same face in a picture scaled by `factor` and then moved by a shift in pixels."""
        return replace(
            self, x=self.x * factor + shift_x, y=self.y * factor + shift_y, unit=self.unit * factor
        )

    def to_picture(self, x: Field, y: Field) -> tuple[Field, Field]:
        """Pixel coordinates of points given in the face's frame."""
        c, s = cos(self.roll) * self.unit, sin(self.roll) * self.unit
        return np.asarray(self.x + c * x - s * y, np.float32), np.asarray(self.y + s * x + c * y, np.float32)

    def from_picture(self, px: Field, py: Field) -> tuple[Field, Field]:
        """Coordinates in the face's frame of points given in pixels."""
        c, s = cos(self.roll) / self.unit, sin(self.roll) / self.unit
        dx, dy = px - self.x, py - self.y
        return np.asarray(c * dx + s * dy, np.float32), np.asarray(c * dy - s * dx, np.float32)

    @property
    def width(self) -> float:
        """Width in pixels of the face as cascades box it."""
        return self.unit / EYE_GAP


@dataclass(frozen=True)
class _Box:
    """A candidate on the (possibly turned) search picture."""

    x: float
    y: float
    side: float
    votes: float

    def enlarged(self, factor: float) -> _Box:
        """The same box in a larger picture."""
        return _Box(self.x * factor, self.y * factor, self.side * factor, self.votes)


def find_face(picture: Picture) -> Face:
    """The largest usable face.  Raises `RenderError` ``face_not_found``."""
    too_small = False
    detail, scale = _search_picture(picture, DETAIL_SIDE)
    for tilt, side in SEARCHES:
        faces = [face.scaled(1 / scale) for face in _faces_at(detail, tilt, side / DETAIL_SIDE)]
        usable = [face for face in faces if face.width >= MIN_FACE_PX]
        if usable:
            return max(usable, key=lambda face: face.unit)
        too_small = too_small or bool(faces)
    if too_small:
        raise _no_face(
            "The face in the picture is too small to animate.", "Crop the picture closer to the face."
        )
    raise _no_face(
        "No face was found in the picture.", "Use a picture that shows one face from the front, well lit."
    )


def find_faces(picture: Picture) -> list[Face]:
    """Every face that an upright look at two sizes sees, or else a tilted look; the largest first, none twice."""
    detail, scale = _search_picture(picture, DETAIL_SIDE)
    upright = [(tilt, side) for tilt, side in SEARCHES if tilt == 0]
    tilted = [[search] for search in SEARCHES if search not in upright]
    for searches in (upright, *tilted):
        faces: list[Face] = []
        for tilt, side in searches:
            for face in _faces_at(detail, tilt, side / DETAIL_SIDE):
                if all(hypot(face.x - known.x, face.y - known.y) > known.width / 2 for known in faces):
                    faces.append(face)
        if faces:
            return sorted((face.scaled(1 / scale) for face in faces), key=lambda face: -face.unit)
    return []


def _search_picture(picture: Picture, side: int) -> tuple[AnyArray, float]:
    """Greyscale of about `side` pixels, and its scale."""
    scale = min(side / max(picture.shape[:2]), 3.0)
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    gray = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    return cv2.resize(gray, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC), scale


def require_visible(face: Face, frame_scale: float) -> None:
    """Refuse a face that would be too small in the film; `frame_scale` is film pixels per picture pixel."""
    if face.width * frame_scale < MIN_FRAME_PX:
        raise _no_face("The face is too small within the picture.", "Crop the picture closer to the face.")


def _no_face(message: str, hint: str) -> RenderError:
    return RenderError("face_not_found", message, hint)


def _faces_at(detail: AnyArray, tilt: float, reduction: float) -> list[Face]:
    """Faces in a picture turned upright by `tilt` degrees; their boxes are searched at a `reduction` of its size."""
    height, width = detail.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), tilt, 1.0)
    turned = (
        detail
        if tilt == 0
        else cv2.warpAffine(detail, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    )
    back = cv2.invertAffineTransform(turn)
    small = cv2.resize(turned, None, fx=reduction, fy=reduction, interpolation=cv2.INTER_AREA)
    faces = []
    for box in (found.enlarged(1 / reduction) for found in _candidates(small)):
        eyes = _eyes(turned, box)
        large = tilt == 0 and box.side >= LARGE * max(detail.shape)
        if _votes(turned, box, eyes) >= (VOTES_WHEN_LARGE if large else VOTES):
            faces.append(_turned_back(_face(box, eyes), back, tilt))
    return faces


def _turned_back(face: Face, back: AnyArray, tilt: float) -> Face:
    x, y = back @ np.array([face.x, face.y, 1.0])
    return replace(face, x=float(x), y=float(y), roll=face.roll + radians(tilt))


def _candidates(gray: AnyArray) -> list[_Box]:
    """Boxes that cascades see, in the plain and in the equalised picture, merged; a vote for each that
    agrees.
    """
    boxes: list[_Box] = []
    for image, worth in ((gray, 1.0), (cv2.createCLAHE(2.0, (8, 8)).apply(gray), 0.5)):
        for place, name in enumerate(FACE_CASCADES):
            hits = cascade(name).detectMultiScale(image, 1.12, 4, minSize=(MIN_SEARCH_PX, MIN_SEARCH_PX))
            for hit in _centres(hits):
                _vote(boxes, hit, worth)
            if place == 1 and not boxes:
                break  # what two cascades both overlook cannot get enough votes
    return boxes


def _centres(hits: object) -> Iterator[tuple[float, float, float]]:
    for x, y, w, h in np.asarray(hits, np.float64).reshape(-1, 4):
        yield float(x + w / 2), float(y + h / 2), float(w)


def _vote(boxes: list[_Box], hit: tuple[float, float, float], worth: float) -> None:
    x, y, side = hit
    for index, box in enumerate(boxes):
        if hypot(x - box.x, y - box.y) < 0.25 * box.side and 0.7 < side / box.side < 1.43:
            share = worth / (box.votes + worth)
            x, y, side = (
                old + (new - old) * share for old, new in ((box.x, x), (box.y, y), (box.side, side))
            )
            boxes[index] = _Box(x, y, side, box.votes + worth)
            return
    boxes.append(_Box(x, y, side, worth))


def _votes(gray: AnyArray, box: _Box, eyes: list[tuple[float, float]]) -> float:
    """Up to 4.5 from the cascades, 1.5 for a pair of eyes, 0.5 for one; flat or noisy boxes lose all.

    Text, foliage and noise excite one cascade at a time; a face excites them all, or some and its eyes.
    """
    return box.votes + (0.0, 0.5, 1.5)[len(eyes)] if _is_smooth(gray, box) else 0.0


def _is_smooth(gray: AnyArray, box: _Box) -> bool:
    """Whether the box has contrast at the scale of a face rather than at the scale of a pixel."""
    half = box.side / 2
    top, left = max(0, int(box.y - half)), max(0, int(box.x - half))
    crop = gray[top : int(box.y + half), left : int(box.x + half)]
    if crop.size < 100:
        return False
    small = cv2.resize(crop, (48, 48), interpolation=cv2.INTER_AREA).astype(np.float32)
    broad = cv2.GaussianBlur(small, (0, 0), 2.0)
    return bool(broad.std() > 6 and broad.std() > 0.75 * (small - broad).std())


def _eyes(gray: AnyArray, box: _Box) -> list[tuple[float, float]]:
    """Centres of the left and right eye in the picture: two, or one, or none."""
    found: list[tuple[float, float]] = []
    for side in (-1, 1):
        centre = _eye_on_side(gray, box, side)
        if centre:
            found.append(centre)
    if len(found) == 2:
        gap = hypot(found[1][0] - found[0][0], found[1][1] - found[0][1])
        slope = abs(found[1][1] - found[0][1]) / max(gap, 1e-6)
        if not 0.28 * box.side < gap < 0.6 * box.side or slope > 0.35:
            return found[:1]
    return found


def _eye_on_side(gray: AnyArray, box: _Box, side: int) -> tuple[float, float] | None:
    left = int(box.x + (-0.46 if side < 0 else 0.0) * box.side)
    top, size = int(box.y - 0.32 * box.side), 0.46 * box.side
    left, top = max(left, 0), max(top, 0)
    crop = gray[top : top + int(size), left : left + int(size)]
    if min(crop.shape) < 8:
        return None
    zoom = max(1.0, 90 / min(crop.shape))
    crop = cv2.equalizeHist(cv2.resize(crop, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC))
    expected = np.array(
        [(box.x + side * EYE_GAP / 2 * box.side - left), box.y - (0.5 - EYE_LINE) * box.side - top]
    )
    best, best_far = None, 0.16 * box.side
    for name in EYE_CASCADES:
        for x, y, w, h in np.asarray(cascade(name).detectMultiScale(crop, 1.08, 3, minSize=(18, 18))).reshape(
            -1, 4
        ):
            centre = np.array([x + w / 2, y + h / 2]) / zoom
            far = float(np.hypot(*(centre - expected)))
            if far < best_far:
                best, best_far = (left + float(centre[0]), top + float(centre[1])), far
    return best


def _face(box: _Box, eyes: list[tuple[float, float]]) -> Face:
    if len(eyes) == 2:
        (lx, ly), (rx, ry) = eyes
        gap = hypot(rx - lx, ry - ly)
        return Face((lx + rx) / 2, (ly + ry) / 2, gap, atan2(ry - ly, rx - lx), eyes_found=True)
    return Face(box.x, box.y - (0.5 - EYE_LINE) * box.side, EYE_GAP * box.side, 0.0, eyes_found=False)
