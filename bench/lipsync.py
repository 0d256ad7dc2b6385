"""Measuring lips and voice from the outside: from the pixels and samples of finished files alone.

Nothing here knows how the engine works.  The mouth is measured as the dark area inside the lower face, after
each frame has been laid over the first one by the position of the nose; the voice as its plain loudness.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float64]
MAX_LAG = 8  # frames to either side in the search for a lag
# Parts of a frontal face as cascades box it, in box widths from its upper left corner: left, top, right,
# bottom.
NOSE = (0.28, 0.40, 0.72, 0.66)
MOUTH = (0.26, 0.68, 0.74, 1.00)
SEARCH = 0.16  # how far the nose may travel, in box widths


@dataclass(frozen=True)
class LipSync:
    """Correlation at the best lag, that lag in ms (positive: lips late), and the correlation at lag zero."""

    correlation: float
    lag_ms: float
    at_zero: float


def gray_frames(video: Path) -> list[NDArray[np.uint8]]:
    """All frames of a film as greyscale pictures."""
    with av.open(str(video)) as container:
        return [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]


def face_box(frame: NDArray[np.uint8]) -> tuple[int, int, int]:
    """Left, top and side of the clearest face in a frame; raises `ValueError` when there is none."""
    best: tuple[float, tuple[int, int, int]] | None = None
    for name in ("default", "alt2"):
        finder = cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_frontalface_{name}.xml")
        boxes, _, weights = finder.detectMultiScale3(frame, 1.05, 3, outputRejectLevels=True)
        for (x, y, w, _), weight in zip(boxes, weights, strict=True):
            if best is None or weight > best[0]:
                best = (float(weight), (int(x), int(y), int(w)))
        if best:
            return best[1]
    raise ValueError("no face in the film's first frame")


def mouth_opening(frames: list[NDArray[np.uint8]], box: tuple[int, int, int] | None = None) -> Series:
    """Dark area of the mouth per frame, in thousandths of the face box's area."""
    box = box or face_box(frames[0])
    nose = _part(box, NOSE)
    template = frames[0][nose[1] : nose[3], nose[0] : nose[2]]
    crops = [_steady_mouth(frame, template, nose, box) for frame in frames]
    # Dark means darker than three fifths of the lower face's usual tone, softly.
    dark = 0.6 * float(np.median(np.stack(crops[:: max(1, len(crops) // 50)])))
    areas = [float(np.clip((dark - crop) / (0.35 * dark), 0, 1).sum()) for crop in crops]
    return np.asarray(areas) / box[2] ** 2 * 1000


def mouth_change(
    frames: list[NDArray[np.uint8]], still: int, box: tuple[int, int, int] | None = None
) -> Series:
    """Mean difference of the steadied lower face from its look in frame `still`, in grey steps.

    For drawings, whose painted mouths are not dark inside; `still` must be a frame with closed lips.
    """
    box = box or face_box(frames[0])
    nose = _part(box, NOSE)
    template = frames[still][nose[1] : nose[3], nose[0] : nose[2]]
    crops = [_steady_mouth(frame, template, nose, box) for frame in frames]
    return np.array([float(np.abs(crop - crops[still]).mean()) for crop in crops])


def _part(box: tuple[int, int, int], part: tuple[float, float, float, float]) -> tuple[int, int, int, int]:
    x, y, side = box
    return (
        round(x + part[0] * side),
        round(y + part[1] * side),
        round(x + part[2] * side),
        round(y + part[3] * side),
    )


def _steady_mouth(
    frame: NDArray[np.uint8],
    template: NDArray[np.uint8],
    nose: tuple[int, int, int, int],
    box: tuple[int, int, int],
) -> NDArray[np.float32]:
    """The mouth's part of a frame, moved so that the nose lies where it lay in the first frame."""
    reach = max(4, round(SEARCH * box[2]))
    padded = cv2.copyMakeBorder(frame, reach, reach, reach, reach, cv2.BORDER_REPLICATE)
    around = padded[nose[1] : nose[3] + 2 * reach, nose[0] : nose[2] + 2 * reach]
    score = cv2.matchTemplate(around, template, cv2.TM_CCOEFF_NORMED)
    _, _, _, (column, row) = cv2.minMaxLoc(score)
    dx = column + _peak(score[row], column) - reach
    dy = row + _peak(score[:, column], row) - reach
    left, top, right, bottom = _part(box, MOUTH)
    size = (right - left, bottom - top)
    centre = ((left + right - 1) / 2 + dx, (top + bottom - 1) / 2 + dy)
    return cv2.getRectSubPix(frame, size, centre).astype(np.float32)


def _peak(scores: NDArray[np.float32], index: int) -> float:
    """Offset of a parabola's top from the best of three scores."""
    if not 0 < index < len(scores) - 1:
        return 0.0
    before, here, after = (float(scores[index + step]) for step in (-1, 0, 1))
    bend = before - 2 * here + after
    return 0.5 * (before - after) / bend if bend < 0 else 0.0


def loudness(audio: Path, fps: float, frames: int) -> Series:
    """Root mean square of the sound during each frame (both files' first streams are taken to start
    together).
    """
    resampler = av.AudioResampler(format="flt", layout="mono", rate=16_000)
    blocks = []
    with av.open(str(audio)) as container:
        for frame in container.decode(audio=0):
            blocks += [part.to_ndarray()[0] for part in resampler.resample(frame)]
    blocks += [part.to_ndarray()[0] for part in resampler.resample(None)]
    samples = np.concatenate(blocks).astype(np.float64)
    edges = np.round(np.arange(frames + 1) / fps * 16_000).astype(int)
    return np.array([_rms(samples[a:b]) for a, b in pairwise(edges)])


def _rms(samples: Series) -> float:
    return float(np.sqrt(np.mean(samples**2))) if samples.size else 0.0


def compare(opening: Series, energy: Series, fps: float) -> LipSync:
    """How well an opening follows an energy, and how late."""
    lags = range(-MAX_LAG, MAX_LAG + 1)
    scores = np.array([_correlation(opening, energy, lag) for lag in lags])
    best = int(scores.argmax())
    lag = lags[best] + _peak(scores.astype(np.float32), best)
    return LipSync(float(scores[best]), 1000 * lag / fps, float(scores[MAX_LAG]))


def _correlation(opening: Series, energy: Series, lag: int) -> float:
    count = min(len(opening), len(energy))
    a, b = opening[max(0, lag) : count + min(0, lag)], energy[max(0, -lag) : count - max(0, lag)]
    if a.size < 3 or a.std() < 1e-9 or b.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def motion(opening: Series) -> float:
    """Typical movement of a mouth from frame to frame."""
    return float(np.abs(np.diff(opening)).mean())
