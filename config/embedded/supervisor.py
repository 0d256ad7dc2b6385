"""A supervised process tree: starts children, interleaves their output, restarts what crashes, stops all.

One thread does all of it, for the kernel's "kill me when my parent dies" is bound to the parent's thread.
"""

from __future__ import annotations

import ctypes
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TextIO

from config.embedded import process
from config.embedded.home import CHECKOUT, started_at

COLOURS = (36, 33, 32, 35, 34, 96, 93)
STEADY = 30.0  # a child that lived this long has earned a quick restart
BACKOFF = (0.5, 1, 2, 5, 10, 20, 30)
GRACE = 6.0  # renders continue from their last clip, so a stop need not wait for them
PR_SET_CHILD_SUBREAPER = 36
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class Child:
    """One program of the tree.

    `announces`: it touches READY_FILE when it serves. `delay`: it starts that many seconds later, unawaited.
    """

    name: str
    command: Sequence[str]
    announces: bool = False
    delay: float = 0.0
    popen: subprocess.Popen[bytes] | None = None
    crashes: int = 0
    born: float = 0.0
    due: float = 0.0
    rest: bytes = field(default=b"", repr=False)

    @property
    def runs(self) -> bool:
        return self.popen is not None and self.popen.poll() is None


class Supervisor:
    """Runs children until `stop` is asked for by a signal or by `ask_stop`."""

    def __init__(self, children: list[Child], *, run_dir: Path, out: TextIO = sys.stdout) -> None:
        self.children = children
        self.env: Mapping[str, str] = os.environ
        self.run_dir = run_dir
        self.out = out
        self.stopping = False
        self.wake = -1
        self.selector = selectors.DefaultSelector()
        self.width = max(len(child.name) for child in children)

    def run(self, *, when_ready: Callable[[], None], serves: Callable[[], bool], patience: float) -> None:
        """Blocks until asked to stop. Calls `when_ready` once: every child is up and `serves` says so."""
        adopt_orphans()
        announced = False
        last_moment = time.monotonic() + patience
        for child in self.children:
            child.due = time.monotonic() + child.delay
        while not self.stopping:
            self._start_due()
            self._pass_output(0.1 if not announced else 1.0)
            self._bury()
            if not announced and self._all_up() and serves():
                announced = True
                when_ready()
            elif not announced and time.monotonic() > last_moment:
                late = [child.name for child in self.children if not child.delay and not self._is_up(child)]
                raise TimeoutError(f"Not ready after {patience:.0f} s: {', '.join(late) or 'web'}.")

    def ask_stop(self, number: int = 0, frame: FrameType | None = None) -> None:
        self.stopping = True
        os.write(self.wake, b"\0")  # ends the wait for output

    def listen_for_signals(self) -> None:
        """From now on SIGINT, SIGTERM and SIGHUP ask for a stop, and end a wait at once."""
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()
        os.set_blocking(writer, False)
        self.wake = writer
        self.selector.register(reader, selectors.EVENT_READ, None)
        for number in STOPPING:
            signal.signal(number, self.ask_stop)

    def stop(self) -> None:
        """Asks every child to end, kills what has not gone in time, and whatever they left behind."""
        running = [child.popen for child in self.children if child.popen]
        for popen in running:
            if popen.poll() is None:
                popen.send_signal(signal.SIGTERM)
        end = time.monotonic() + GRACE
        while any(popen.poll() is None for popen in running) and time.monotonic() < end:
            self._pass_output(0.05)
        for popen in running:
            process.signal_group(popen, signal.SIGKILL)
            popen.wait()
        self._pass_output(0)

    def _start_due(self) -> None:
        now = time.monotonic()
        for child in self.children:
            if child.popen is None and child.due <= now:
                self._start(child)

    def _start(self, child: Child) -> None:
        ready = self.ready_file(child)
        ready.unlink(missing_ok=True)
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        env = {**self.env, "PROCESS_NAME": child.name, "READY_FILE": str(ready)}
        child.popen = process.spawn(child.command, env=env, cwd=CHECKOUT, output=writer)
        child.born = time.monotonic()
        (self.run_dir / f"{child.name}.pid").write_text(str(child.popen.pid))
        os.close(writer)
        self.selector.register(reader, selectors.EVENT_READ, child)

    def _bury(self) -> None:
        """Takes note of children that ended by themselves, and sets the time of their restart."""
        for child in self.children:
            if child.popen is None or child.runs:
                continue
            process.signal_group(child.popen, signal.SIGKILL)  # what it had started is nobody's now
            code, child.popen = child.popen.returncode, None
            now = time.monotonic()
            child.crashes = 0 if now - child.born > STEADY else child.crashes + 1
            pause = BACKOFF[min(child.crashes, len(BACKOFF) - 1)]
            child.due = now + pause
            self.say(child.name, f"ended with {code}; starts again in {pause:g} s")

    def ready_file(self, child: Child) -> Path:
        return self.run_dir / f"{child.name}.ready"

    def _all_up(self) -> bool:
        return all(self._is_up(child) for child in self.children if not child.delay)

    def _is_up(self, child: Child) -> bool:
        return child.runs and (not child.announces or self.ready_file(child).exists())

    def _pass_output(self, seconds: float) -> None:
        for key, _ in self.selector.select(seconds):
            if not isinstance(key.data, Child):
                os.read(key.fd, 4096)  # the wake-up of a signal
                continue
            self._read(key.fd, key.data)

    def _read(self, reader: int, child: Child) -> None:
        try:
            block = os.read(reader, 65536)
        except BlockingIOError:
            return
        if not block:
            self.selector.unregister(reader)
            os.close(reader)
        *lines, child.rest = (child.rest + block).split(b"\n")
        if not block and child.rest:
            lines, child.rest = [child.rest], b""
        for line in lines:
            self.say(child.name, line.decode(errors="replace").rstrip("\r"))

    def say(self, name: str, text: str) -> None:
        label = f"{name:<{self.width}} |"
        if self.out.isatty():
            number = next((i for i, child in enumerate(self.children) if child.name == name), 0)
            label = f"\x1b[{COLOURS[number % len(COLOURS)]}m{label}\x1b[0m"
        print(f"{label} {text}", file=self.out, flush=True)


def adopt_orphans() -> None:
    """From now on orphaned grandchildren become ours instead of init's: `kill_orphans` finds them."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def kill_orphans() -> None:
    """Kills and reaps every process that is still our child. Only for the very end of a stop."""
    for _ in range(20):  # a killed orphan hands us its own children
        found = list(_children_of(os.getpid()))
        if not found:
            return
        for pid in found:
            if started_at(pid):
                os.kill(pid, signal.SIGKILL)
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:
                continue


def _children_of(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return found
