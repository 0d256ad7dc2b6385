"""A small real video: a grey picture that brightens, with a tone, of any length."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np

SIDE = 64
FPS = 10
RATE = 16_000
SAMPLES = 1024


def make_video(length_ms: int, lie: str = "") -> bytes:
    """An MP4 (H.264, AAC) of `length_ms`; `lie` is one of short, garbage, mute or empty."""
    if lie == "garbage":
        return b"this is no video" * 100
    if lie == "short":
        length_ms //= 2
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        _pictures(container, length_ms)
        if lie != "mute":
            _sound(container, length_ms)
    return file.getvalue()


def _pictures(container: av.container.OutputContainer, length_ms: int) -> None:
    stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
    stream.width = stream.height = SIDE
    stream.pix_fmt = "yuv420p"
    count = max(round(length_ms * FPS / 1000), 1)
    for index in range(count):
        level = 60 + 120 * index // count
        frame = av.VideoFrame.from_ndarray(np.full((SIDE, SIDE, 3), level, np.uint8), format="rgb24")
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _sound(container: av.container.OutputContainer, length_ms: int) -> None:
    stream = container.add_stream("aac", rate=RATE, layout="mono")
    total = length_ms * RATE // 1000
    wave = (np.sin(np.arange(total) * 2 * np.pi * 220 / RATE) * 8000).astype(np.int16)
    for start in range(0, total, SAMPLES):
        frame = av.AudioFrame.from_ndarray(wave[None, start : start + SAMPLES], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
