"""The palette keeps its promise: text reaches WCAG AA contrast on every surface it is used on, light and dark."""

from __future__ import annotations

import re

import pytest

from config.embedded.home import CHECKOUT

CSS = (CHECKOUT / "static/css/tokens.css").read_text()
COLOUR = re.compile(r"--([a-z-]+): #([0-9a-f]{6});")
LIGHT, DARK = (dict(COLOUR.findall(part)) for part in CSS.split("@media"))

SURFACES = ["page", "surface", "sunken"]
TEXT = [(ink, surface) for ink in ("ink", "ink-soft", "accent", "bad") for surface in SURFACES]
TEXT += [
    ("on-accent", "accent"),
    ("on-accent", "accent-hover"),
    ("surface", "bad"),
    ("accent", "accent-soft"),
]
TEXT += [("ink", f"{tone}-soft") for tone in ("good", "busy", "bad", "accent")]
TEXT += [(tone, f"{tone}-soft") for tone in ("good", "busy", "bad")]
TEXT += [(tone, "sunken") for tone in ("good", "busy")]  # the colours of code
EDGES = [(edge, surface) for edge in ("line-strong", "focus") for surface in SURFACES]


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted([luminance(one), luminance(other)], reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("sheet", ["app", "billing", "developers", "docs", "gallery", "share"])
def test_a_sheet_has_no_colour_of_its_own(sheet):
    text = (CHECKOUT / f"static/css/{sheet}.css").read_text()
    assert re.findall(r"(?<![\w-])#[0-9a-f]{3,8}\b(?![\w\s.>:-]*\{)|\brgb\(", text) == []


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "surface"), TEXT)
def test_text_can_be_read(palette, text, surface):
    assert contrast(palette[text], palette[surface]) >= 4.5


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("edge", "surface"), EDGES)
def test_the_edges_of_controls_can_be_seen(palette, edge, surface):
    assert contrast(palette[edge], palette[surface]) >= 3
