"""Poster, hover preview and the full check of a finished video, in the child."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, BinaryIO

import av
from av.audio.frame import AudioFrame
from av.codec import codecs_available
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image, ImageStat

from jobs.media.results import OutputRefused
from jobs.media.sniff import sniff
from jobs.media.streams import film, one_thread, opened, unreadable

POSTER_SIDE = 1280
POSTER_SECONDS = 3
# Mean brightness of 255: below it a frame is a fade from black.
BLACK = 20
PREVIEW_SIDE = 360
PREVIEW_SECONDS = 6
PREVIEW_FPS = 24
ENCODERS = ("libx264", "libopenh264")
# Streams in a container end on their own frame boundaries; below this a difference between them is no defect.
SOUND_SLACK_MS = 250


def poster(file: BinaryIO, dest: str) -> dict[str, Any]:
    """An early frame that is not black, as JPEG."""
    best: Image.Image | None = None
    for seconds, frame in frames(file):
        picture = upright(frame)
        if best is None:
            best = picture
        if ImageStat.Stat(picture.convert("L").resize((64, 64))).mean[0] >= BLACK:
            best = picture
            break
        if seconds > POSTER_SECONDS:
            break
    if best is None:
        raise unreadable("video")
    best.thumbnail((POSTER_SIDE, POSTER_SIDE))
    best.save(dest, "JPEG", quality=85, optimize=True)
    return {"width": best.width, "height": best.height}


def preview(file: BinaryIO, dest: str, encoder: str) -> dict[str, Any]:
    """The first seconds, small and without sound, as MP4."""
    written = 0
    with av.open(dest, "w", format="mp4", options={"movflags": "+faststart"}) as out:
        stream: VideoStream | None = None
        for seconds, frame in frames(file):
            if seconds >= PREVIEW_SECONDS:
                break
            # At most one frame for each tick of a steady clock: fast film loses frames, slow film keeps pace.
            tick = round(seconds * PREVIEW_FPS)
            if stream is not None and tick < written:
                continue
            if stream is None:
                stream = _preview_stream(out, encoder, frame)
            small = frame.reformat(width=stream.width, height=stream.height, format="yuv420p", threads=1)
            small.pts, small.time_base = tick, Fraction(1, PREVIEW_FPS)
            out.mux(stream.encode(small))
            written = tick + 1
        if stream is None:
            raise unreadable("video")
        out.mux(stream.encode(None))
    return {"frames": written}


def _preview_stream(out: Any, encoder: str, frame: VideoFrame) -> VideoStream:
    scale = min(1.0, PREVIEW_SIDE / min(frame.width, frame.height))
    name = encoder or next(name for name in ENCODERS if name in codecs_available)
    stream: VideoStream = out.add_stream(name, rate=PREVIEW_FPS)
    # H.264 halves the colour planes: sides must be even.
    stream.width, stream.height = (
        max(2, round(side * scale / 2) * 2) for side in (frame.width, frame.height)
    )
    stream.pix_fmt = "yuv420p"
    stream.time_base = Fraction(1, PREVIEW_FPS)
    stream.codec_context.thread_count = 1
    stream.codec_context.bit_rate = 600_000
    if name == "libx264":
        stream.options = {"preset": "veryfast", "crf": "28", "maxrate": "900k", "bufsize": "1800k"}
    return stream


def verify(file: BinaryIO, expect_ms: int, tolerance_ms: int, *, expect_audio: bool) -> None:
    """Decode every frame and sample. Raises OutputRefused."""
    found = sniff(file)
    if found is None or found.family != "stream":
        raise OutputRefused("output_not_video", "The result is not a video file.")
    with opened(file, found, "video") as container:
        if film(container) is None:
            raise OutputRefused("output_not_video", "The result has no moving picture.")
        picture_ms, sound_ms = _decode_all(container)
    if abs(picture_ms - expect_ms) > tolerance_ms:
        raise OutputRefused("output_length", f"The result lasts {picture_ms} ms instead of {expect_ms} ms.")
    if expect_audio and sound_ms is None:
        raise OutputRefused("output_silent", "The result has no sound.")
    if expect_audio and sound_ms is not None and sound_ms < expect_ms - tolerance_ms - SOUND_SLACK_MS:
        raise OutputRefused("output_silent", f"The sound of the result stops after {sound_ms} ms.")


def _decode_all(container: InputContainer) -> tuple[int, int | None]:
    """Lengths in ms of the decoded picture and of the decoded sound (None without any)."""
    video = film(container)
    assert video is not None
    sound = container.streams.audio[:1]
    one_thread(video)
    for stream in sound:
        one_thread(stream)
    first, end, samples = None, Fraction(0), Fraction(0)
    try:
        for packet in container.demux(video, *sound):
            for frame in packet.decode():
                if isinstance(frame, AudioFrame):
                    samples += Fraction(frame.samples, frame.sample_rate)
                elif isinstance(frame, VideoFrame):
                    if frame.is_corrupt:
                        raise OutputRefused("output_damaged", "The result has damaged frames.")
                    start = frame_time(frame) or Fraction(0)
                    first = start if first is None else first
                    end = start + _duration(frame, video)
    except av.FFmpegError as error:
        raise OutputRefused("output_damaged", "The result does not decode to its end.") from error
    if first is None:
        raise OutputRefused("output_damaged", "The result has no frame that decodes.")
    return round((end - first) * 1000), round(samples * 1000) if sound and samples else None


def _duration(frame: VideoFrame, stream: VideoStream) -> Fraction:
    if frame.duration and frame.time_base:
        return frame.duration * frame.time_base
    rate = stream.average_rate
    return 1 / Fraction(rate) if rate else Fraction(0)


def frame_time(frame: VideoFrame) -> Fraction | None:
    return None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base


def frames(file: BinaryIO) -> Iterator[tuple[float, VideoFrame]]:
    """Frames with their seconds from the start."""
    found = sniff(file)
    if found is None or found.family != "stream":
        raise unreadable("video")
    with opened(file, found, "video") as container:
        stream = film(container)
        if stream is None:
            raise unreadable("video")
        one_thread(stream)
        first: Fraction | None = None
        try:
            for frame in container.decode(stream):
                at = frame_time(frame) or Fraction(0)
                first = at if first is None else first
                yield float(at - first), frame
        except av.FFmpegError as error:
            if first is None:
                raise unreadable("video") from error


def upright(frame: VideoFrame) -> Image.Image:
    picture: Image.Image = frame.to_image(threads=1)  # type: ignore[no-untyped-call]  # theirs has no types
    return picture.rotate(frame.rotation, expand=True) if frame.rotation else picture
