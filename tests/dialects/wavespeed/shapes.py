"""The vendor's captured payloads, and how an answer of ours is compared with one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "wire" / "wavespeed"


def captured(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text())


def missing(ours: Any, theirs: Any, at: str = "") -> list[str]:
    """Where ours lacks a field of theirs or has it with another JSON type; more fields are fine."""
    if isinstance(theirs, bool) or theirs is None or isinstance(theirs, str):
        return [] if type(ours) is type(theirs) else [f"{at}: {ours!r} is not like {theirs!r}"]
    if isinstance(theirs, int | float):
        fits = isinstance(ours, int | float) and not isinstance(ours, bool)
        return [] if fits else [f"{at}: {ours!r} is no number"]
    if isinstance(theirs, list):
        if not isinstance(ours, list):
            return [f"{at}: no list"]
        return [found for entry in ours[:1] if theirs for found in missing(entry, theirs[0], f"{at}[0]")]
    if not isinstance(ours, dict):
        return [f"{at}: no object"]
    absent = [f"{at}.{name} is missing" for name in theirs if name not in ours]
    return absent + [
        found
        for name in theirs
        if name in ours
        for found in missing(ours[name], theirs[name], f"{at}.{name}")
    ]
