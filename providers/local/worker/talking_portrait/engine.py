"""One order from start to end: read, plan, render the missing clips, join."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import cv2

from providers.local.worker.protocol import Order, Reporter

from . import cascades, encode, sound, voice
from .arrays import Picture
from .compose import Stage
from .motion import Motion
from .picture import cropped, read_picture, upright_size
from .plan import Plan, plan

OUTPUT, POSTER = "output.mp4", "poster.jpg"
REPORT_SECONDS = 0.4  # between progress lines
# Shares of the whole that the phases take, for one smooth progress bar.
ANALYSED, RENDERED = 0.04, 0.96


def run(order: Order, report: Reporter) -> None:
    """Render an order; raises `RenderError` for anything the customer or the operator can act on."""
    cv2.setNumThreads(1)  # the other core belongs to the encoder
    cascades.check()
    report("progress", phase="analyse", clip=0, clips=0, progress=0.0)
    picture = read_picture(order.image)
    if order.crop:
        picture = cropped(picture, order.crop, *upright_size(order.image))
    track = voice.analyse(sound.samples(order.audio, voice.RATE), order.fps)
    height, width = picture.shape[:2]
    film = plan(track.seconds, width, height, order.resolution, order.fps, order.frames_per_clip)
    stage, motion = Stage(picture, film), Motion(order.seed, track, order.fps, order.style)
    del picture
    report("plan", clips=film.clips, **_facts(film))
    clips = _Render(order, film, stage, motion, report).clips()
    for share in encode.join(clips, order.audio, order.workdir / OUTPUT, film):
        progress = RENDERED + (1 - RENDERED) * share
        report("progress", phase="mux", clip=film.clips, clips=film.clips, progress=round(progress, 4))
    _poster(order.workdir / POSTER, stage, motion, film)
    report("done", file=OUTPUT, poster=POSTER, has_audio=True, **_facts(film))


def _facts(film: Plan) -> dict[str, object]:
    return {
        "frames": film.frames,
        "fps": film.fps,
        "width": film.width,
        "height": film.height,
        "seconds": round(film.seconds, 6),
    }


class _Render:
    """The clip loop of one order."""

    def __init__(self, order: Order, film: Plan, stage: Stage, motion: Motion, report: Reporter) -> None:
        self._order, self._film, self._stage, self._motion, self._report = order, film, stage, motion, report
        self._encoder = encode.pick_encoder()
        self._reported = 0.0

    def clips(self) -> list[Path]:
        """Paths of all clips; those an earlier run has finished are kept when they are whole."""
        paths = []
        for index in range(self._film.clips):
            path = self._order.workdir / f"clip-{index:04d}.mp4"
            frames = self._film.clip_frames(index)
            if index >= self._order.clips_done or encode.clip_frames(path) != len(frames):
                encode.write_clip(path, self._frames(index, frames), self._film, self._encoder)
                self._report("clip", index=index, file=path.name, frames=len(frames))
            paths.append(path)
        return paths

    def _frames(self, clip: int, frames: range) -> Iterator[Picture]:
        for frame in frames:
            yield self._stage.frame(self._motion.pose(frame))
            if time.monotonic() - self._reported > REPORT_SECONDS:
                self._reported = time.monotonic()
                share = (frame + 1) / self._film.frames
                progress = round(ANALYSED + (RENDERED - ANALYSED) * share, 4)
                self._report("progress", phase="render", clip=clip, clips=self._film.clips, progress=progress)


def _poster(path: Path, stage: Stage, motion: Motion, film: Plan) -> None:
    """A still with open eyes, early in the film, where the mouth is speaking but not wide open."""
    poses = [motion.pose(frame) for frame in range(0, min(film.frames, film.fps * 4), 2)]
    best = min(poses, key=lambda pose: pose.blink * 4 + abs(pose.opening - 0.35))
    ok, data = cv2.imencode(".jpg", stage.frame(best), [cv2.IMWRITE_JPEG_QUALITY, 90])
    if not ok:
        raise OSError("the poster could not be encoded")
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(data.tobytes())
    partial.replace(path)
