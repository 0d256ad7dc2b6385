"""The mouth line, read from the picture: where the lower lip begins, how wide the mouth is, whether teeth
show.

Everything happens in an upright close-up of the lower face, sampled at `DOTS` pixels per unit of the face's
frame.
"""

# ruff: noqa: PLR2004 - thresholds of image and sound stand where they act, each with its meaning beside it
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .arrays import AnyArray, Field, Picture
from .face import Face
from .warp import look

DOTS = 100  # close-up pixels per face unit (the distance between the eyes)
LEFT, RIGHT, TOP, BOTTOM = -0.8, 0.8, 0.55, 1.75  # the close-up's edges in face units
# Average adult proportions in face units, used where the picture gives no better answer.
USUAL_LINE, LINE_SPREAD = 1.06, 0.15
USUAL_HALF_WIDTH, NARROWEST, WIDEST = 0.42, 0.26, 0.60
CHIN_BELOW_LINE = 0.70
MIN_VALLEY = 5.0  # lightness steps (of 255) by which a mouth line is darker than its surroundings
USUAL_CONTRAST = 90.0  # lightness steps between the dark and the bright of a lower face
COLOURLESS = 6.0  # steps of Lab a*: less than this is a picture without colour
TOOTH_REDNESS = 5.0  # steps of Lab a* by which lips are redder than the teeth between them


@dataclass(frozen=True)
class Lips:
    """Mouth geometry in the face's frame.

    `x` is the middle, `half_width` the reach to either corner; `line` holds the cubic (highest power first)
    of the lower lip's upper edge over s = (X - x) / half_width; `teeth` is the height of what shows between
    the lips. `measured` tells a reading from the average.
    """

    x: float
    half_width: float
    line: tuple[float, float, float, float]
    teeth: float
    measured: bool

    def line_at(self, x: Field) -> Field:
        """Y of the lower lip's upper edge at face coordinates X; level beyond the corners."""
        s = np.clip((x - self.x) / self.half_width, -1.15, 1.15)
        return np.asarray(np.polyval(self.line, s), np.float32)

    @property
    def y(self) -> float:
        """Y of the line in the middle."""
        return self.line[3]


def find_lips(picture: Picture, face: Face) -> Lips:
    """Read the mouth from the picture, or fall back on average proportions."""
    closeup = _closeup(picture, face)
    light, red = _tones(closeup)
    thin, thick = _valley(light, 15), _valley(light, 29)
    valley = np.maximum(thin, 0.8 * thick)
    path = _darkest_path(thin + 0.5 * thick + 1.5 * np.clip(red - np.median(red), 0, 12))
    columns = np.arange(valley.shape[1])
    depth = cv2.GaussianBlur(_near_path(valley, path), (1, 9), 0).ravel()
    middle, half_width = _corners(depth)
    inside = np.abs(_x(columns) - middle) < half_width * 0.95
    if float(np.median(depth[inside])) < MIN_VALLEY:
        return Lips(0.0, USUAL_HALF_WIDTH, (0.0, 0.0, 0.0, USUAL_LINE), 0.0, measured=False)
    # A gap between open lips is a thick valley, cut at its lower edge; a line between closed ones is cut in
    # two.
    gap = np.where(thin > 0.25 * thick, 0, thick)
    edge, teeth = _lower_edge(light, red, gap, path, np.abs(_x(columns) - middle) < half_width * 0.7)
    line = _fit(edge, depth, inside, middle, half_width)
    return Lips(middle, half_width, line, teeth / DOTS, measured=True)


def _closeup(picture: Picture, face: Face) -> Picture:
    x, y = np.meshgrid(np.arange(LEFT, RIGHT, 1 / DOTS), np.arange(TOP, BOTTOM, 1 / DOTS))
    px, py = face.to_picture(x.astype(np.float32), y.astype(np.float32))
    source = picture
    if face.unit > 1.5 * DOTS:  # the close-up is a reduction: blur first, as a reduction must
        source = np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.4 * face.unit / DOTS), np.uint8)
    return look(source, np.dstack([px, py]))


def _tones(closeup: Picture) -> tuple[Field, Field]:
    """Lightness and redness, in Lab steps of a picture with ordinary contrast.

    Without colour, what is darker than skin counts as redder: lips against teeth in a black and white
    photograph.
    """
    lab = cv2.cvtColor(closeup, cv2.COLOR_BGR2LAB).astype(np.float32)
    light = cv2.GaussianBlur(lab[..., 0], (0, 0), 1.5)
    red = cv2.GaussianBlur(lab[..., 1], (0, 0), 2.0)
    dark, bright = np.percentile(light, (5, 95))
    gain = float(np.clip(USUAL_CONTRAST / max(bright - dark, 1), 1, 4))
    if float(np.percentile(red, 99) - np.percentile(red, 1)) * gain < COLOURLESS:
        red = 0.25 * (float(np.median(light)) - cv2.GaussianBlur(lab[..., 0], (0, 0), 2.0))
    return light * gain, red * gain


def _x(column: AnyArray) -> AnyArray:
    return LEFT + column / DOTS


def _valley(light: Field, reach: int) -> Field:
    """How much darker a pixel is than what lies above and below it within `reach` pixels."""
    closed = cv2.morphologyEx(light, cv2.MORPH_CLOSE, np.ones((reach, 1), np.uint8))
    return np.asarray(closed - light, np.float32)


