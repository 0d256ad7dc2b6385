"""The supervisor alone, over programs of a line each."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from config.embedded import process
from config.embedded.home import CHECKOUT
from tests.embedded.processes import alive, descendants

PROGRAM = """
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from config.embedded.supervisor import Child, Supervisor, kill_orphans
children = [Child(name, [sys.executable, "-c", code]) for name, code in {children!r}.items()]
supervisor = Supervisor(children, run_dir=Path({run!r}))
supervisor.listen_for_signals()
supervisor.run(when_ready=lambda: print("up", flush=True), serves=lambda: True, patience=60)
supervisor.stop()
kill_orphans()
"""
SLEEP = "import time; time.sleep(600)"
DEAF = "import signal, time; [signal.signal(n, signal.SIG_IGN) for n in (2, 15)]; time.sleep(600)"
PARENT = (
    "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], "
    "start_new_session=True); time.sleep(600)"
)
TALKER = "import os, sys; os.write(1, b'half'); os.write(1, b' a line\\nand \\xff more'); sys.exit(3)"


Supervise = Callable[..., tuple[subprocess.Popen[bytes], Path]]


@pytest.fixture
def supervise(tmp_path) -> Generator[Supervise, None, None]:
    started = []

    def start(**children: str) -> tuple[subprocess.Popen[bytes], Path]:
        log = tmp_path / "log"
        program = PROGRAM.format(children=children, run=str(tmp_path))
        with log.open("wb") as out:
            started.append(process.spawn([sys.executable, "-c", program], cwd=CHECKOUT, output=out.fileno()))
        return started[-1], log

    yield start
    for popen in started:
        process.stop(popen, signal.SIGTERM, seconds=10)


def until_log(log: Path, text: str) -> None:
    assert process.until(lambda: text in log.read_text(), seconds=20, pause=0.05), log.read_text()


def test_stop_ends_the_deaf_and_the_runaways(supervise):
    popen, log = supervise(calm=SLEEP, deaf=DEAF, parent=PARENT)
    until_log(log, "up\n")
    assert process.until(lambda: len(descendants(popen.pid)) == 4, seconds=10)
    tree = descendants(popen.pid)
    popen.send_signal(signal.SIGINT)
    assert popen.wait(15) == 0
    assert alive(tree) == []


def test_a_crash_is_told_and_mended(supervise):
    _, log = supervise(talker=TALKER)
    until_log(log, "talker | ended with 3; starts again in 2 s")
    text = log.read_text().replace("up\n", "")
    told = "talker | half a line\ntalker | and \ufffd more\ntalker | ended with 3; starts again in 1 s\n"
    assert text.startswith(told)
