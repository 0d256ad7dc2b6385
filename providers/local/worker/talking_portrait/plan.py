"""What will be rendered: frame size, number of frames and clips.  Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

# Pixels of a frame at each resolution; the picture's shape is kept and its area scaled to this.
TARGET_AREA = {"480p": 832 * 480, "720p": 1280 * 720}
# Pixels of a shot that has one size, whatever the picture's shape.
FIXED_SIZE = {"1:1": (512, 512), "3:4": (512, 704)}
SIDE_STEP = 16  # whole macroblocks: every H.264 encoder takes such sizes without padding
MAX_SIDE = 4096  # largest side every H.264 encoder takes


@dataclass(frozen=True)
class Plan:
    """Size in pixels, count of frames and clips, and the length of the sound in seconds."""

    width: int
    height: int
    fps: int
    frames: int
    frames_per_clip: int
    clips: int
    seconds: float

    def clip_frames(self, clip: int) -> range:
        """Indices of the frames of one clip."""
        first = clip * self.frames_per_clip
        return range(first, min(first + self.frames_per_clip, self.frames))


def plan(
    seconds: float,
    image_width: int,
    image_height: int,
    resolution: str,
    fps: int = 25,
    frames_per_clip: int = 125,
) -> Plan:
    """Plan a render of `seconds` of sound from a picture of the given size in pixels.

    The film has as many frames as come nearest to the sound's length, at least one.  Raises `KeyError` for an
    unknown resolution.
    """
    fixed = FIXED_SIZE.get(resolution)
    width, height = fixed or frame_size(image_width, image_height, TARGET_AREA[resolution])
    frames = max(1, round(seconds * fps))
    clips = -(-frames // frames_per_clip)
    return Plan(width, height, fps, frames, frames_per_clip, clips, seconds)


def frame_size(image_width: int, image_height: int, area: int) -> tuple[int, int]:
    """Width and height in whole steps, of at most `area` pixels, nearest to the picture's shape.

    The choice weighs the distortion of the shape (later cropped away, never stretched) against unused area.
    """
    shape = image_width / image_height
    ideal = sqrt(area * shape)
    best: tuple[float, int, int] | None = None
    middle = round(ideal / SIDE_STEP)
    for columns in range(max(1, middle - 3), middle + 4):
        width = min(columns * SIDE_STEP, MAX_SIDE)
        for rows in {int(width / shape / SIDE_STEP), int(width / shape / SIDE_STEP) + 1}:
            height = min(max(rows, 1) * SIDE_STEP, MAX_SIDE)
            if width * height > area:
                continue
            distortion = abs(width / height / shape - 1)
            cost = distortion * 4 + (1 - width * height / area)
            if best is None or (cost, -width) < (best[0], -best[1]):
                best = (cost, width, height)
    if best is None:  # shapes so long that one step of the short side already exceeds the area
        return (MAX_SIDE, SIDE_STEP) if shape > 1 else (SIDE_STEP, MAX_SIDE)
    return best[1], best[2]
