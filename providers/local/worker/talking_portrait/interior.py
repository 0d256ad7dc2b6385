"""What shows between parted lips: a dark cavity, upper teeth, a tongue, in the light of the picture."""

# ruff: noqa: PLR2004 - thresholds of image and sound stand where they act, each with its meaning beside it
from __future__ import annotations

import cv2
import numpy as np

from .arrays import AnyArray, Field, Picture, smoothstep
from .lips import Lips

CAVITY = (20.0, 17.0, 38.0)  # BGR of the throat in a well lit mouth
TEETH = (196.0, 208.0, 214.0)  # BGR of enamel
TONGUE = (98.0, 92.0, 172.0)  # BGR
TEETH_HEIGHT = 0.075  # face units of the upper teeth that hang below the line
TOOTH_WIDTH = 0.095  # face units


def paint_back(source: Picture, x: Field, below: Field, lips: Lips) -> Picture:
    """The layer behind both lips: cavity, and upper teeth unless the picture shows its own.

    `x` and `below` (distance below the mouth line) are face coordinates of every pixel of `source`.
    """
    s = (x - lips.x) / lips.half_width
    light = _light(source, s, below)
    image = np.asarray(CAVITY, np.float32) * light[..., None]
    # A little light falls on what lies near the lips.
    image = image * (1.0 + 0.9 * np.exp(-((below / 0.05) ** 2)))[..., None]
    if lips.teeth == 0:
        image = _with_teeth(image, x - lips.x, s, below, light)
    return _in_tone(image, source)


def _with_teeth(image: AnyArray, x: Field, s: Field, below: Field, light: Field) -> AnyArray:
    arch = TEETH_HEIGHT * (1 - 0.35 * s * s)  # side teeth are shorter, and further back
    alpha = smoothstep((arch - below) / 0.022) * smoothstep((0.86 - np.abs(s)) / 0.25)
    tooth = (x / TOOTH_WIDTH) % 1.0
    gap = np.exp(-((np.minimum(tooth, 1 - tooth) / 0.06) ** 2))
    shade = (0.62 + 0.38 * smoothstep((below + 0.01) / 0.06)) * (1 - 0.30 * s * s) * (1 - 0.12 * gap)
    teeth = np.asarray(TEETH, np.float32) * (0.86 * light * shade)[..., None]
    mixed: AnyArray = image + (teeth - image) * alpha[..., None]
    return mixed


def paint_tongue(source: Picture, x: Field, below: Field, lips: Lips) -> tuple[Picture, Field]:
    """The layer that rides on the lower jaw: its colour, and its alpha 0..1.  It peeps over the lower lip."""
    s = (x - lips.x) / lips.half_width
    light = _light(source, s, below)
    height = 0.10 * np.clip(1 - (s / 0.72) ** 2, 0, 1)
    alpha = smoothstep((below + height) / 0.05) * smoothstep((0.75 - np.abs(s)) / 0.3)
    shade = 0.55 + 0.45 * np.exp(-(((below + 0.03) / 0.06) ** 2))
    furrow = 1 - 0.18 * np.exp(-((s / 0.08) ** 2))
    image = np.asarray(TONGUE, np.float32) * (light * shade * furrow)[..., None]
    return _in_tone(image, source), np.asarray(0.85 * alpha, np.float32)


def _in_tone(image: AnyArray, source: Picture) -> Picture:
    """Take the colour out of paint as far as the picture has none, so that a grey photograph stays grey."""
    spread = np.ptp(source.reshape(-1, 3).astype(np.float32), axis=1)
    colour = float(np.clip(np.median(spread) / 12.0, 0, 1))
    grey = image.mean(axis=2, keepdims=True)
    return np.asarray(np.clip(grey + (image - grey) * colour, 0, 255), np.uint8)


def _light(source: Picture, s: Field, below: Field) -> Field:
    """Brightness of the picture's own light at the mouth, relative to a well lit face, with its left-right
    fall.
    """
    gray = cv2.cvtColor(source, cv2.COLOR_BGR2GRAY).astype(np.float32)
    ring = (np.abs(s) < 1.4) & ((below > 0.15) | (below < -0.2))
    sides = [
        float(np.median(gray[ring & half])) if (ring & half).any() else 150.0 for half in (s < 0, s >= 0)
    ]
    left, right = (min(max(side / 170.0, 0.25), 1.25) for side in sides)
    return np.asarray(left + (right - left) * smoothstep((s + 1) / 2), np.float32)
