"""Pictures drawn by rule: a cartoon face, and things that are no faces."""

from __future__ import annotations

import cv2
import numpy as np

SKIN, HAIR, INK = (180, 210, 245), (40, 60, 90), (60, 50, 50)


def cartoon(side: int = 600) -> np.ndarray:
    """A head and shoulders in flat colours, `side` pixels square."""
    k = side / 600
    picture = np.full((side, side, 3), (220, 200, 160), np.uint8)

    def oval(centre, axes, colour, thick=-1, begin=0, end=360):
        c, a = (tuple(round(v * k) for v in pair) for pair in (centre, axes))
        cv2.ellipse(
            picture, c, a, 0, begin, end, colour, thick if thick < 0 else max(1, round(thick * k)), 16
        )

    oval((300, 620), (200, 160), (150, 80, 60))
    cv2.rectangle(
        picture, (round(255 * k), round(430 * k)), (round(345 * k), round(520 * k)), (165, 193, 225), -1
    )
    oval((300, 255), (170, 195), HAIR)
    oval((300, 300), (140, 175), SKIN)
    oval((300, 150), (140, 60), HAIR)
    for x in (235, 365):
        oval((x, 285), (30, 20), (255, 255, 255))
        oval((x, 285), (30, 20), INK, 2)
        oval((x, 285), (13, 13), (90, 60, 30))
        oval((x, 285), (6, 6), (0, 0, 0))
        oval((x, 250), (36, 14), HAIR, 6, 190, 350)
    oval((300, 340), (14, 10), (125, 147, 171), 4, 0, 180)
    oval((300, 390), (52, 22), (60, 60, 160), 6, 10, 170)
    return cv2.GaussianBlur(picture, (0, 0), 1)


def tiny_face() -> np.ndarray:
    """A face of two dozen pixels."""
    return cv2.copyMakeBorder(cartoon(40), 60, 60, 60, 60, cv2.BORDER_REPLICATE)


def landscape() -> np.ndarray:
    """Sky, five rough ridges and bushes."""
    chance, (height, width) = np.random.default_rng(3), (540, 960)
    picture = np.full((height, width, 3), (230, 210, 170), np.float32)
    x = np.arange(width)
    for layer in range(5):
        waves = sum(40 / f * np.sin(x * f / 90 + chance.uniform(0, 6.3)) for f in (1, 2.3, 5.1, 11))
        below = np.arange(height)[:, None] > height * (0.35 + 0.13 * layer) + waves
        rough = cv2.GaussianBlur(
            chance.normal(0, 90, (height, width)).astype(np.float32), (0, 0), 1.5 + layer
        )
        picture[below] = np.array((120, 110, 80)) * (1 - 0.12 * layer) + rough[below][:, None]
    for _ in range(60):
        centre = (int(chance.uniform(0, width)), int(chance.uniform(300, height)))
        cv2.circle(picture, centre, int(chance.uniform(6, 45)), (30, 70 + int(chance.uniform(0, 60)), 40), -1)
    return np.clip(picture, 0, 255).astype(np.uint8)


def gradient() -> np.ndarray:
    return np.dstack([np.tile(np.linspace(0, 255, 640), (480, 1)).astype(np.uint8)] * 3)


def noise(blur: float) -> np.ndarray:
    values = np.random.default_rng(5).normal(0, 1, (480, 640, 3)).astype(np.float32)
    values = cv2.GaussianBlur(values, (0, 0), blur) if blur else values
    return ((values - values.min()) / np.ptp(values) * 255).astype(np.uint8)


def text() -> np.ndarray:
    """A wall of words."""
    chance, picture = np.random.default_rng(1), np.full((700, 700, 3), 255, np.uint8)
    for y in range(20, 700, 32):
        line = "".join(chr(chance.integers(97, 123)) if chance.random() > 0.17 else " " for _ in range(60))
        cv2.putText(picture, line, (5, y), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (0, 0, 0), 1, cv2.LINE_AA)
    return picture
