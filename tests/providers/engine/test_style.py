"""How lively the head moves."""

from __future__ import annotations

import numpy as np

from bench import lipsync

from . import rendering

RATE = 24_000


def moved(run: rendering.Run) -> float:
    """How far the picture as a whole is from where it began, on average over the film."""
    assert run.exit == 0, run.stderr
    frames = np.asarray(lipsync.gray_frames(run.output), dtype=np.float32)
    return float(np.abs(frames - frames[0]).mean())


def test_an_active_head_moves_more_than_a_calm_one(tmp_path):
    voice = rendering.write_wav(
        tmp_path / "voice", np.zeros(3 * RATE), RATE
    )  # so that nothing else moves much
    calm, normal, active = (
        moved(rendering.render(tmp_path / style, audio=voice, style=style))
        for style in ("calm", "normal", "active")
    )
    # Breath and the encoder move as much at any style.
    assert 1.05 * calm < normal < active / 1.05


def test_a_style_that_there_is_not_is_the_platforms_fault(tmp_path):
    run = rendering.render(tmp_path, style="wild")
    assert (run.exit != 0, run.last()["code"]) == (True, "engine_failed")
