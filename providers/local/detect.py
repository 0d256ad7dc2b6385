"""The parent's side of a look at a picture: fetch it, start the confined child, believe only an answer in form."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings

from providers.base import Box, InputFile, Verdict
from providers.errors import Refused, Throttled, Unavailable
from providers.local.engine import environment

log = logging.getLogger(__name__)

RATIOS = ("", "1:1", "3:4")
SECONDS = 40
FETCH_SECONDS = 20
# Each look takes a core for about a second: more at once in one process would only make all of them late.
PLACES, WAIT_SECONDS = 2, 20
ANSWER_BYTES = 4000
CORNERS = 4

places = threading.BoundedSemaphore(PLACES)


def look(image: InputFile, ratio: str) -> Verdict:
    """Raises Refused, Throttled, Unavailable."""
    if ratio not in RATIOS:
        raise Refused(f"no shot of {ratio!r}", code="parameter_invalid", customer_message="Unknown ratio.")
    if not places.acquire(timeout=WAIT_SECONDS):
        raise Throttled("too many pictures at once")
    try:
        settings.RENDER_DIR.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="look-", dir=settings.RENDER_DIR) as name:
            folder = Path(name)
            _bring(image, folder / "picture")
            (folder / "ratio").write_text(ratio)
            return verdict(_child(folder))
    finally:
        places.release()


def _bring(image: InputFile, path: Path) -> None:
    try:
        with httpx.stream("GET", image.url, timeout=FETCH_SECONDS, trust_env=False) as response:
            response.raise_for_status()
            with path.open("wb") as file:
                for chunk in response.iter_bytes(1 << 20):
                    file.write(chunk)
    except httpx.HTTPError as error:
        raise Unavailable(f"the picture did not arrive: {error}") from error


def _child(folder: Path) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603  our own interpreter and module
            [sys.executable, "-s", "-m", "providers.local.worker.detect", str(folder)],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env=environment(),
            cwd=settings.BASE_DIR,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable("the look took too long") from error
    if done.returncode:
        log.warning("a look ended with %d: %s", done.returncode, done.stderr[-2000:].decode(errors="replace"))
        raise Unavailable("the look ended early")
    return done.stdout


def verdict(raw: bytes) -> Verdict:
    """The child's answer; Unavailable when it is not one."""
    try:
        said: dict[str, Any] = json.loads(raw[:ANSWER_BYTES])
        fit = {True: True, False: False}[said["fit"]]
        return Verdict(
            fit=fit,
            person=said.get("person") is True,
            face=_box(said.get("face")),
            frame=_box(said.get("frame")),
            code="" if fit else str(said["code"])[:64],
            message="" if fit else f"{said['message']} {said['hint']}".strip()[:500],
        )
    except (ValueError, TypeError, KeyError) as error:
        raise Unavailable("the look gave no answer") from error


def _box(value: Any) -> Box | None:
    if value is None:
        return None
    if len(value) != CORNERS or not all(type(corner) is int for corner in value):
        raise TypeError
    left, top, right, bottom = value
    return left, top, right, bottom
