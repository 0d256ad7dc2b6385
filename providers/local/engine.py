"""The engine's child process: started with next to no environment, read line by line, stopped for sure."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from django.conf import settings

STOP_SECONDS = 0.6
STDERR_KEPT = 4000


class Engine:
    """A running engine child. Iterate `events(wait)`; None means: nothing new yet. Leaving the block ends the child."""

    def __init__(self, name: str, folder: Path) -> None:
        self.errors = folder / "engine.log"
        with self.errors.open("wb") as log:
            self.child = subprocess.Popen(  # noqa: S603  our own interpreter and module
                [sys.executable, "-s", "-m", "providers.local.worker", name, str(folder)],
                stdout=subprocess.PIPE,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=environment(),
                cwd=settings.BASE_DIR,
                start_new_session=True,
            )
        self.lines: queue.Queue[bytes | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.child.stdout is not None
        for line in self.child.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def event(self, wait: float) -> dict[str, Any] | None:
        """The next event, or None after `wait` seconds without one. Raises EOFError when the child has ended."""
        try:
            line = self.lines.get(timeout=wait)
        except queue.Empty:
            return None
        if line is None:
            raise EOFError
        event: dict[str, Any] = json.loads(line)
        return event

    def last_words(self) -> str:
        """The end of what the child wrote to stderr, for the operator's log."""
        return self.errors.read_bytes()[-STDERR_KEPT:].decode(errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.child.terminate()
        try:
            self.child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait()


def environment() -> Mapping[str, str]:
    """No secret of the platform reaches the process that decodes strangers' files."""
    kept = {
        name: os.environ[name] for name in ("PATH", "LANG", "VOICEREEL_H264_ENCODER") if name in os.environ
    }
    return {**kept, "PYTHONPATH": str(settings.BASE_DIR), "PYTHONDONTWRITEBYTECODE": "1"}
