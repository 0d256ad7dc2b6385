"""The child that asks a checker. It imports no Django and knows no secret, and may run under another interpreter.

The answer is {"shares": [{label: share of 0 to 1}, one for each picture]} or {"problem": a sentence for operators}.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from jobs.media.sandbox import Limits, confine, die_with_parent


class Checker(Protocol):
    """Made with MODERATION_MODEL before the child is confined, asked after: it may open files and start threads only
    while it is made.
    """

    def __init__(self, model: str) -> None: ...

    def shares(self, pictures: Sequence[Path]) -> list[Mapping[str, float]]:
        """Of each picture, a JPEG, every label that the checker knows, with its share of 0 to 1."""
        ...


def main(order: dict[str, Any]) -> None:
    # Libraries may print; the answer has its own descriptor and everything else goes to stderr.
    answer_to = os.dup(1)
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    logging.disable()
    die_with_parent(order["parent"])
    os.write(answer_to, json.dumps(_answer(order)).encode())
    os._exit(0)


def _answer(order: dict[str, Any]) -> dict[str, Any]:
    try:
        checker = _made(order["checker"], order["model"])
        confine(Limits(**order["limits"]))
        return {"shares": checker.shares([Path(picture) for picture in order["pictures"]])}
    # Whatever a library raises, the operator reads it.
    except Exception as error:  # noqa: BLE001  whatever an operator's checker raises
        return {"problem": f"{type(error).__name__}: {error}"}


def _made(name: str, model: str) -> Checker:
    module, _, kind = name.rpartition(".")
    found: Checker = getattr(importlib.import_module(module), kind)(model)
    return found
