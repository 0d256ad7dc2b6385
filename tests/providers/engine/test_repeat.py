"""Repeating, resuming and stopping a render."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from . import rendering


def test_same_order_gives_the_same_bytes(brief, tmp_path):
    again = rendering.render(tmp_path, audio=brief.workdir / "in/audio", frames_per_clip=20)
    assert again.output.read_bytes() == brief.output.read_bytes()
    assert (tmp_path / "poster.jpg").read_bytes() == (brief.workdir / "poster.jpg").read_bytes()


def test_another_seed_moves_otherwise(brief, tmp_path):
    other = rendering.render(tmp_path, audio=brief.workdir / "in/audio", frames_per_clip=20, seed=8)
    pairs = zip(rendering.frames_of(other.output), rendering.frames_of(brief.output), strict=True)
    assert any((a != b).mean() > 0.2 for a, b in pairs)


@pytest.mark.parametrize("damage", [False, True], ids=["whole", "damaged"])
def test_resuming_gives_the_same_bytes(brief, tmp_path, damage):
    workdir = rendering.prepare(tmp_path, audio=brief.workdir / "in/audio", frames_per_clip=20, clips_done=2)
    for name in ("clip-0000.mp4", "clip-0001.mp4"):
        shutil.copy(brief.workdir / name, workdir / name)
    if damage:  # a clip that was cut off on its way is rendered again
        clip = workdir / "clip-0001.mp4"
        clip.write_bytes(clip.read_bytes()[:2000])
    process = rendering.start(workdir)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    rendered = [line["index"] for line in map(json.loads, out.splitlines()) if line["event"] == "clip"]
    assert rendered == ([1, 2, 3] if damage else [2, 3])
    assert (workdir / "output.mp4").read_bytes() == brief.output.read_bytes()


def test_stops_at_once_when_asked(tmp_path):
    process = rendering.start(rendering.prepare(tmp_path))
    assert process.stdout
    for line in process.stdout:
        if json.loads(line).get("phase") == "render":
            break
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=5) == 143
    assert time.monotonic() - asked < 0.5
    process.communicate()
    assert not (tmp_path / "output.mp4").exists()


# The child writes into a file, not a pipe: a pipe would end it by closing, and prove nothing.
PARENT = """
import subprocess, sys, time
child = subprocess.Popen(sys.argv[2:], stdout=open(sys.argv[1], "wb"))
print(child.pid, flush=True)
time.sleep(60)
"""


def test_never_outlives_its_worker(tmp_path):
    rendering.prepare(tmp_path)
    lines = tmp_path / "lines"
    lines.touch()
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(lines), *rendering.COMMAND, str(tmp_path)],
        cwd=rendering.ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert parent.stdout
    child = int(parent.stdout.readline())
    while not lines.stat().st_size:
        time.sleep(0.02)
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 1
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(child)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state not in "ZX"
