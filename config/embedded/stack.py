"""The whole platform on one machine, in one folder: servers, migrations, processes.

DATABASE_URL, REDIS_URL and S3_* in the environment replace the embedded parts.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.client
import importlib.metadata
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TextIO

from config.embedded import process
from config.embedded.home import CHECKOUT, VARIABLE, Home, started_at, write_private
from config.embedded.postgres import Postgres
from config.embedded.process import StartError
from config.embedded.redis import Redis
from config.embedded.supervisor import Child, Supervisor, kill_orphans

FIRST_PORT = 8000
DATABASE = "voicereel"
# What another process must know to work on the same platform; stack.json carries these.
SHARED = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "MEDIA_DIR", "RENDER_DIR", "PUBLIC_URL", VARIABLE)
SHARED_PREFIXES = ("S3_", "FETCH_", "FAKE_")
# Celery warns root about pickled messages; ours are JSON.
NO_ROOT_LECTURE = "ignore:You're running the worker with superuser"
BEAT_DELAY = 3.0  # nothing is due at once, and the others need both cores to start


class Stack:
    """One stack in one home. `run` blocks until it is asked to stop."""

    def __init__(self, home: Home, *, port: int = 0, out: TextIO = sys.stdout) -> None:
        self.home = home
        self.out = out
        self.port = choose_port(port)
        self.url = f"http://127.0.0.1:{self.port}"
        self.postgres = None if os.environ.get("DATABASE_URL") else Postgres(home.postgres)
        self.redis = None if os.environ.get("REDIS_URL") else Redis(home.redis, password=home.secret("redis"))
        self.env: dict[str, str] = {}
        self.supervisor: Supervisor | None = None

    def run(self, when_ready: Callable[[], None], *, patience: float = math.inf) -> None:
        """Starts everything, calls `when_ready` once it serves, stops everything when a signal asks.

        A stack that does not serve after `patience` seconds is a StartError.
        """
        with only_one_in(self.home):
            run_dir = self.home.root / "run"
            shutil.rmtree(run_dir, ignore_errors=True)
            run_dir.mkdir()
            supervisor = Supervisor(self._children(run_dir), run_dir=run_dir, out=self.out)
            self.supervisor = supervisor
            supervisor.listen_for_signals()
            try:
                self._start_servers()
                supervisor.env = self.env
                self._prepare()
                self._write_stack_file()
                supervisor.run(when_ready=when_ready, serves=self._serves, patience=patience)
            except TimeoutError as error:
                raise StartError(str(error)) from None
            finally:
                self.home.stack_file.unlink(missing_ok=True)
                supervisor.stop()
                self._stop_servers()
                kill_orphans()

    def ask_stop(self) -> None:
        if self.supervisor:
            self.supervisor.ask_stop()

    def _start_servers(self) -> None:
        given = {
            "SECRET_KEY": self.home.secret("django", size=48),
            "MEDIA_DIR": str(self.home.root / "files"),
            "RENDER_DIR": str(self.home.root / "renders"),
            "PUBLIC_URL": self.url,
            "STATIC_ROOT": str(self.home.root / "static"),
        }
        if self.redis:
            self.redis.launch()
            given["REDIS_URL"] = self.redis.url()
        if self.postgres:
            self.postgres.start()
            self.postgres.make_database(DATABASE)
            given["DATABASE_URL"] = self.postgres.url(DATABASE)
        if self.redis:
            self.redis.wait()
        own = {
            VARIABLE: str(self.home.root),
            "PYTHONUNBUFFERED": "1",
            "DJANGO_SETTINGS_MODULE": "config.settings",
        }
        self.env = {**given, **os.environ, **own}

    def _stop_servers(self) -> None:
        """Last of all: the children need both to put their work down."""
        if self.redis:
            self.redis.stop()
        if self.postgres:
            self.postgres.stop()

    def _prepare(self) -> None:
        """Runs the migrations, unless our own database has seen exactly these, and packs the static files, likewise."""
        database = self.env["DATABASE_URL"].rpartition("/")[2]
        needed = {
            "migrate": fingerprint(CHECKOUT.glob("*/migrations/*.py")) + database,
            "collectstatic --clear": fingerprint(CHECKOUT.glob("static/**/*.*")) + self.env["STATIC_ROOT"],
        }
        started = {}
        for command, state in needed.items():
            stamp = self.home.root / f"{command.split()[0]}.done"
            known = stamp.exists() and stamp.read_text() == state
            if not known or (command == "migrate" and not self.postgres):
                stamp.unlink(missing_ok=True)
                words = [sys.executable, "manage.py", *command.split(), "--no-input", "--verbosity", "0"]
                started[command] = subprocess.Popen(words, env=self.env, cwd=CHECKOUT, process_group=0)
        for command, child in started.items():
            if child.wait():
                raise StartError(f"manage.py {command} failed: it ended with {child.returncode}.")
            (self.home.root / f"{command.split()[0]}.done").write_text(needed[command])

    def _children(self, run_dir: Path) -> list[Child]:
        python = sys.executable
        celery = [python, "-W", NO_ROOT_LECTURE, "-m", "celery", "-q", "-A", "config"]
        # Mingle alone waits a second for neighbours that do not exist.
        worker = [*celery, *"worker --loglevel INFO --without-gossip --without-mingle".split()]
        limits = "--log-level warning --no-access-log --lifespan off --timeout-graceful-shutdown 3".split()
        web = [
            python,
            "-W",
            "ignore:No directory at",
            "-m",
            "uvicorn",
            "config.asgi:application",
            "--host",
            "127.0.0.1",
            *limits,
        ]
        beat = [
            *celery,
            *"beat --loglevel WARNING --pidfile".split(),
            "",
            "--schedule",
            str(run_dir / "beat"),
        ]
        return [
            Child("web", [*web, "--port", str(self.port)]),
            Child("worker", [*worker, *"-Q default,media -c 2 -n worker@%h".split()], announces=True),
            # Threads, for they do nothing but wait; how many of them for one provider: jobs.dispatch.AT_ONCE.
            Child("orders", [*worker, *"-Q orders -P threads -c 8 -n orders@%h".split()], announces=True),
            Child("render", [*worker, *"-Q cpu -P solo -n render@%h".split()], announces=True),
            Child("poller", [python, "manage.py", "poller"]),
            Child("beat", beat, delay=BEAT_DELAY),
        ]

    def _serves(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()

    def _write_stack_file(self) -> None:
        names = [name for name in self.env if name in SHARED or name.startswith(SHARED_PREFIXES)]
        shared = {name: self.env[name] for name in names}
        pid = os.getpid()
        stack = {"pid": pid, "started": started_at(pid), "url": self.url, "env": shared}
        write_private(self.home.stack_file, json.dumps(stack, indent=1))


@contextlib.contextmanager
def only_one_in(home: Home) -> Iterator[None]:
    """Holds the home's lock. The kernel lets go of it when this process ends, however it ends."""
    home.make()
    with (home.root / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            where = home.running() or {"url": "still starting", "pid": "unknown"}
            raise StartError(
                f"A stack already runs in {home.root} ({where['url']}, pid {where['pid']}): "
                "stop it or choose another --home."
            ) from None
        yield


def choose_port(wanted: int) -> int:
    """The wanted port, else 8000 or the next free one."""
    if wanted:
        if not process.is_free(wanted):
            raise StartError(f"Port {wanted} is taken: choose another --port.")
        return wanted
    for port in range(FIRST_PORT, FIRST_PORT + 100):
        if process.is_free(port):
            return port
    raise StartError(f"No port from {FIRST_PORT} to {FIRST_PORT + 99} is free: choose one with --port.")


def fingerprint(files: Iterable[Path]) -> str:
    """Of these files' contents, and of the packages that bring some of their own."""
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.name.encode() + path.read_bytes())
    for package in ("django", "django-allauth", "django-htmx", "django-unfold", "djangorestframework"):
        digest.update(importlib.metadata.version(package).encode())
    return digest.hexdigest()
