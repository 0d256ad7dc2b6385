"""Streaming decode of the customer's voice: one decoder for the analysis and for the sound track.

Both read the same contiguous samples from the start, so whatever a container claims about timestamps, mouth
and sound stay together.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.audio.resampler import AudioResampler

from providers.local.worker.protocol import RenderError

from .arrays import Series

MAX_SECONDS = 600.5  # ten minutes, and the rounding of whoever cut the file
MIN_SECONDS = 0.04  # one frame
# Containers a voice may come in.  Playlists and other formats that name further files stay out.
FORMATS = "wav,w64,mp3,mov,ogg,flac,aac,matroska,aiff,amr,amrnb,amrwb,au,caf,asf,mpegts,mp2,ac3,opus"
OPEN_OPTIONS = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
MAX_BAD_PACKETS = 50


def decode(path: Path, rate: int, layout: str, sample_format: str = "fltp") -> Iterator[av.AudioFrame]:
    """Frames of the first sound stream, resampled.  Raises `RenderError` ``audio_unreadable``."""
    resampler = AudioResampler(format=sample_format, layout=layout, rate=rate)
    decoded, bad = False, 0
    try:
        with av.open(str(path), options=OPEN_OPTIONS) as container:
            if not container.streams.audio:
                raise _unreadable()
            stream = container.streams.audio[0]
            stream.codec_context.thread_count = 1
            for packet in container.demux(stream):
                try:
                    frames = packet.decode()
                except av.error.InvalidDataError:
                    bad += 1
                    if bad > MAX_BAD_PACKETS:
                        raise
                    continue
                for frame in frames:
                    decoded = True
                    frame.pts = None
                    yield from resampler.resample(frame)
            if decoded:
                yield from resampler.resample(None)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise _unreadable() from error
    if not decoded:
        raise _unreadable() if bad else _too_short()


def samples(path: Path, rate: int) -> Iterator[Series]:
    """The voice as mono float blocks at `rate` Hz; raises ``audio_too_long`` once it passes `MAX_SECONDS`."""
    total = 0
    for frame in decode(path, rate, "mono"):
        block = frame.to_ndarray()[0]
        total += block.size
        if total > MAX_SECONDS * rate:
            raise RenderError(
                "audio_too_long",
                "The voice recording is longer than ten minutes.",
                "Cut it into parts of at most 10 minutes.",
            )
        yield block
    if total < MIN_SECONDS * rate:
        raise _too_short()


def channel_layout(path: Path) -> tuple[str, int]:
    """Layout ("mono" or "stereo") and sample rate in Hz that the film's sound track should have."""
    try:
        with av.open(str(path), options=OPEN_OPTIONS) as container:
            context = container.streams.audio[0].codec_context
            return "mono" if context.channels == 1 else "stereo", context.sample_rate
    except (av.error.FFmpegError, OSError, IndexError, ValueError) as error:
        raise _unreadable() from error


def silence(seconds: float, rate: int) -> Series:
    """Zeros, for padding the ends of an analysis."""
    return np.zeros(int(seconds * rate), np.float32)


def _unreadable() -> RenderError:
    return RenderError(
        "audio_unreadable",
        "The voice recording cannot be read: it is damaged or holds no sound.",
        "Send a complete WAV, MP3, M4A, OGG or FLAC file.",
    )


def _too_short() -> RenderError:
    return RenderError(
        "audio_too_short", "The voice recording is empty.", "Send a recording of at least one second."
    )
