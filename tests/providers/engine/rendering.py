"""Running the engine the way the render worker does: a child process, an order file, lines on stdout."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import wave
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[3]
PORTRAIT = ROOT / "tests/samples/portrait.jpg"
SPEECH = ROOT / "tests/samples/speech.wav"
COMMAND = [sys.executable, "-m", "providers.local.worker", "talking_portrait"]


@dataclass
class Run:
    """One finished child process."""

    workdir: Path
    exit: int
    events: list[dict] = field(default_factory=list)
    stderr: str = ""

    @property
    def output(self) -> Path:
        return self.workdir / "output.mp4"

    def named(self, event: str) -> list[dict]:
        return [line for line in self.events if line["event"] == event]

    def last(self) -> dict:
        return self.events[-1] if self.events else {}


def prepare(workdir: Path, image: Path = PORTRAIT, audio: Path = SPEECH, **order) -> Path:
    """Lay out a work folder with neutral file names and an order."""
    (workdir / "in").mkdir(parents=True, exist_ok=True)
    shutil.copy(image, workdir / "in/image")
    shutil.copy(audio, workdir / "in/audio")
    values = {
        "image": "in/image",
        "audio": "in/audio",
        "resolution": "480p",
        "seed": 7,
        "prompt": "",
        **order,
    }
    (workdir / "order.json").write_text(json.dumps(values))
    return workdir


def start(workdir: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [*COMMAND, str(workdir)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def render(workdir: Path, image: Path = PORTRAIT, audio: Path = SPEECH, **order) -> Run:
    """Prepare and run to the end."""
    return run(prepare(workdir, image, audio, **order))


def run(workdir: Path) -> Run:
    process = start(workdir)
    out, err = process.communicate(timeout=120)
    return Run(workdir, process.returncode, [json.loads(line) for line in out.splitlines()], err)


def write_wav(path: Path, samples: np.ndarray, rate: int) -> Path:
    """Mono 16-bit WAV of samples between -1 and 1."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def read_wav(path: Path) -> tuple[np.ndarray, int]:
    with wave.open(str(path)) as file:
        data = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return data.astype(np.float64) / 32768, file.getframerate()


def speech(path: Path, seconds: float, gain: float = 1.0) -> Path:
    """The beginning of the sample speech."""
    samples, rate = read_wav(SPEECH)
    return write_wav(path, samples[: int(seconds * rate)] * gain, rate)


def sound_of(path: Path, rate: int = 16_000) -> np.ndarray:
    """A file's sound as a player presents it: mono, from the presentation's start."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
    with av.open(str(path)) as container:
        parts = [p for frame in container.decode(audio=0) for p in resampler.resample(frame)]
    parts += resampler.resample(None)
    return np.concatenate([part.to_ndarray()[0] for part in parts])


def frames_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def write_picture(path: Path, picture: np.ndarray) -> Path:
    """PNG under any name."""
    ok, data = cv2.imencode(".png", picture)
    assert ok
    path.write_bytes(data.tobytes())
    return path
