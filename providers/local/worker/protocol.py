"""The order a render process receives and the events it answers with.

The order is ``WORKDIR/order.json``; the events are JSON objects, one per line, on stdout, each flushed at
once. A process that cannot keep its promise ends with one ``error`` event and exit status 3; any other end
without a ``done`` event is a crash, and the worker may start it again with ``clips_done`` set to resume.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

ORDER_FILE = "order.json"
EXIT_CODED_ERROR = 3
# by area, and by shape for a shot of fixed size
RESOLUTIONS = ("480p", "720p", "1:1", "3:4")
STYLES = ("normal", "calm", "active")
CORNERS = 4


class RenderError(Exception):
    """A failure with a stable code, a sentence for a person, a hint, and whether trying again can help."""

    def __init__(self, code: str, message: str, hint: str = "", *, retryable: bool = False) -> None:
        super().__init__(message)
        self.code, self.message, self.hint, self.retryable = code, message, hint, retryable


@dataclass(frozen=True)
class Limits:
    """Resource limits of the process, in the units of ``setrlimit(2)``."""

    # The address space counts reserved memory too: a render lives in about 0.3 GB, of 1.5 GB reserved.
    memory_bytes: int = 4 * 1024**3
    cpu_seconds: int = 3600
    file_bytes: int = 4 * 1024**3


@dataclass(frozen=True)
class Order:
    """What to render.  Paths are absolute; files are recognised by content, never by name."""

    workdir: Path
    image: Path
    audio: Path
    resolution: str
    seed: int
    prompt: str = ""
    fps: int = 25
    frames_per_clip: int = 125
    clips_done: int = 0
    crop: tuple[int, int, int, int] | None = (
        None  # the part of the upright picture to film: left, top, right, bottom
    )
    style: str = "normal"  # how lively the head moves: one of STYLES
    limits: Limits = Limits()


def read_order(workdir: Path) -> Order:
    """Read and check ``WORKDIR/order.json``; raises `RenderError` ``engine_failed`` if it is wrong."""
    try:
        raw = json.loads((workdir / ORDER_FILE).read_text("utf-8"))
    except (OSError, ValueError) as error:
        _refuse(f"{ORDER_FILE} cannot be read: {error}")
    if not isinstance(raw, dict):
        _refuse(f"{ORDER_FILE} must hold one object")
    resolution = raw.get("resolution", "480p")
    if resolution not in RESOLUTIONS:
        _refuse(f"resolution must be one of {', '.join(RESOLUTIONS)}")
    style = raw.get("style") or "normal"
    if style not in STYLES:
        _refuse(f"style must be one of {', '.join(STYLES)}")
    return Order(
        workdir=workdir,
        image=_inside(workdir, raw, "image"),
        audio=_inside(workdir, raw, "audio"),
        resolution=resolution,
        seed=_whole(raw, "seed", 0, 0, 2**63 - 1),
        prompt=str(raw.get("prompt") or ""),
        fps=_whole(raw, "fps", 25, 5, 60),
        frames_per_clip=_whole(raw, "frames_per_clip", 125, 4, 250),
        clips_done=_whole(raw, "clips_done", 0, 0, 10**6),
        crop=_crop(raw.get("crop")),
        style=style,
        limits=_limits(raw.get("limits") or {}),
    )


def _refuse(why: str) -> NoReturn:
    raise RenderError(
        "engine_failed", f"The render order is not valid: {why}.", "This is a fault of the platform."
    )


def _inside(workdir: Path, raw: dict[str, Any], key: str) -> Path:
    value = raw.get(key)
    if not isinstance(value, str) or not value:
        _refuse(f"{key} is missing")
    path = (workdir / value).resolve()
    if not path.is_relative_to(workdir.resolve()):
        _refuse(f"{key} lies outside the work folder")
    return path


def _whole(raw: dict[str, Any], key: str, default: int, low: int, high: int) -> int:
    value = raw.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        _refuse(f"{key} must be a whole number from {low} to {high}")
    return value


def _crop(raw: object) -> tuple[int, int, int, int] | None:
    if raw is None:
        return None
    if not isinstance(raw, list) or len(raw) != CORNERS or not all(type(corner) is int for corner in raw):
        _refuse("crop must be four whole numbers")
    left, top, right, bottom = raw
    return left, top, right, bottom


def _limits(raw: object) -> Limits:
    if not isinstance(raw, dict):
        _refuse("limits must be an object")
    default = Limits()
    return Limits(
        memory_bytes=_whole(raw, "memory_bytes", default.memory_bytes, 1, 2**62),
        cpu_seconds=_whole(raw, "cpu_seconds", default.cpu_seconds, 1, 2**31),
        file_bytes=_whole(raw, "file_bytes", default.file_bytes, 1, 2**62),
    )


class Reporter:
    """Writes events to the file descriptor that was stdout when the process started."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __call__(self, event: str, **fields: object) -> None:
        """Write one event as one line; a closed pipe (the worker is gone) raises `BrokenPipeError`."""
        line = json.dumps({"event": event, **fields}, ensure_ascii=False).encode() + b"\n"
        while line:
            line = line[os.write(self._descriptor, line) :]

    def error(self, error: RenderError) -> None:
        """Write the last event of a failed render."""
        self("error", code=error.code, message=error.message, hint=error.hint, retryable=error.retryable)
