"""`manage.py up` with the embedded servers: it starts, it refuses, it stops, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Generator
from pathlib import Path

import pytest

from config.embedded import process
from config.embedded.home import CHECKOUT
from tests import services
from tests.embedded.processes import alive, descendants
from tests.live import TEST_ONLY

SERVERS = ("DATABASE_URL", "REDIS_URL", "S3_")
pytestmark = pytest.mark.timeout(300)


class Up:
    """One `manage.py up` as a person would start it."""

    def __init__(self, folder: Path, name: str) -> None:
        self.home = folder / name
        self.port = process.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"{name}.log"
        with self.log.open("wb") as log:
            self.popen = process.spawn(self.command(), env=bare(), cwd=CHECKOUT, output=log.fileno())

    def command(self, *more: str) -> list[str]:
        return [sys.executable, "manage.py", "up", "--port", str(self.port), "--home", str(self.home), *more]

    def wait_ready(self) -> None:
        ready = f"ready {self.url}\n"
        process.until(
            lambda: self.popen.poll() is not None or ready in self.log.read_text(), seconds=200, pause=0.1
        )
        assert self.log.read_text().count(ready) == 1, self.log.read_text()[-4000:]

    def manage(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "manage.py", *words, "--home", str(self.home)]
        return subprocess.run(command, env=bare(), cwd=CHECKOUT, capture_output=True, text=True, check=False)


def bare() -> dict[str, str]:
    """The environment of somebody who runs no servers."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in TEST_ONLY and not name.startswith(SERVERS)
    }


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Generator[tuple[Up, Up], None, None]:
    """Two stacks side by side."""
    folder = tmp_path_factory.mktemp("up")
    stacks = Up(folder, "one"), Up(folder, "two")
    try:
        for stack in stacks:
            stack.wait_ready()
        yield stacks
    finally:
        for stack in stacks:
            process.stop(stack.popen, signal.SIGTERM, seconds=20)


def test_two_stacks_do_not_meet(pair):
    one, two = pair
    for stack in pair:
        with urllib.request.urlopen(f"{stack.url}/healthz") as answer:
            assert answer.status == 200
    made = one.manage("create_org", "Acme", "--email", "a@example.com")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout.splitlines()[-1])["login"] == "a@example.com"
    count = [
        "shell",
        "-v",
        "0",
        "-c",
        "from accounts.models import Organization as O; print(O.objects.count())",
    ]
    assert one.manage(*count).stdout.strip() == "1"
    assert two.manage(*count).stdout.strip() == "0"


def test_a_home_holds_one_stack(pair):
    one, _ = pair
    command = [*one.command(), "--port", str(process.free_port())]
    second = subprocess.run(command, env=bare(), cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert f"A stack already runs in {one.home} ({one.url}, pid {one.popen.pid})" in second.stderr
    assert len(second.stderr.strip().splitlines()) == 1


def test_a_taken_port_is_one_line(pair, tmp_path):
    one, _ = pair
    command = [sys.executable, "manage.py", "up", "--port", str(one.port), "--home", str(tmp_path / "third")]
    third = subprocess.run(command, env=bare(), cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert (third.returncode, third.stderr.strip()) == (
        1,
        f"CommandError: Port {one.port} is taken: choose another --port.",
    )


def test_what_a_home_holds_is_private(pair):
    home = pair[0].home
    assert stat.S_IMODE((home / "stack.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((home / "postgres" / "password").stat().st_mode) == 0o600
    assert stat.S_IMODE((home / "redis" / "redis.conf").stat().st_mode) == 0o600


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left(pair, number):
    """After a stop; and after a kill -9 of the supervisor, when only the kernel can end its children."""
    stack = pair[0 if number == signal.SIGTERM else 1]
    tree = descendants(stack.popen.pid)
    assert len(tree) > 8
    stack.popen.send_signal(number)
    code = stack.popen.wait(20)
    assert process.until(lambda: not alive(tree), seconds=10, pause=0.1), alive(tree)
    if number == signal.SIGTERM:
        assert code == 0
        assert not (stack.home / "stack.json").exists()
    else:
        # The next start finds the remains of the crash and is not bothered by them.
        again = Up(stack.home.parent, stack.home.name)
        try:
            again.wait_ready()
            again.popen.send_signal(signal.SIGINT)
            assert again.popen.wait(20) == 0
        finally:
            process.stop(again.popen, signal.SIGTERM, seconds=20)


def test_given_servers_are_used(live_stack):
    """DATABASE_URL and REDIS_URL in the environment: nothing is embedded."""
    assert not (live_stack.home / "postgres").exists()
    assert not (live_stack.home / "redis").exists()
    assert live_stack.env["DATABASE_URL"].startswith(os.environ["DATABASE_URL"].rpartition("/")[0])
    assert services.bucket_name("live") == live_stack.env["S3_BUCKET"]
