"""The whole platform as a black box: the process tree of `manage.py up` against the suite's own servers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest
from xdist.scheduler import LoadScopeScheduling

from config.embedded import process
from config.embedded.home import CHECKOUT
from tests import services, template

LIVE = "live_stack"
RECEIVERS = 6
# Black box: it gets none of the variables that make this process a test.
TEST_ONLY = (*services.FIXED, "DJANGO_SETTINGS_MODULE", "PYTEST_CURRENT_TEST", "PYTHONWARNINGS")
QUICK = {
    "FAKE_PROVIDER": "1",
    "RETRY_STEP_MS": "200",
    "ORPHAN_SECONDS": "5",
    "RENDER_LEASE_SECONDS": "5",
    "WAVESPEED_SYNC_SECONDS": "10",
    "WEBHOOK_TIMEOUT_SECONDS": "6",
    "EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend",
}


class LiveStack:
    """A running platform. `receivers` are ports it may fetch from and send to; nothing listens there yet."""

    def __init__(self, home: Path, *, env: dict[str, str]) -> None:
        self.home = home
        self.port = process.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.receivers = [process.free_port() for _ in range(RECEIVERS)]
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.receivers)
        kept = {name: value for name, value in os.environ.items() if name not in TEST_ONLY}
        self.env = {**kept, **QUICK, "FETCH_ALLOW_HOSTS": hosts, **env}
        self.log = home.with_suffix(".log")
        self.process: subprocess.Popen[bytes] | None = None
        self.desk: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "manage.py", "up", "--port", str(self.port), "--home", self.home]
        with self.log.open("ab") as log:
            self.process = process.spawn(command, env=self.env, cwd=CHECKOUT, output=log.fileno())
        started = self.process
        ready = f"ready {self.url}\n"
        process.until(lambda: started.poll() is not None or ready in self.logs(), seconds=150, pause=0.1)
        if ready not in self.logs():
            self.stop()
            pytest.fail(f"The stack did not start:\n{self.logs()[-6000:]}")
        self.sql("DELETE FROM billing_freequota")  # as in the rest of the tests' world

    def stop(self) -> int:
        """Its exit code."""
        assert self.process is not None
        if self.desk:
            self.desk.communicate()  # at the end of its input it goes
        process.stop(self.process, signal.SIGTERM, seconds=20)
        return self.process.returncode

    def logs(self) -> str:
        return self.log.read_text(errors="replace")

    def pids(self) -> dict[str, int]:
        """The processes of the tree by name, as they are now."""
        return {file.stem: int(file.read_text()) for file in (self.home / "run").glob("*.pid")}

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Signals one process of the tree and returns its pid."""
        pid = self.pids()[name]
        os.kill(pid, number)
        return pid

    def wait_restarted(self, name: str, old: int, *, seconds: float = 30) -> int:
        """The pid of the successor, once it consumes."""
        ready = self.home / "run" / f"{name}.ready"
        assert process.until(
            lambda: self.pids().get(name) != old and ready.exists(), seconds=seconds, pause=0.1
        )
        return self.pids()[name]

    def manage(self, *words: str, check: bool = True) -> str:
        """What a management command printed; it finds the stack by its home, as an operator's would."""
        desk = self.desk = self.desk or self.open_desk()
        assert desk.stdin
        assert desk.stdout
        desk.stdin.write(json.dumps(words).encode() + b"\n")
        desk.stdin.flush()
        done = json.loads(desk.stdout.readline())
        if check and done["code"]:
            pytest.fail(f"manage.py {' '.join(words)} ended with {done['code']}:\n{done['out']}{done['err']}")
        return done["out"]

    def open_desk(self) -> subprocess.Popen[bytes]:
        """A command takes two seconds to load Django, and some tests ask for ten."""
        bare = {name: value for name, value in self.env.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
        command = [sys.executable, "-m", "tests.desk", "--home", str(self.home)]
        return subprocess.Popen(
            command, env=bare, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def create_org(
        self, name: str = "Acme", *, email: str = "", credit_usd: float = 20, **options: Any
    ) -> dict[str, Any]:
        """A new organization: {"organization", "login", "password", "api_key"}."""
        email = email or f"owner-{time.monotonic_ns()}@example.com"
        more = [f"--{option.replace('_', '-')}={value}" for option, value in options.items()]
        out = self.manage("create_org", name, "--email", email, "--credit-usd", str(credit_usd), *more)
        return json.loads(out.strip().splitlines()[-1])

    def sql(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query, [] of a statement without rows."""
        with psycopg.connect(self.env["DATABASE_URL"], autocommit=True) as connection:
            cursor = connection.execute(query, values)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="session")
def live_stack() -> Generator[LiveStack, None, None]:
    """One platform for all tests that ask for it. xdist runs these on one worker."""
    env = {
        "DATABASE_URL": template.copy(f"live_{services.WORKER or 'main'}"),
        "REDIS_URL": services.redis_url(services.NUMBER + 32),
        "S3_BUCKET": services.bucket("live"),
    }
    with tempfile.TemporaryDirectory(prefix="voicereel-live-", ignore_cleanup_errors=True) as folder:
        stack = LiveStack(Path(folder) / "home", env=env)
        try:
            stack.start()
            yield stack
        finally:
            stack.stop()


class Scheduling(LoadScopeScheduling):
    """A file's tests stay together, for the sake of its fixtures; all files that name `live_stack` do, too.

    xdist's own groups do not work with pytest 9.2: they need a private name that it no longer has.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return LIVE if uses_live_stack(path) else path


@cache
def uses_live_stack(path: str) -> bool:
    return LIVE in (CHECKOUT / path).read_text()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    return Scheduling(config, log)
