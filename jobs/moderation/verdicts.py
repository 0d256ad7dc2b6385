"""Does a picture or a film show what nobody wants to see here? Asked of a checker that the operator chooses.

A checker is a class that is named by a setting, made and asked in a confined child, so that neither its libraries nor
its memory are those of our processes. What it says is kept with the file (`Asset.moderation`). Where nobody was asked
nothing is known, which is never told as a no.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from jobs import media
from jobs.media import children
from jobs.media.sandbox import Limits

CHILD = "jobs.moderation.judge"
# What is looked at of a film, or of an animated picture.
MOST_PICTURES = 8
# A classifier of a hundred million weights needs 2 GiB with its libraries; they alone take half a minute to load on a
# busy machine.
LIMITS = Limits(memory_bytes=12 * 1024**3, cpu_seconds=120, file_bytes=children.ANSWER)
# The model is a folder of this machine's: nothing is looked for on the net.
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
INPUT, OUTPUT = "input", "output"
SEEN = frozenset({"image", "video"})
# Of a file that nobody could judge, and that the operator lets pass.
FAILED: Mapping[str, Any] = {"failed": True}


class CheckFailed(Exception):
    """The checker gave no answer; args[0] is for operators' logs."""

    code = "moderation_unavailable"


@dataclass(frozen=True)
class Verdict:
    """The label of most weight among those that count, with its share of 0 to 1."""

    flagged: bool
    label: str = ""
    share: float = 0.0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def checks(what: str) -> bool:
    """Whether inputs, or outputs, are judged here."""
    return bool(settings.MODERATION_CHECKER) and what in settings.MODERATION_CHECKS


def lacks(kind: str, known: Mapping[str, Any]) -> bool:
    """Whether an input of this kind, of which that much is known, is still to be judged."""
    return kind in SEEN and "flagged" not in known and checks(INPUT)


def flagged(known: Mapping[str, Any]) -> bool | None:
    """What was found; None where nobody has judged it."""
    found = known.get("flagged")
    return found if isinstance(found, bool) else None


def verdict(path: Path) -> Verdict:
    """What the checker says of a picture or a film. Raises CheckFailed."""
    with tempfile.TemporaryDirectory(prefix="voicereel-judge-") as folder:
        try:
            pictures = media.samples(path, Path(folder), MOST_PICTURES)
        except media.MediaRefused as refusal:
            raise CheckFailed(f"no pictures to judge: {refusal}") from None
        return _weighed(_shares(pictures))


def _shares(pictures: Sequence[Path]) -> list[Mapping[str, float]]:
    order = {
        "checker": settings.MODERATION_CHECKERS.get(settings.MODERATION_CHECKER, settings.MODERATION_CHECKER),
        "model": settings.MODERATION_MODEL,
        "pictures": [str(picture) for picture in pictures],
    }
    status, answer = children.answer(
        CHILD, order, LIMITS, python=settings.MODERATION_PYTHON, environment=OFFLINE
    )
    shares = answer.get("shares")
    if status != 0 or not isinstance(shares, list) or len(shares) != len(pictures):
        late = "; it was out of time" if status in children.OUT_OF_TIME else ""
        raise CheckFailed(f"the checker ended with {status}{late}: {str(answer.get('problem', ''))[:300]}")
    for found in shares:
        if not isinstance(found, dict) or not all(isinstance(share, float) for share in found.values()):
            raise CheckFailed(f"the checker answered nonsense: {str(found)[:300]}")
    return shares


def _weighed(shares: Sequence[Mapping[str, float]]) -> Verdict:
    """By the worst picture. A checker that knows none of the labels that count would let everything pass."""
    labels = {label.lower() for label in settings.MODERATION_LABELS}
    counted = [(share, name) for found in shares for name, share in found.items() if name.lower() in labels]
    if not counted:
        known = ", ".join(sorted({name for found in shares for name in found}))
        raise CheckFailed(f"MODERATION_LABELS names none of the checker's labels: {known}")
    share, label = max(counted)
    return Verdict(share >= settings.MODERATION_THRESHOLD, label, round(share, 4))