def _darkest_path(evidence: Field) -> AnyArray:
    """Row of the mouth line in every column: the best smooth path from side to side (dynamic programming)."""
    rows, columns = evidence.shape
    y, x = TOP + np.arange(rows) / DOTS, np.abs(_x(np.arange(columns)))
    prior = np.exp(-0.5 * ((y - USUAL_LINE) / LINE_SPREAD) ** 2)[:, None]
    weight = np.where(x < 0.35, 1.0, np.exp(-0.5 * ((x - 0.35) / 0.12) ** 2))[None, :]
    gain = np.clip(evidence, 0, 120) * prior * weight
    score, steps = gain[:, 0].copy(), np.zeros((rows, columns), np.int8)
    for column in range(1, columns):
        options = np.stack([_shifted(score, step) - 1.2 * step * step for step in (-2, -1, 0, 1, 2)])
        choice = options.argmax(0)
        steps[:, column] = choice - 2
        score = options.max(0) + gain[:, column]
    path = np.zeros(columns, np.int64)
    path[-1] = int(score.argmax())
    for column in range(columns - 1, 0, -1):
        path[column - 1] = np.clip(path[column] + steps[path[column], column], 0, rows - 1)
    return path


def _shifted(score: AnyArray, step: int) -> AnyArray:
    """score[row + step], and a hopeless value where that row does not exist."""
    moved = np.full_like(score, -1e9)
    if step > 0:
        moved[:-step] = score[step:]
    elif step < 0:
        moved[-step:] = score[:step]
    else:
        moved[:] = score
    return moved


def _near_path(values: Field, path: AnyArray) -> Field:
    """Largest value within 3 pixels of the path, per column, as a column vector."""
    rows = np.clip(path[None, :] + np.arange(-3, 4)[:, None], 0, values.shape[0] - 1)
    return np.asarray(values[rows, np.arange(values.shape[1])[None, :]].max(0)[:, None], np.float32)


def _corners(depth: AnyArray) -> tuple[float, float]:
    """Middle and half width of the mouth: how far the line stays dark to either side."""
    x = _x(np.arange(depth.size))
    core = depth[np.abs(x) < 0.2]
    typical = float(np.median(core))
    right, left = (_reach(side, typical) / DOTS for side in (depth[x >= 0], depth[x < 0][::-1]))
    middle = float(np.clip((right - left) / 2, -0.10, 0.10))
    return middle, float(np.clip((right + left) / 2, NARROWEST, WIDEST))


def _reach(depth: AnyArray, typical: float) -> int:
    """How many columns from the middle belong to the mouth.

    Corners are often the deepest place, and a cheek fold may carry on from them: so the count runs outward
    from the deepest column that is joined to the middle, and half that depth ends it.
    """
    joined = np.flatnonzero(depth[: round(WIDEST * DOTS)] < 0.3 * typical)
    reachable = depth[: int(joined[0]) if joined.size else round(WIDEST * DOTS)]
    if reachable.size < round(NARROWEST * DOTS):
        return round(USUAL_HALF_WIDTH * DOTS)
    deepest = int(reachable.argmax())
    shallow = np.flatnonzero(depth[deepest:] < max(0.45 * float(reachable.max()), 0.5 * typical))
    return deepest + (int(shallow[0]) if shallow.size else 0)


def _lower_edge(
    light: Field, red: Field, gap: Field, path: AnyArray, core: AnyArray
) -> tuple[AnyArray, float]:
    """Row per column where the lower lip begins, and the teeth's height in pixels (0 for closed lips)."""
    columns = np.flatnonzero(core)
    ends = [_below_teeth(light[:, c], red[:, c], int(path[c])) for c in columns]
    toothed = np.array([end is not None for end in ends])
    edge = np.array([_below_dark(light[:, c], gap[:, c], int(path[c])) for c in range(path.size)], np.float64)
    if toothed.mean() < 0.5:
        return edge, 0.0
    seen = columns[toothed]
    rows = np.array([end for end in ends if end is not None], np.float64)
    teeth = float(np.median(rows - path[seen]))
    edge = path.astype(np.float64)
    edge[columns] = np.interp(columns, seen, rows)
    return edge, teeth


def _below_teeth(light: AnyArray, red: AnyArray, start: int) -> float | None:
    """Where redness comes back below a bright, pale band: the lower lip under visible teeth."""
    reach = red[start : start + 34]
    if reach.size < 12:
        return None
    pale = 3 + int(reach[3:22].argmin()) if reach.size > 22 else 3
    lip = pale + int(reach[pale : pale + 16].argmax())
    above = float(red[max(0, start - 10) : start + 2].max())
    bright = float(light[start + pale] - light[start])
    rise = float(reach[lip] - reach[pale])
    if rise < TOOTH_REDNESS or above - float(reach[pale]) < 0.5 * TOOTH_REDNESS or bright < 6:
        return None
    half = float(reach[pale]) + 0.65 * rise  # a little into the lip, so that no tooth travels with it
    return start + pale + int(np.argmax(reach[pale : lip + 1] >= half))


def _below_dark(light: AnyArray, gap: AnyArray, start: int) -> float:
    """Where lightness has recovered half of the gap's depth below its darkest row: the gap's lower edge."""
    reach = light[start : start + 20]
    half = float(reach[0]) + 0.5 * float(gap[start])
    return start + min(int(np.argmax(reach >= half)), 12)


def _fit(
    edge: AnyArray, depth: AnyArray, inside: AnyArray, middle: float, half: float
) -> tuple[float, float, float, float]:
    """Cubic through the edge; each column counts by how clearly its line shows."""
    columns = np.flatnonzero(inside)
    s = (_x(columns) - middle) / half
    y = TOP + edge[columns] / DOTS
    weight = np.sqrt(np.clip(depth[columns], 1, 40))
    for _ in range(2):  # a second round without what lies far off the first
        a, b, c, d = np.polyfit(s, y, 3, w=weight)
        weight = weight / (1 + (np.abs(np.polyval((a, b, c, d), s) - y) / 0.03) ** 2)
    return float(a), float(b), float(c), float(d)
