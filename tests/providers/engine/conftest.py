"""Renders shared by the tests of the engine."""

from __future__ import annotations

import pytest

from . import rendering


@pytest.fixture(scope="session")
def sample(tmp_path_factory) -> rendering.Run:
    """The whole sample, picture and voice, at 480p."""
    return rendering.render(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="session")
def brief(tmp_path_factory) -> rendering.Run:
    """Three seconds of the sample in clips of 20 frames: several clips, the last one shorter."""
    audio = rendering.speech(tmp_path_factory.mktemp("voice") / "voice", 3.0)
    return rendering.render(tmp_path_factory.mktemp("brief"), audio=audio, frames_per_clip=20)
