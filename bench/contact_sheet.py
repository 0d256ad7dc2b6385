"""Frames of a video side by side: python -m bench.contact_sheet VIDEO OUT.jpg [--seconds ...] [--crop L T R B]."""

from __future__ import annotations

import argparse
from pathlib import Path

import av
from PIL import Image

HEIGHT = 300


def frames_at(video: Path, seconds: list[float]) -> list[Image.Image]:
    """The first frame at or after each time, in order."""
    wanted = sorted(seconds)
    found: list[Image.Image] = []
    with av.open(str(video)) as container:
        for frame in container.decode(video=0):
            while len(found) < len(wanted) and float(frame.time or 0) >= wanted[len(found)]:
                found.append(frame.to_image())
    return found


def sheet(pictures: list[Image.Image], crop: list[float]) -> Image.Image:
    """One row; `crop` are left, top, right, bottom as shares of the frame."""
    cut = []
    for picture in pictures:
        width, height = picture.size
        box = (int(crop[0] * width), int(crop[1] * height), int(crop[2] * width), int(crop[3] * height))
        part = picture.crop(box)
        cut.append(part.resize((HEIGHT * part.width // part.height, HEIGHT), Image.Resampling.LANCZOS))
    row = Image.new("RGB", (sum(part.width for part in cut), HEIGHT))
    left = 0
    for part in cut:
        row.paste(part, (left, 0))
        left += part.width
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, nargs="+", default=[0.0, 1.04, 2.4, 3.0, 4.8])
    parser.add_argument("--crop", type=float, nargs=4, default=[0.0, 0.0, 1.0, 1.0])
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    sheet(frames_at(options.video, options.seconds), options.crop).save(options.out, quality=85)


if __name__ == "__main__":
    main()
