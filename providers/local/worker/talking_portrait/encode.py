"""Clips and the film: frames to H.264, clips joined without encoding again, sound to AAC.

PyAV's wheels carry libx264 (GPL); an operator may build PyAV against other encoders, or name one in
VOICEREEL_H264_ENCODER.  Every clip is one closed group of pictures without B-frames, so that packets of
consecutive clips simply follow each other.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from queue import Queue
from threading import Thread

import av
from av.video.stream import VideoStream

from providers.local.worker.protocol import RenderError

from . import sound
from .arrays import AnyArray, Picture
from .compose import to_yuv
from .plan import Plan

ENCODERS = ("libx264", "libopenh264", "h264_nvenc")
ENCODER_VARIABLE = "VOICEREEL_H264_ENCODER"
# A fixed thread count makes x264 repeat itself bit by bit; rendering has the other core.
OPTIONS: dict[str, dict[str, str]] = {
    # Key frames three times finer than the rest: a coarse one every five seconds would be seen as a pulse.
    "libx264": {
        "preset": "superfast",
        "crf": "19",
        "bf": "0",
        "threads": "1",
        "x264-params": "ipratio=3:chroma-qp-offset=-4",
    },
    "libopenh264": {"rc_mode": "quality", "allow_skip_frames": "0"},
    "h264_nvenc": {"preset": "p4", "rc": "constqp", "qp": "20", "bf": "0", "zerolatency": "1"},
}
BT601 = 6  # SMPTE 170M in the code points of H.264: what OpenCV's YUV conversion makes
AUDIO_BIT_RATE = {"mono": 96_000, "stereo": 160_000}
AUDIO_RATES = (44_100, 48_000)  # everything else becomes 48 kHz: some players refuse rarer rates
QUEUE_FRAMES = 4  # frames between renderer and encoder: enough overlap, little memory


def pick_encoder() -> str:
    """Name of the H.264 encoder: the operator's wish, else the first one this build of FFmpeg can open."""
    wish = os.environ.get(ENCODER_VARIABLE)
    for name in (wish,) if wish else ENCODERS:
        try:
            context = av.CodecContext.create(name, "w")
            context.width, context.height, context.pix_fmt = 256, 256, "yuv420p"  # type: ignore[attr-defined]  # its stubs lack them
            context.time_base = Fraction(1, 25)
            context.options = OPTIONS.get(name, {})
            context.open()
        except (av.error.FFmpegError, ValueError):
            continue
        return name
    tried = wish or ", ".join(ENCODERS)
    raise RenderError(
        "engine_failed", f"No H.264 encoder works here (tried {tried}).", f"Set {ENCODER_VARIABLE}."
    )


def write_clip(path: Path, frames: Iterable[Picture], plan: Plan, encoder: str) -> None:
    """Encode frames into one MP4; the file appears under its name only when it is complete and on disk."""
    partial = path.with_name(path.name + ".part")
    with av.open(str(partial), "w", format="mp4") as container:
        stream = _video_stream(container, plan, encoder)
        worker = _Encoder(container, stream)
        try:
            for frame in frames:
                worker.put(frame)
        finally:
            worker.finish()
    _settle(partial, path)


def _video_stream(container: av.container.OutputContainer, plan: Plan, encoder: str) -> VideoStream:
    stream = container.add_stream(encoder, rate=plan.fps)
    assert isinstance(stream, VideoStream)
    stream.width, stream.height, stream.pix_fmt = plan.width, plan.height, "yuv420p"
    stream.options = dict(OPTIONS.get(encoder, {}))
    context = stream.codec_context
    context.gop_size = plan.frames_per_clip
    context.color_primaries = context.color_trc = context.colorspace = BT601
    context.color_range = 1  # limited
    return stream


