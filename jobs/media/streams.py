"""Sound and film, in the child: one forced demuxer, one thread, lengths from what really decodes."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, BinaryIO

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from jobs.media.results import ACCEPTED, MAX_MEDIA_SECONDS, MAX_SIDE, MAX_VIDEO_PIXELS, MIN_SIDE, MediaRefused
from jobs.media.sniff import Type

MAX_STREAMS = 16
MAX_CHANNELS = 8
SAMPLE_RATES = (4_000, 384_000)
MAX_FPS = 240
# Frames decoded before a film counts as playable; the rest is only demuxed, a hundred times cheaper.
FIRST_FRAMES = 12
# A recording may hold some broken packets (tags at its end, a lost frame), not many.
BROKEN_SHARE = 0.05
BROKEN_FEW = 3
KIND_WORDS = {"image": "a picture", "audio": "a recording without a picture", "video": "a video"}


@contextmanager
def opened(file: BinaryIO, found: Type, expect: str) -> Iterator[InputContainer]:
    """The file under the one demuxer its magic names. References to other files and addresses stay closed."""
    options = {
        "format_whitelist": found.reader if found.reader != "mov" else "mov,mp4,m4a,3gp,3g2,mj2",
        "protocol_whitelist": "file",
        "max_streams": str(MAX_STREAMS),
    }
    if found.reader == "matroska":
        options["format_whitelist"] = "matroska,webm"
    try:
        container = av.open(file, "r", format=found.reader, options=options, metadata_errors="replace")
    except (av.FFmpegError, ValueError, OSError) as error:
        raise unreadable(expect) from error
    with container:
        yield container


def unreadable(expect: str) -> MediaRefused:
    word = "recording" if expect == "audio" else "video"
    return MediaRefused(
        f"{expect}_unreadable",
        f"This {word} is damaged or cut off.",
        f"Play it to its end, export it again and upload the new file. Accepted are {ACCEPTED[expect]}.",
    )


def film(container: InputContainer) -> VideoStream | None:
    """The first moving stream; a cover picture inside a recording is none."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    return None


def one_thread(stream: AudioStream | VideoStream) -> None:
    """The child may start no threads; FFmpeg would, one per core."""
    stream.codec_context.thread_count = 1
    stream.codec_context.thread_type = "NONE"


def check_decoder(stream: AudioStream | VideoStream, expect: str) -> None:
    # PyAV's types promise a codec context; a codec that FFmpeg does not know has none.
    if getattr(stream, "codec_context", None) is None:
        raise unreadable(expect)


def kind_of(container: InputContainer) -> str:
    if film(container) is not None:
        return "video"
    return "audio" if container.streams.audio else ""


def sound_fields(container: InputContainer, stream: AudioStream) -> dict[str, Any]:
    """The probe's fields of a recording. Decodes all of it and counts the samples."""
    check_decoder(stream, "audio")
    check_sound(stream)
    seconds = _decoded_seconds(container, stream)
    if round(seconds * 1000) == 0:
        raise MediaRefused("audio_empty", "This recording has no sound in it: its length is 0 seconds.")
    codec = stream.codec_context.name
    return {"kind": "audio", "codec": codec, "duration_ms": round(seconds * 1000), "has_audio": True}


def check_sound(stream: AudioStream) -> None:
    rate, channels = stream.codec_context.sample_rate or 0, stream.codec_context.channels or 0
    if not SAMPLE_RATES[0] <= rate <= SAMPLE_RATES[1] or not 1 <= channels <= MAX_CHANNELS:
        raise MediaRefused(
            "audio_unreadable",
            f"This recording has {channels} channels at {rate} Hz.",
            f"Accepted are 1 to {MAX_CHANNELS} channels at {SAMPLE_RATES[0]} to {SAMPLE_RATES[1]} Hz.",
        )


def _decoded_seconds(container: InputContainer, stream: AudioStream) -> Fraction:
    one_thread(stream)
    tally = Tally()
    packets, broken = 0, 0
    for packet in _packets(container, stream, "audio"):
        packets += 1
        try:
            for frame in packet.decode():
                tally.add(frame)
        except av.FFmpegError:
            broken += 1
    if broken > max(BROKEN_FEW, packets * BROKEN_SHARE) or (broken and not tally.seconds):
        raise unreadable("audio")
    return tally.seconds


class Tally:
    """Counts samples, and seconds exactly, even when the rate changes on the way."""

    def __init__(self) -> None:
        self._rate = 0
        self._samples = 0
        self._before = Fraction(0)

    @property
    def seconds(self) -> Fraction:
        return self._before + (Fraction(self._samples, self._rate) if self._rate else 0)

    def add(self, frame: object) -> None:
        assert isinstance(frame, AudioFrame)
        check_numbers(frame)
        if frame.sample_rate != self._rate:
            self._before, self._samples, self._rate = self.seconds, 0, frame.sample_rate
        self._samples += frame.samples
        if self._samples > self._rate * MAX_MEDIA_SECONDS:
            check_length(self.seconds)


