"""What the mouth does when nobody speaks, and when somebody speaks softly."""

from __future__ import annotations

import numpy as np
import pytest

from bench import lipsync

from . import rendering

RATE = 24_000


def opening_of(run: rendering.Run) -> np.ndarray:
    assert run.exit == 0, run.stderr
    return lipsync.mouth_opening(lipsync.gray_frames(run.output))


@pytest.fixture(scope="module")
def speaking(sample) -> float:
    return lipsync.motion(opening_of(sample)[:150])


@pytest.mark.parametrize("kind", ["digital silence", "room noise", "mains hum"])
def test_silence_leaves_the_mouth_still(tmp_path, speaking, kind):
    time = np.arange(2 * RATE) / RATE
    sound = {
        "digital silence": np.zeros_like(time),
        "room noise": np.random.default_rng(0).normal(0, 0.01, time.size),
        "mains hum": 0.05 * np.sin(2 * np.pi * 50 * time) + 0.02 * np.sin(2 * np.pi * 300 * time),
    }[kind]
    run = rendering.render(tmp_path, audio=rendering.write_wav(tmp_path / "voice", sound, RATE))
    assert lipsync.motion(opening_of(run)) <= 0.1 * speaking


def test_a_pause_after_speech_is_still(tmp_path, speaking):
    samples, rate = rendering.read_wav(rendering.SPEECH)
    voice = np.concatenate([samples[: 2 * rate], np.zeros(2 * rate)])
    run = rendering.render(tmp_path, audio=rendering.write_wav(tmp_path / "voice", voice, rate))
    opening = opening_of(run)
    assert lipsync.motion(opening[58:]) <= 0.1 * speaking


def test_quiet_recordings_open_the_mouth_as_far(tmp_path, speaking):
    run = rendering.render(tmp_path, audio=rendering.speech(tmp_path / "voice", 3, gain=0.02))
    opening = opening_of(run)
    assert lipsync.motion(opening) > 0.6 * speaking
    energy = lipsync.loudness(tmp_path / "voice", 25, len(opening))
    assert lipsync.compare(opening, energy, 25).correlation >= 0.6
