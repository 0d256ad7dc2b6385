"""What holds for every letter: text beside HTML, one frame, nothing fetched, readable in a dark mail programme."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from config.embedded.home import CHECKOUT

LETTERS = sorted((CHECKOUT / "templates").glob("*/email/*.html"))
FETCHED = re.compile(r"<(img|link|script|iframe)|url\(|src=", re.IGNORECASE)


def test_there_are_letters():
    assert len(LETTERS) >= 2


@pytest.mark.parametrize("letter", LETTERS, ids=lambda path: path.name)
def test_a_letter_has_a_text_and_the_common_frame(letter: Path):
    assert letter.with_suffix(".txt").exists()
    assert letter.read_text().startswith('{% extends "email/layout.html" %}')
    assert not FETCHED.search(letter.read_text())


def test_the_frame_fetches_nothing_and_knows_the_dark():
    frame = (CHECKOUT / "templates" / "email" / "layout.html").read_text()
    assert not FETCHED.search(frame)
    assert "prefers-color-scheme: dark" in frame
