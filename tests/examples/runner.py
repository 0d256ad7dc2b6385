"""Runs a page's examples as they stand on it: files are saved, then each language's blocks run from top to bottom."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import wave
from dataclasses import dataclass
from pathlib import Path

import playwright
import pytest

from config.docs.markdown import Example
from tests.rest import SAMPLES

SECONDS = 2  # of the voice: what is shown does not need more
PATIENCE = 240  # a busy machine
# Between the output of one block and that of the next.
MARK = "\x1e"
MARKS = {
    "python": f"print({MARK!r}, flush=True)",
    "bash": f"printf '%s\\n' '{MARK}'",
    "js": f"console.log({MARK!r});",
}
RUN = tuple(MARKS)


@dataclass(frozen=True)
class Ran:
    """What a block printed."""

    example: Example
    output: str


def tool(name: str) -> str:
    """A program that the examples need. Playwright brings a Node.js."""
    bundled = Path(playwright.__file__).parent / "driver" / name
    found = shutil.which(name) or (str(bundled) if bundled.exists() else None)
    return found or pytest.fail(f"{name} is missing: install it; the examples of the documentation need it.")


def prepare(folder: Path) -> None:
    """The two files that the pages speak of."""
    shutil.copy(SAMPLES / "portrait.jpg", folder)
    with wave.open(str(SAMPLES / "speech.wav")) as whole, wave.open(str(folder / "speech.wav"), "wb") as cut:
        cut.setparams(whole.getparams())
        cut.writeframes(whole.readframes(SECONDS * whole.getframerate()))


def run(examples: list[Example], folder: Path, env: dict[str, str]) -> list[Ran]:
    prepare(folder)
    programs = folder / "bin"
    programs.mkdir()
    for name in ("curl", "jq", "node"):
        (programs / name).symlink_to(tool(name))
    python = programs / "python"  # not a link: it would forget which packages are installed
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    env = {**os.environ, **env, "PATH": f"{programs}:{os.environ['PATH']}"}
    for example in examples:
        if name := example.options.get("file"):
            (folder / name).write_text(example.code)
    shown = [example for example in examples if runs(example)]
    return [ran for language in RUN for ran in _session(language, shown, folder, env)]


def runs(example: Example) -> bool:
    return example.language in RUN and not {"file", "not-run"} & set(example.options)


def _session(language: str, shown: list[Example], folder: Path, env: dict[str, str]) -> list[Ran]:
    blocks = [example for example in shown if example.language == language]
    if not blocks:
        return []
    text = "".join(f"{block.code}\n{MARKS[language]}\n" for block in blocks)
    commands = {
        "python": [sys.executable, "-c", text],
        "bash": ["bash", "-euo", "pipefail", "-c", text],
        "js": ["node", "--input-type=module", "-e", text],
    }
    code, printed, complaints = _finished(commands[language], folder, env)
    outputs = printed.split(f"{MARK}\n")
    if code:
        number = min(len(outputs), len(blocks)) - 1
        pytest.fail(f"{language} ended with {code}:\n{blocks[number].code}\n{printed}{complaints}")
    return [Ran(block, output) for block, output in zip(blocks, outputs, strict=False)]


def _finished(command: list[str], folder: Path, env: dict[str, str]) -> tuple[int, str, str]:
    """Its exit code and outputs. Whatever it left running in the background ends with it."""
    paths = folder / "stdout", folder / "stderr"
    with paths[0].open("wb") as out, paths[1].open("wb") as err:
        started = subprocess.Popen(
            command, cwd=folder, env=env, stdout=out, stderr=err, start_new_session=True
        )
        try:
            code = started.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            code = -signal.SIGALRM
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)
            started.wait()
    return code, paths[0].read_text(), paths[1].read_text()
