"""Start a child that looks at untrusted files: next to no environment, a fresh session, killed when its time is over.

Where the system allows it children come from a nursery, one for each process of ours, kept until that ends.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import IO, Any

from jobs.media import nursery
from jobs.media.nursery import Gone, Nursery
from jobs.media.sandbox import Limits

ROOT = Path(__file__).resolve().parents[2]
# Arguments: where our code is, the module, and what its `main` is told.
BOOT = """
import importlib, json, sys
sys.path.insert(0, sys.argv.pop(1))
importlib.import_module(sys.argv.pop(1)).main(*map(json.loads, sys.argv[1:]))
"""
ANSWER = 64 * 1024
WALL_FACTOR = 2
# These speak of the child's end, not of the file.
OUT_OF_TIME = {-signal.SIGXCPU, -signal.SIGKILL}
PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")

_nurseries: dict[str, Nursery] = {}
_lock = threading.Lock()


def answer(
    module: str,
    order: Mapping[str, Any],
    limits: Limits,
    *,
    python: str = "",
    environment: Mapping[str, str] | None = None,
) -> tuple[int, dict[str, Any]]:
    """How the child ended, and the JSON object that it answered; {} where it answered none.

    The module's `main` is given the order, `parent` and `limits` among it, and its `load` imports whatever that needs.
    `python`: another interpreter than ours. A child past its time is killed, which reads as -SIGKILL.
    """
    told = {**order, "parent": os.getpid(), "limits": asdict(limits)}
    seconds = limits.cpu_seconds * WALL_FACTOR
    if python or environment or not nursery.works_here():
        command = _command(python or sys.executable, module, json.dumps(told))
        env = {**_environment(), **(environment or {})}
        return _answered(partial(_run, command, env, seconds=seconds))
    # Should somebody have killed the nursery, a second one is asked.
    for _ in range(2):
        kept = _nursery(module)
        try:
            return _answered(partial(kept.child, told, seconds=seconds))
        except Gone:
            _forget(module, kept)
    return nursery.FAILED, {}


def ready(module: str) -> None:
    """Start the nursery of these children, where there will be one."""
    if nursery.works_here():
        _nursery(module)


def _answered(run: Callable[[IO[bytes]], int]) -> tuple[int, dict[str, Any]]:
    # A file, not a pipe: the child's file limit then bounds what it can answer.
    with tempfile.TemporaryFile() as out:
        status = run(out)
        out.seek(0)
        return status, _read(out.read(ANSWER))


def _command(python: str, *words: str) -> list[str]:
    return [python, "-I", "-B", "-c", BOOT, str(ROOT), *words]


def _nursery(module: str) -> Nursery:
    with _lock:
        if module not in _nurseries:
            command = _command(sys.executable, nursery.__name__, json.dumps(module))
            _nurseries[module] = Nursery(command, _environment())
        return _nurseries[module]


def _forget(module: str, kept: Nursery) -> None:
    with _lock:
        if _nurseries.get(module) is kept:
            del _nurseries[module]
            kept.close()


@atexit.register
def close() -> None:
    """End the nurseries of this process; the next child starts another."""
    with _lock:
        while _nurseries:
            _nurseries.popitem()[1].close()


def _abandon() -> None:
    global _lock  # noqa: PLW0603  another thread may have held it when the process forked
    _lock = threading.Lock()
    while _nurseries:
        _nurseries.popitem()[1].abandon()


os.register_at_fork(after_in_child=_abandon)


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
