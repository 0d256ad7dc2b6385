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
    """An MP4 (H.264, AAC) of `length_ms`; `lie` is short, garbage or mute."""
    if lie == "garbage":
        return b"this is no video" * 100
    if lie == "short":
        length_ms //= 2
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        # Both streams before the first packet: the header that it brings names them.
        pictures = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        pictures.width = pictures.height = SIDE
        pictures.pix_fmt = "yuv420p"
        sound = None if lie == "mute" else container.add_stream("aac", rate=RATE, layout="mono")
        for frame in _pictures(length_ms):
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
        if sound is not None:
            for samples in tone(length_ms):
                container.mux(sound.encode(samples))
            container.mux(sound.encode(None))
    return file.getvalue()


def _pictures(length_ms: int) -> list[av.VideoFrame]:
    count = max(round(length_ms * FPS / 1000), 1)
    levels = (60 + 120 * index // count for index in range(count))
    return [
        av.VideoFrame.from_ndarray(np.full((SIDE, SIDE, 3), level, np.uint8), format="rgb24")
        for level in levels
    ]


def tone(length_ms: int) -> list[av.AudioFrame]:
    """A quiet one of 220 Hz, in mono at `RATE`."""
    total = length_ms * RATE // 1000
    wave = (np.sin(np.arange(total) * 2 * np.pi * 220 / RATE) * 0.25).astype(np.float32)
    frames = []
    for start in range(0, total, SAMPLES):
        frame = av.AudioFrame.from_ndarray(wave[None, start : start + SAMPLES], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
        frames.append(frame)
    return frames
