"""A voice cut at its pauses, and the films of its parts joined again, in the child."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.codec import codecs_available
from av.container import OutputContainer
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from jobs.media.sniff import sniff
from jobs.media.stills import ENCODERS, frames, upright
from jobs.media.streams import one_thread, opened, unreadable

Levels = NDArray[np.float64]

# Energy is looked at in steps of this; a pause has less than this share of what loud speech has.
STEP_MS = 10
QUIET = 0.06
LEAST_PAUSE_MS = 80
LOUD_PERCENTILE = 95
# How far back from the limit a pause is looked for, of the whole piece, and what lying near the limit is worth.
REACH = 0.5
NEARNESS_MS = 300
LONGEST_COUNTED_MS = 800
LOOK_RATE = 16_000
MOST_RATE = 48_000
FILM_RATE = 48_000
SAMPLES = 1024


def cuts(file: BinaryIO, limit_ms: int, least_ms: int) -> dict[str, Any]:
    """Milliseconds at which to cut: 0, the cuts, the end; no piece above the limit or below the least."""
    samples = _samples(file, LOOK_RATE)
    total = len(samples) * 1000 // LOOK_RATE
    levels = _levels(samples)
    found = [0]
    while total - found[-1] > limit_ms:
        first = found[-1] + max(least_ms, round(limit_ms * (1 - REACH)))
        last = min(found[-1] + limit_ms, total - least_ms)
        found.append(_best_cut(levels, min(first, last), last))
    return {"cuts": [*found, total]}


def _levels(samples: NDArray[np.int16]) -> Levels:
    """How loud each step is."""
    size = LOOK_RATE * STEP_MS // 1000
    whole = samples[: len(samples) // size * size].astype(np.float64).reshape(-1, size)
    levels: Levels = np.sqrt((whole**2).mean(axis=1))
    return levels


def _best_cut(levels: Levels, first: int, last: int) -> int:
    """In the middle of the longest pause, of those near the end rather a later one; else where it is quietest."""
    here = levels[first // STEP_MS : max(last // STEP_MS, first // STEP_MS + 1)]
    quiet = here <= QUIET * np.percentile(levels, LOUD_PERCENTILE)
    best, worth = None, 0.0
    for start, end in _runs(quiet):
        length = (end - start) * STEP_MS
        value = min(length, LONGEST_COUNTED_MS) + NEARNESS_MS * end / len(here)
        if length >= LEAST_PAUSE_MS and value > worth:
            best, worth = (start + end) / 2, value
    if best is None:
        smooth = np.convolve(here, np.ones(5) / 5, mode="same")
        best = float(np.argmin(smooth))
    return min(max(round(first // STEP_MS * STEP_MS + best * STEP_MS), first), last)


def _runs(quiet: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], quiet.astype(np.int8), [0]))))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def piece(file: BinaryIO, start_ms: int, end_ms: int, dest: str) -> dict[str, Any]:
    """That part of the voice as a WAV file, to the sample."""
    rate = min(_rate(file), MOST_RATE)
    samples = _samples(file, rate)[start_ms * rate // 1000 : end_ms * rate // 1000]
    with wave.open(dest, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(samples.tobytes())
    return {"samples": len(samples)}


def last_frame(file: BinaryIO, dest: str, least_side: int) -> dict[str, Any]:
    """The film's last picture, as PNG; larger where a side has not the least pixels."""
    last = None
    for _, frame in frames(file):
        last = frame
    if last is None:
        raise unreadable("video")
    picture = upright(last)
    short = min(picture.size)
    if short < least_side:
        width, height = (-(-side * least_side // short) for side in picture.size)
        picture = picture.resize((width, height))
    picture.save(dest, "PNG")
    return {"width": picture.width, "height": picture.height}


def join(file: BinaryIO, films: list[str], bounds: list[int], dest: str, encoder: str) -> dict[str, Any]:
    """The films one after the other under the whole voice, which is `file`. Each fills its part to the frame: one that
    is short holds its last picture, one that is long ends early.
    """
    count = 0
    with av.open(dest, "w", format="mp4", options={"movflags": "+faststart"}) as out:
        picture: Any = None
        sound = out.add_stream("aac", rate=FILM_RATE, layout="mono")
        sound.bit_rate = 128_000
        voice = _voice(file)
        spoken = next(voice, None)
        rate = Fraction(25)
        for path, start, end in zip(films, bounds, bounds[1:], strict=False):
            with Path(path).open("rb") as film:
                if picture is None:
                    rate = _film_rate(film)
                    picture = _picture(out, film, rate, encoder)
                ticks = _tick(end, rate) - _tick(start, rate)
                for frame in _timed(film, ticks, rate):
                    same = frame.reformat(
                        width=picture.width, height=picture.height, format="yuv420p", threads=1
                    )
                    same.pts, same.time_base = count, 1 / rate
                    same.pict_type = 0
                    out.mux(picture.encode(same))
                    count += 1
                    # Sound goes beside the picture, so that neither waits in memory for the other.
                    while spoken is not None and (spoken.pts or 0) * rate <= count * FILM_RATE:
                        out.mux(sound.encode(spoken))
                        spoken = next(voice, None)
        if picture is None:
            raise unreadable("video")
        out.mux(picture.encode(None))
        while spoken is not None:
            out.mux(sound.encode(spoken))
            spoken = next(voice, None)
        out.mux(sound.encode(None))
    return {"frames": count, "fps": float(rate)}


def _tick(at_ms: int, rate: Fraction) -> int:
    return round(at_ms * rate / 1000)


def _film_rate(film: BinaryIO) -> Fraction:
    with _container(film, "video") as container:
        stream = container.streams.video[0]
        return Fraction(stream.average_rate or 25).limit_denominator(1001)


def _picture(out: OutputContainer, film: BinaryIO, rate: Fraction, encoder: str) -> Any:
    film.seek(0)
    first = next((frame for _, frame in frames(film)), None)
    if first is None:
        raise unreadable("video")
    name = encoder or next(name for name in ENCODERS if name in codecs_available)
    stream: Any = out.add_stream(name, rate=rate)
    stream.width, stream.height = first.width // 2 * 2, first.height // 2 * 2
    stream.pix_fmt = "yuv420p"
    stream.time_base = 1 / rate
    stream.codec_context.thread_count = 1
    if name == "libx264":
        stream.options = {"preset": "veryfast", "crf": "17"}
    else:
        stream.codec_context.bit_rate = round(first.width * first.height * rate / 6)
    return stream


def _timed(film: BinaryIO, ticks: int, rate: Fraction) -> Iterator[VideoFrame]:
    """Exactly so many frames at that rate: for each tick the picture that is shown in its middle."""
    held: VideoFrame | None = None
    shown = 0
    film.seek(0)
    for at, frame in frames(film):
        while held is not None and shown < ticks and (shown + 0.5) / rate < at:
            yield held
            shown += 1
        held = frame
        if shown >= ticks:
            return
    if held is None:
        raise unreadable("video")
    for _ in range(ticks - shown):
        yield held


def _voice(file: BinaryIO) -> Iterator[AudioFrame]:
    samples = _samples(file, FILM_RATE).astype(np.float32) / 32768
    for start in range(0, len(samples), SAMPLES):
        frame = AudioFrame.from_ndarray(samples[None, start : start + SAMPLES], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = FILM_RATE, start, Fraction(1, FILM_RATE)
        yield frame


def _rate(file: BinaryIO) -> int:
    with _container(file, "audio") as container:
        return int(container.streams.audio[0].codec_context.sample_rate or LOOK_RATE)


def _samples(file: BinaryIO, rate: int) -> NDArray[np.int16]:
    """The whole recording, one channel."""
    resampler = AudioResampler(format="s16", layout="mono", rate=rate)
    found: list[NDArray[np.int16]] = []
    with _container(file, "audio") as container:
        stream = container.streams.audio[0]
        one_thread(stream)
        try:
            for frame in container.decode(stream):
                found += [made.to_ndarray()[0] for made in resampler.resample(frame)]
        except av.FFmpegError as error:
            if not found:
                raise unreadable("audio") from error
        found += [made.to_ndarray()[0] for made in resampler.resample(None)]
    if not found:
        raise unreadable("audio")
    return np.concatenate(found)


def _container(file: BinaryIO, kind: str) -> Any:
    file.seek(0)
    found = sniff(file)
    if found is None or found.family != "stream":
        raise unreadable(kind)
    file.seek(0)
    container: Any = opened(file, found, kind)
    return container
