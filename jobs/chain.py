"""A job longer than its route takes at once: attempts one after the other, one for each part of the voice.

Each is an order of its own, with the piece of the voice that is its part and the last picture of the part before. What a
finished part leaves, its film and that picture, lies in its attempt's workspace until the job has ended.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from jobs import media, storage
from jobs.gallery import workspace_prefix
from jobs.models import Asset, Attempt, Job
from jobs.states import AttemptStatus
from providers.base import InputFile
from providers.bounds import LEAST_PIECE_MS, bounds_of
from providers.models import Route

VOICE = "audio"
PIECE, FILM, PICTURE = "piece.wav", "part.mp4", "last.png"


def finished(attempts: Sequence[Attempt]) -> list[Attempt]:
    """The parts made so far of the chain that the newest of them belongs to, in order."""
    done = [a for a in attempts if a.part and a.status == AttemptStatus.SUCCEEDED]
    return [a for a in done if a.route_id == done[-1].route_id]


def is_last(attempt: Attempt) -> bool:
    """Nothing is left to film after it."""
    return not attempt.part or attempt.part == len(attempt.cuts) - 1


def length_ms(attempt: Attempt, job: Job) -> int:
    """How long its film is to be."""
    return part_ms(attempt.part, attempt.cuts, job.length_ms)


def part_ms(part: int, cuts: list[int], whole_ms: int) -> int:
    """The length of a part, or of the whole where there are none."""
    return int(cuts[part] - cuts[part - 1]) if part and cuts else whole_ms


def inputs(
    attempt: Attempt, job: Job, route: Route, files: dict[str, InputFile], *, seconds: int
) -> dict[str, InputFile]:
    """The inputs of one part: its piece of the voice, and the last picture before it. Plans the cuts of a first part.

    Raises MediaRefused and StorageError; nothing was ordered then.
    """
    voice = Asset.objects.get(pk=UUID(job.inputs[VOICE]["asset"]))
    with tempfile.TemporaryDirectory(prefix="voicereel-part-") as folder:
        whole, piece = Path(folder) / "voice", Path(folder) / PIECE
        storage.fetch(voice.key, whole)
        if not attempt.cuts:
            attempt.cuts = _planned(whole, route, job)
            Attempt.objects.filter(pk=attempt.pk).update(cuts=attempt.cuts)
        start, end = attempt.cuts[attempt.part - 1], attempt.cuts[attempt.part]
        media.piece(whole, start, end, piece)
        key = f"{workspace_prefix(attempt)}/{PIECE}"
        storage.put(key, piece, content_type="audio/wav")
        size = piece.stat().st_size
    address = storage.signed_get(key, seconds=seconds)
    made = {**files, VOICE: InputFile(address, "audio/wav", size, duration_ms=end - start)}
    if attempt.part > 1:
        made["image"] = _picture(job, attempt, seconds)
    return made


def _planned(voice: Path, route: Route, job: Job) -> list[int]:
    bounds = bounds_of(route)
    assert bounds is not None  # or the route had not been chosen
    least = max(bounds.shortest_ms, LEAST_PIECE_MS)
    found = media.cuts(voice, limit_ms=bounds.longest_ms, least_ms=least)
    # The length that was frozen is the one that counts.
    return [*found[:-1], job.length_ms]


def _picture(job: Job, attempt: Attempt, seconds: int) -> InputFile:
    before = job.attempts.filter(
        route_id=attempt.route_id, part=attempt.part - 1, status=AttemptStatus.SUCCEEDED
    ).latest("number")
    address = storage.signed_get(f"{workspace_prefix(before)}/{PICTURE}", seconds=seconds)
    return InputFile(address, "image/png", **before.result["picture"], made=True)


def keep(attempt: Attempt, film: Path, folder: Path) -> dict[str, Any]:
    """Put a finished part's film and its last picture where the next part, and the joining, find them.

    A film may be smaller than the pictures that its own provider takes: the picture is enlarged to those.
    """
    picture = folder / PICTURE
    media.last_frame(film, picture, least_side=_least_side(attempt))
    probe = media.probe(picture, expect="image")
    prefix = workspace_prefix(attempt)
    storage.put(f"{prefix}/{FILM}", film, content_type="video/mp4")
    storage.put(f"{prefix}/{PICTURE}", picture, content_type="image/png")
    return {**attempt.result, "picture": {"bytes": probe.bytes, "width": probe.width, "height": probe.height}}


def _least_side(attempt: Attempt) -> int:
    route = Route.objects.filter(pk=attempt.route_id).first()
    bounds = bounds_of(route) if route else None
    return bounds.sides[0] if bounds else 0


def join(job: Job, last: Path, folder: Path, dest: Path) -> None:
    """One film of all parts, of which the last is given, under the whole voice."""
    parts = finished(list(job.attempts.order_by("number")))
    voice = folder / "voice"
    storage.fetch(Asset.objects.get(pk=UUID(job.inputs[VOICE]["asset"])).key, voice)
    films = [folder / f"part-{part.part}" for part in parts[:-1]]
    for part, film in zip(parts, films, strict=False):
        storage.fetch(f"{workspace_prefix(part)}/{FILM}", film)
    media.join([*films, last], voice, parts[-1].cuts, dest)
