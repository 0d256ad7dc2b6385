"""Render speed and memory of the CPU engine: ``python -m bench.portrait_speed [--runs 3] [--skip-memory]``.

Speed is seconds of video per second of wall clock for the whole child process, from its start to the finished
film: interpreter, face search and sound track included.  The floor, measured in the same run, is the bare encoder:
the same film's frames, already decoded, through the same H.264 settings and nothing else.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import av
import cv2

from bench.child import PORTRAIT, Render, render, repeated
from providers.local.worker.talking_portrait import encode
from providers.local.worker.talking_portrait.plan import Plan

SECONDS = 60  # of video per timed run: long enough for the search for the face not to rule the figure
BARS = {"480p": 4.0, "720p": 2.0}
MEMORY_BAR = 0.15


def main() -> int:
    """Print the figures; exit status 1 when one misses its bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--skip-memory", action="store_true")
    options = parser.parse_args()
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start, encoder {encode.pick_encoder()}"
    )
    with tempfile.TemporaryDirectory() as folder:
        # Memory first: a process inherits the peak of the one that starts it, and the floor below needs much.
        good = [options.skip_memory or _memory(Path(folder))]
        good += [_speed(Path(folder), resolution, options.runs) for resolution in BARS]
    return 0 if all(good) else 1


def _speed(folder: Path, resolution: str, runs: int) -> bool:
    voice = repeated(folder / "voice", SECONDS)
    rendered = [render(folder / f"{resolution}-{run}", PORTRAIT, voice, resolution) for run in range(runs)]
    speeds = [one.seconds / one.wall for one in rendered]
    bare = [_bare_encode(folder, rendered[0]) for _ in range(runs)]
    speed = statistics.median(speeds)
    busy = statistics.median(one.cpu / one.seconds for one in rendered)
    print(
        f"{resolution}: {speed:5.1f} s of video per second (runs {_list(speeds)}; bar >= {BARS[resolution]}); "
        f"floor, encoding alone: {statistics.median(bare):.1f} (runs {_list(bare)}); "
        f"{busy * 1000:.0f} ms of one core per second of video"
    )
    return speed >= BARS[resolution]


def _list(values: list[float]) -> str:
    return ", ".join(f"{value:.1f}" for value in values)


def _bare_encode(folder: Path, rendered: Render) -> float:
    """Seconds of video per second when finished frames are only encoded again."""
    cv2.setNumThreads(1)
    with av.open(str(rendered.film)) as container:
        stream = container.streams.video[0]
        plan = Plan(stream.width, stream.height, 25, 250, 125, 2, 10.0)
        frames = [
            frame.to_ndarray(format="bgr24")
            for frame, _ in zip(container.decode(video=0), range(250), strict=False)
        ]
    began = time.monotonic()
    for clip in range(plan.clips):
        numbers = plan.clip_frames(clip)
        encode.write_clip(
            folder / "bare.mp4", frames[numbers.start : numbers.stop], plan, encode.pick_encoder()
        )
    return len(frames) / 25 / (time.monotonic() - began)


def _memory(folder: Path) -> bool:
    short = render(folder / "short", PORTRAIT, repeated(folder / "ten seconds", 10))
    long = render(folder / "long", PORTRAIT, repeated(folder / "ten minutes", 600))
    growth = long.peak_mib / short.peak_mib - 1
    print(
        f"peak memory: {short.peak_mib:.0f} MiB for 10 s of sound, {long.peak_mib:.0f} MiB for 10 min "
        f"({growth:+.1%}; bar <= +15 %); the 10 min took {long.wall:.0f} s ({long.seconds / long.wall:.1f} x)"
    )
    return growth <= MEMORY_BAR


if __name__ == "__main__":
    sys.exit(main())