def check_numbers(frame: AudioFrame) -> None:
    """Floating point samples may be infinite or no numbers at all, which poisons every filter after this."""
    if not frame.format.name.startswith(("flt", "dbl")):
        return
    code = "f" if frame.format.name.startswith("flt") else "d"
    for plane in frame.planes:
        samples = array(code)
        samples.frombytes(bytes(plane)[: plane.buffer_size // samples.itemsize * samples.itemsize])
        # One bad sample makes the sum bad; adding is the cheapest way to look at all of them.
        if not math.isfinite(sum(samples)):
            raise MediaRefused(
                "audio_unreadable",
                "This recording holds samples that are not numbers.",
                "Export it again, as 16-bit WAV or MP3.",
            )


def check_length(seconds: Fraction | float) -> None:
    if seconds > MAX_MEDIA_SECONDS:
        raise MediaRefused("media_too_long", f"This file is longer than {MAX_MEDIA_SECONDS // 3600} hours.")


def film_fields(container: InputContainer, stream: VideoStream) -> dict[str, Any]:
    """The probe's fields of a video: some frames decoded, all packets counted, the clock read from them."""
    check_decoder(stream, "video")
    check_frame_size(stream.codec_context.width, stream.codec_context.height)
    one_thread(stream)
    clock = Clock(stream)
    decoded: list[VideoFrame] = []
    for packet in _packets(container, stream, "video"):
        clock.tick(packet)
        check_length(clock.seconds)
        if len(decoded) < FIRST_FRAMES:
            decoded += _frames(packet)
    if not decoded:
        raise unreadable("video")
    width, height = upright(decoded[0])
    check_frame_size(width, height)
    seconds = clock.checked_seconds()
    return {
        "kind": "video",
        "codec": stream.codec_context.name,
        "width": width,
        "height": height,
        "duration_ms": round(seconds * 1000),
        "fps": round(float(clock.count / seconds), 3),
        "has_audio": bool(container.streams.audio),
        "frames": clock.count,
    }


def check_frame_size(width: int, height: int) -> None:
    if max(width, height) > MAX_SIDE or width * height > MAX_VIDEO_PIXELS:
        message = f"This video has {width} x {height} pixels."
        raise MediaRefused("video_too_large", message, "At most 4096 x 2304 pixels are accepted.")
    if 0 < min(width, height) < MIN_SIDE:
        message = f"This video has only {width} x {height} pixels."
        raise MediaRefused("video_too_small", message, f"Each side needs at least {MIN_SIDE} pixels.")


def _packets(
    container: InputContainer, stream: AudioStream | VideoStream, expect: str
) -> Iterator[Packet[Any]]:
    """Packets up to the end or to where the file stops making sense; at the very start that is a refusal."""
    seen = 0
    try:
        for packet in container.demux(stream):
            seen += packet.size > 0
            yield packet
    except av.FFmpegError as error:
        if not seen:
            raise unreadable(expect) from error


def _frames(packet: Packet[Any]) -> list[VideoFrame]:
    try:
        return [frame for frame in packet.decode() if isinstance(frame, VideoFrame)]
    except av.FFmpegError:
        return []


def upright(frame: VideoFrame) -> tuple[int, int]:
    """Sides as a player shows them: phones store film lying and note the turn."""
    return (frame.height, frame.width) if frame.rotation % 180 else (frame.width, frame.height)


class Clock:
    """A film's length from its packets: first to last presentation time, plus the last one's own duration."""

    def __init__(self, stream: VideoStream) -> None:
        self._base = stream.time_base or Fraction(1, 1000)
        self._rate = stream.average_rate or stream.guessed_rate
        self.count = 0
        self._first: int | None = None
        self._end = 0
        self._last = 0
        self._last_duration = 0

    def tick(self, packet: Packet[Any]) -> None:
        if not packet.size:
            return
        self.count += 1
        at = packet.pts if packet.pts is not None else packet.dts
        if at is None:
            return
        self._first = at if self._first is None else min(self._first, at)
        if at >= self._last:
            self._last, self._last_duration = at, packet.duration or 0
        self._end = max(self._end, at + (packet.duration or 0))

    @property
    def seconds(self) -> Fraction:
        if self._first is None:
            # No times at all: the frames and their rate are what is left.
            return Fraction(self.count) / self._rate if self._rate else Fraction(0)
        end = self._end
        if not self._last_duration and self.count > 1:
            end = self._last + round((self._last - self._first) / (self.count - 1))
        return (end - self._first) * self._base

    def checked_seconds(self) -> Fraction:
        """Refuses clocks that no film has: no time passes, or thousands of frames do in a moment."""
        seconds = self.seconds
        if seconds <= 0 and self.count == 1 and self._rate:
            seconds = 1 / Fraction(self._rate)
        if seconds <= 0 or self.count / seconds > MAX_FPS:
            message = "This video's frames carry impossible times."
            raise MediaRefused("video_unreadable", message, "Export it again with a constant frame rate.")
        return seconds
