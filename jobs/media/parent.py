"""The parent's side: what may be asked of the child, and what of its answers is believed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from jobs.media import children
from jobs.media.children import ANSWER
from jobs.media.results import UNDECIDED, Kind, MediaRefused, OutputRefused, Probe
from jobs.media.sandbox import Limits

CHILD = "jobs.media.child"
GIB = 1024**3
MIB = 1024**2
# A 40-megapixel picture needs 0.6 GiB at its worst (RGBA and copies), a 4K decoder 0.4; libraries map 0.3.
MEMORY = 2 * GIB
# Two hours of sound decode in 20 s on one slow core; the clock on the wall allows for a busy machine.
PROBE = Limits(memory_bytes=MEMORY, cpu_seconds=60, file_bytes=ANSWER)
STILL = Limits(memory_bytes=MEMORY, cpu_seconds=60, file_bytes=64 * MIB)
# Ten minutes of 720p decode in about 40 s.
WHOLE = Limits(memory_bytes=MEMORY, cpu_seconds=300, file_bytes=ANSWER)
WHOLE_SOUND = Limits(memory_bytes=MEMORY, cpu_seconds=60, file_bytes=256 * MIB)
WHOLE_STILLS = Limits(memory_bytes=MEMORY, cpu_seconds=300, file_bytes=4 * MIB)
PICTURE = Limits(memory_bytes=MEMORY, cpu_seconds=120, file_bytes=64 * MIB)
# Ten minutes of 720p are decoded and encoded anew in about five.
JOIN = Limits(memory_bytes=MEMORY, cpu_seconds=1200, file_bytes=2 * GIB)
SAMPLE_SIDE = 512


def warm() -> None:
    """Have the process ready out of which the children come: the first of them would wait for it."""
    children.ready(CHILD)


def probe(path: Path, *, expect: Kind | None = None) -> Probe:
    """What the file really is: of the kind expected, or of any. Raises MediaRefused and nothing else."""
    return _probe({"do": "probe", "path": str(path), "expect": expect}, PROBE)


def verify_output(path: Path, *, expect_ms: int, tolerance_ms: int, expect_audio: bool) -> Probe:
    """Decode the whole video: `expect_ms` long within `tolerance_ms`, with sound where asked.

    Raises OutputRefused: output_not_video, output_damaged, output_length, output_silent. A child that crashed
    or ran out of time is MediaRefused: that may be this machine's fault, and the next try may go well.
    """
    order = {"do": "verify", "path": str(path), "expect": "video", "expect_ms": expect_ms}
    order |= {"tolerance_ms": tolerance_ms, "expect_audio": expect_audio}
    try:
        return _probe(order, WHOLE)
    except MediaRefused as refusal:
        if refusal.code in UNDECIDED:
            raise
        raise OutputRefused("output_damaged", refusal.message) from None


def poster(path: Path, dest: Path) -> None:
    """Write an early frame that is not black to `dest`, a JPEG of at most 1280 px. Raises MediaRefused."""
    _make({"do": "poster", "path": str(path)}, dest)


def preview(path: Path, dest: Path) -> None:
    """Write the first 6 s to `dest`, a muted 360p MP4. Raises MediaRefused."""
    encoder = os.environ.get("VOICEREEL_H264_ENCODER", "")
    _make({"do": "preview", "path": str(path), "encoder": encoder}, dest)


def cuts(path: Path, *, limit_ms: int, least_ms: int) -> list[int]:
    """Where to cut a recording: 0, the milliseconds of its cuts, its end. Raises MediaRefused."""
    found = _ask({"do": "cuts", "path": str(path), "limit_ms": limit_ms, "least_ms": least_ms}, WHOLE)["cuts"]
    if not isinstance(found, list) or not all(type(at) is int for at in found) or found != sorted(found):
        raise _crashed()
    return found


def piece(path: Path, start_ms: int, end_ms: int, dest: Path) -> None:
    """Write that part of a recording to `dest`, a WAV file. Raises MediaRefused."""
    _make({"do": "piece", "path": str(path), "start_ms": start_ms, "end_ms": end_ms}, dest, WHOLE_SOUND)


def last_frame(path: Path, dest: Path, *, least_side: int = 0) -> None:
    """Write a film's last picture to `dest`, a PNG, enlarged where a side were below the least. Raises MediaRefused."""
    _make({"do": "last_frame", "path": str(path), "least_side": least_side}, dest, PICTURE)


def samples(path: Path, folder: Path, most: int) -> list[Path]:
    """Write up to `most` pictures of a picture or a film, spread over its length, into the folder: JPEGs of at most
    SAMPLE_SIDE px. Raises MediaRefused.
    """
    order = {"do": "samples", "path": str(path), "folder": str(folder), "most": most, "side": SAMPLE_SIDE}
    made = _ask(order, WHOLE_STILLS)["made"]
    found = [folder / f"{number}.jpg" for number in range(most)]
    found = [picture for picture in found if picture.is_file()]
    if not found or len(found) != made:
        raise _crashed()
    return found


def join(films: list[Path], voice: Path, bounds: list[int], dest: Path) -> None:
    """Write the films of a recording's parts, as `cuts` bounded them, to `dest` under the whole recording.

    Raises MediaRefused.
    """
    encoder = os.environ.get("VOICEREEL_H264_ENCODER", "")
    order = {"do": "join", "path": str(voice), "films": [str(film) for film in films], "bounds": bounds}
    _make({**order, "encoder": encoder}, dest, JOIN)


def _probe(order: dict[str, Any], limits: Limits) -> Probe:
    try:
        return Probe(**_ask(order, limits))
    except TypeError:  # a taken-over child may answer anything
        raise _crashed() from None


def _crashed() -> MediaRefused:
    hint = "Export it again, or use another format."
    return MediaRefused("probe_crashed", "This file could not be examined.", hint)


def _make(order: dict[str, Any], dest: Path, limits: Limits = STILL) -> None:
    """`dest` appears complete or not at all."""
    part = dest.with_name(f"{dest.name}.part")
    try:
        _ask({**order, "dest": str(part)}, limits)
        part.replace(dest)
    finally:
        part.unlink(missing_ok=True)


def _ask(order: dict[str, Any], limits: Limits) -> dict[str, Any]:
    status, answer = children.answer(CHILD, order, limits)
    if "ok" in answer and status == 0:
        return dict(answer["ok"])
    if "refused" in answer:
        raise MediaRefused(**answer["refused"])
    if "output" in answer:
        raise OutputRefused(**answer["output"])
    if status in children.OUT_OF_TIME:
        raise MediaRefused(
            "probe_timeout", "Looking at this file took too long.", "Upload a shorter or smaller file."
        )
    raise _crashed()
