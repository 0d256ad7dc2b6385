"""Starting child processes that cannot outlive us, and stopping them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1


class StartError(Exception):
    """Something does not start; the message is one line that says why."""


class MissingPartError(StartError):
    """Something this machine lacks; the message is one line that says what to install."""


def spawn(
    command: Sequence[str | os.PathLike[str]],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    output: int | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Starts a child in its own process group, without a terminal's input. `output` takes stdout and stderr.

    On Linux the kernel sends it `death_signal` when the THREAD that started it ends: use one that lasts.
    """
    return subprocess.Popen(
        [os.fspath(word) for word in command],
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        process_group=0,
        preexec_fn=_dies_with_us(death_signal),  # noqa: PLW1509  two system calls, no allocation, no locks
    )


def _dies_with_us(death_signal: signal.Signals) -> Callable[[], None] | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def ask_kernel() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != parent:  # we died between fork and prctl
            os._exit(1)

    return ask_kernel


def signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signals the child and what it started; quiet if all of it is gone."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):  # PermissionError: macOS, for a group of zombies
        return


def stop(process: subprocess.Popen[bytes], number: signal.Signals, *, seconds: float) -> None:
    """Asks with `number`, and kills the group if it has not gone in time."""
    if process.poll() is None:
        process.send_signal(number)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    signal_group(process, signal.SIGKILL)
    process.wait()


def until(ready: Callable[[], bool], *, seconds: float, pause: float = 0.02) -> bool:
    """Asks again and again; False if the time ran out."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True


def free_port() -> int:
    """A loopback port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
    except OSError:
        return False
    return True