class _Encoder:
    """Encodes in a thread of its own, so that the next frame is rendered meanwhile."""

    def __init__(self, container: av.container.OutputContainer, stream: VideoStream) -> None:
        self._container, self._stream = container, stream
        self._queue: Queue[Picture | None] = Queue(QUEUE_FRAMES)
        self._error: Exception | None = None
        self._thread = Thread(target=self._run, name="encode", daemon=True)
        self._thread.start()

    def put(self, frame: Picture) -> None:
        if self._error:
            raise self._error
        self._queue.put(frame)

    def finish(self) -> None:
        self._queue.put(None)
        self._thread.join()
        if self._error:
            raise self._error

    def _run(self) -> None:
        index = 0
        while (frame := self._queue.get()) is not None:
            if self._error:
                continue  # keep emptying the queue, so that the renderer never waits for ever
            try:
                self._encode(to_yuv(frame), index)
            except Exception as error:  # noqa: BLE001 - handed to the renderer's thread
                self._error = error
            index += 1
        if not self._error:
            self._container.mux(self._stream.encode(None))

    def _encode(self, yuv: AnyArray, index: int) -> None:
        picture = av.VideoFrame.from_ndarray(yuv, format="yuv420p")
        picture.pts = index
        picture.time_base = Fraction(1, self._stream.codec_context.framerate)
        self._container.mux(self._stream.encode(picture))


def clip_frames(path: Path) -> int:
    """Number of frames in a finished clip; 0 when the file is missing or damaged."""
    try:
        with av.open(str(path), format="mp4") as container:
            stream = container.streams.video[0]
            return sum(1 for packet in container.demux(stream) if packet.size)
    except (av.error.FFmpegError, OSError, IndexError):
        return 0


def join(clips: list[Path], audio: Path, output: Path, plan: Plan) -> Iterator[float]:
    """Join clips and sound into `output`, yielding the share done after each clip.

    Video packets are copied; sound is decoded and encoded in a stream, in step with the clips, so that
    neither waits in memory for the other.  The AAC encoder's start-up samples are hidden by the container's
    edit list.
    """
    partial = output.with_name(output.name + ".part")
    with av.open(str(partial), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        with av.open(str(clips[0]), format="mp4") as first:
            video = container.add_stream_from_template(first.streams.video[0])
        track = _SoundTrack(container, audio)
        for index, clip in enumerate(clips):
            first_frame = plan.clip_frames(index).start
            _copy(container, video, clip, Fraction(first_frame, plan.fps))
            track.until(float(Fraction(plan.clip_frames(index).stop, plan.fps)))
            yield (index + 1) / len(clips)
        track.finish()
    _settle(partial, output)


def _copy(container: av.container.OutputContainer, video: VideoStream, clip: Path, start: Fraction) -> None:
    with av.open(str(clip), format="mp4") as source:
        for packet in source.demux(source.streams.video[0]):
            if not packet.size or packet.pts is None or packet.dts is None:
                continue
            shift = round(start / packet.time_base)
            packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
            packet.stream = video
            container.mux(packet)


class _SoundTrack:
    """The AAC stream of the film, encoded only as far as the video has come."""

    def __init__(self, container: av.container.OutputContainer, audio: Path) -> None:
        layout, rate = sound.channel_layout(audio)
        self._rate = rate if rate in AUDIO_RATES else 48_000
        self._container = container
        self._stream = container.add_stream("aac", rate=self._rate, layout=layout)
        self._stream.bit_rate = AUDIO_BIT_RATE[layout]
        self._frames = sound.decode(audio, self._rate, layout)
        self._samples = 0

    def until(self, seconds: float) -> None:
        """Encode sound up to a moment of the film."""
        for frame in self._frames:
            frame.pts, frame.time_base = self._samples, Fraction(1, self._rate)
            self._samples += frame.samples
            self._container.mux(self._stream.encode(frame))
            if self._samples >= seconds * self._rate:
                break

    def finish(self) -> None:
        """Encode whatever sound is left, and the encoder's own remainder."""
        self.until(float("inf"))
        self._container.mux(self._stream.encode(None))


def _settle(partial: Path, path: Path) -> None:
    """Force a file to disk, then give it its name: a reader never sees half of it, not even after a power
    cut.
    """
    descriptor = os.open(partial, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    partial.replace(path)
