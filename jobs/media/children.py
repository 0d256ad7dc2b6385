"""Start a child that looks at untrusted files: next to no environment, a fresh session, killed when its time is over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from jobs.media.sandbox import Limits

ROOT = Path(__file__).resolve().parents[2]
BOOT = """
import importlib, sys
sys.path.insert(0, sys.argv.pop(1))
importlib.import_module(sys.argv.pop(1)).main()
"""
ANSWER = 64 * 1024
WALL_FACTOR = 2
# These speak of the child's end, not of the file.
OUT_OF_TIME = {-signal.SIGXCPU, -signal.SIGKILL}
PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")


def answer(
    module: str,
    order: Mapping[str, Any],
    limits: Limits,
    *,
    python: str = "",
    environment: Mapping[str, str] | None = None,
) -> tuple[int, dict[str, Any]]:
    """How the child ended, and the JSON object that it answered; {} where it answered none.

    The module's `main` reads the order, `parent` and `limits` among it, from its first argument. `python`: another
    interpreter than ours. A child past its time is killed, which reads as -SIGKILL.
    """
    told = {**order, "parent": os.getpid(), "limits": asdict(limits)}
    command = [python or sys.executable, "-I", "-B", "-c", BOOT, str(ROOT), module, json.dumps(told)]
    # A file, not a pipe: the child's file limit then bounds what it can answer.
    with tempfile.TemporaryFile() as out:
        status = _run(
            command, {**_environment(), **(environment or {})}, out, limits.cpu_seconds * WALL_FACTOR
        )
        out.seek(0)
        return status, _read(out.read(ANSWER))


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {**kept, "LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def _run(command: list[str], environment: dict[str, str], out: IO[bytes], seconds: float) -> int:
    child = subprocess.Popen(  # noqa: S603  an interpreter that the operator chose, and our own code
        command,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )
    try:
        return child.wait(seconds)
    except subprocess.TimeoutExpired:
        return -signal.SIGKILL
    finally:
        # Once waited for, its number may already be somebody else's.
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _read(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
