"""Running the engine's child process for the benches, with its time and its peak memory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import wave
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PORTRAIT = ROOT / "tests/samples/portrait.jpg"
SPEECH = ROOT / "tests/samples/speech.wav"


@dataclass(frozen=True)
class Render:
    """A finished render: film, seconds of video, wall seconds (start of process to end), CPU seconds, peak MiB."""

    film: Path
    seconds: float
    wall: float
    cpu: float
    peak_mib: float


def render(workdir: Path, image: Path, audio: Path, resolution: str = "480p") -> Render:
    """Render once; raises `RuntimeError` when the engine does not finish."""
    (workdir / "in").mkdir(parents=True)
    shutil.copy(image, workdir / "in/image")
    shutil.copy(audio, workdir / "in/audio")
    order = {"image": "in/image", "audio": "in/audio", "resolution": resolution, "seed": 7, "prompt": ""}
    (workdir / "order.json").write_text(json.dumps(order))
    command = [sys.executable, "-m", "providers.local.worker", "talking_portrait", str(workdir)]
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    last = {}
    for line in process.stdout:
        last = json.loads(line)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"the engine ended with {process.returncode}: {last}")
    return Render(
        workdir / last["file"], last["seconds"], wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    )


def repeated(path: Path, seconds: float) -> Path:
    """The sample speech over and over, cut to a length."""
    with wave.open(str(SPEECH)) as source:
        parameters, data = source.getparams(), source.readframes(source.getnframes())
    wanted = int(seconds * parameters.framerate) * parameters.sampwidth * parameters.nchannels
    with wave.open(str(path), "wb") as target:
        target.setparams(parameters)
        target.writeframes((data * (wanted // len(data) + 1))[:wanted])
    return path


def silence(path: Path, seconds: float) -> Path:
    """Digital silence."""
    with wave.open(str(path), "wb") as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(24_000)
        target.writeframes(bytes(2 * int(seconds * 24_000)))
    return path
