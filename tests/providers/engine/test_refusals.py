"""Bad inputs: each ends with its own code, a sentence and a hint, and exit status 3."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from . import drawing, rendering


def header_only_png(path: Path, width: int, height: int) -> Path:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def drawn(draw, *arguments):
    return lambda path: rendering.write_picture(path, draw(*arguments))


PICTURES = {
    "landscape": ("face_not_found", drawn(drawing.landscape)),
    "gradient": ("face_not_found", drawn(drawing.gradient)),
    "noise": ("face_not_found", drawn(drawing.noise, 0)),
    "blobs": ("face_not_found", drawn(drawing.noise, 5)),
    "wall of text": ("face_not_found", drawn(drawing.text)),
    "tiny face": ("face_not_found", drawn(drawing.tiny_face)),
    "1 by 1": ("image_too_small", lambda p: rendering.write_picture(p, np.zeros((1, 1, 3), np.uint8))),
    "30,000 wide": ("image_too_large", lambda p: header_only_png(p, 30_000, 100)),
    "bomb": ("image_too_large", lambda p: header_only_png(p, 11_000, 11_000)),
    "truncated": ("image_unreadable", lambda p: written(p, rendering.PORTRAIT.read_bytes()[:20_000])),
    "empty": ("image_unreadable", lambda p: written(p, b"")),
    "not a picture": ("image_unreadable", lambda p: written(p, rendering.SPEECH.read_bytes())),
}


def silence(seconds: float):
    return lambda path: rendering.write_wav(path, np.zeros(int(seconds * 8000)), 8000)


SOUNDS = {
    "no samples": ("audio_too_short", silence(0)),
    "one sample": ("audio_too_short", silence(1 / 8000)),
    "eleven minutes": ("audio_too_long", silence(660)),
    "text": ("audio_unreadable", lambda p: written(p, b"These are words, not sound.\n" * 200)),
    "playlist": ("audio_unreadable", lambda p: written(p, b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n")),
    "picture": ("audio_unreadable", lambda p: written(p, rendering.PORTRAIT.read_bytes())),
    "nothing": ("audio_unreadable", lambda p: written(p, b"")),
}


def assert_refused(run: rendering.Run, code: str) -> None:
    last = run.last()
    assert (last.get("event"), last.get("code")) == ("error", code), run.stderr or run.events
    assert run.exit == 3
    assert last["message"].endswith(".")
    assert last["hint"].endswith(".")
    assert last["retryable"] is False
    assert not run.output.exists()


@pytest.mark.parametrize("kind", PICTURES)
def test_picture(tmp_path, kind):
    code, make = PICTURES[kind]
    voice = rendering.speech(tmp_path / "voice", 0.4)
    assert_refused(rendering.render(tmp_path / "work", make(tmp_path / "picture"), voice), code)


@pytest.mark.parametrize("kind", SOUNDS)
def test_sound(tmp_path, kind):
    code, make = SOUNDS[kind]
    assert_refused(rendering.render(tmp_path / "work", audio=make(tmp_path / "sound")), code)


ORDERS = [
    {"resolution": "4k"},
    {"seed": -1},
    {"seed": "7"},
    {"frames_per_clip": 1},
    {"image": "../outside"},
    {"audio": "/etc/passwd"},
    {"limits": 5},
]


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_order(tmp_path, order):
    workdir = rendering.prepare(tmp_path / "work")
    values = json.loads((workdir / "order.json").read_text()) | order
    (workdir / "order.json").write_text(json.dumps(values))
    assert_refused(rendering.run(workdir), "engine_failed")


def test_missing_order(tmp_path):
    assert_refused(rendering.run(tmp_path), "engine_failed")


def test_memory_limit_is_kept(tmp_path):
    run = rendering.render(tmp_path, limits={"memory_bytes": 300_000_000})
    assert run.exit != 0
    assert not run.output.exists()
