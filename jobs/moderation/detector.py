"""The nudenet library's detector, with the model of its wheel. Imported in the judging child alone.

The wheel's metadata says MIT, its licence files are AGPL-3.0: an operator's decision, never installed by default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from nudenet import NudeDetector
from nudenet.nudenet import __labels as LABELS  # noqa: N812  the only list of what it can find


class Detector:
    """`model`: "" for the small one of the wheel, or a larger one's ONNX file."""

    def __init__(self, model: str) -> None:
        self.detector = NudeDetector(model_path=model or None)

    def shares(self, pictures: Sequence[Path]) -> list[Mapping[str, float]]:
        return [self._found(picture) for picture in pictures]

    def _found(self, picture: Path) -> Mapping[str, float]:
        """What was found nowhere has a share of 0."""
        shares = dict.fromkeys(LABELS, 0.0)
        for part in self.detector.detect(str(picture)):
            shares[part["class"]] = max(shares[part["class"]], float(part["score"]))
        return shares
