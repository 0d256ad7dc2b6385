"""Chance made repeatable: blinks, breath and small head movements, all pure functions of seed and frame."""

# ruff: noqa: PLR2004 - thresholds of image and sound stand where they act, each with its meaning beside it
from __future__ import annotations

from dataclasses import dataclass
from math import pi, sin

import numpy as np

from .voice import VoiceTrack

BLINK_SECONDS = 0.28  # closing 0.10, opening 0.18
BLINK_GAP = (1.8, 5.5)  # seconds between blinks, as people do when they talk
BREATH_HZ = 0.26
# Slow waves whose periods never meet, in Hz; their weights fall with frequency like a resting head's sway.
SWAY_HZ = (0.083, 0.137, 0.229, 0.371)
SWAY_WEIGHT = (0.46, 0.30, 0.16, 0.08)
# How far the head sways at each style, of what is usual.
SWAY_REACH = {"normal": 1.0, "calm": 0.4, "active": 1.8}


@dataclass(frozen=True)
class Pose:
    """Everything a frame needs.  Shifts are -1..1 of their usual reach, the rest 0..1 except width -1..1."""

    opening: float
    width: float
    speaking: float
    blink: float
    breath: float
    shift_x: float
    shift_y: float
    roll: float
    yaw: float
    pitch: float
    brows: float


class Motion:
    """The movement of one film; `pose` may be asked for any frame in any order."""

    def __init__(self, seed: int, voice: VoiceTrack, fps: int, style: str = "normal") -> None:
        chance = np.random.Generator(np.random.PCG64(seed))
        self._voice, self._fps, self._reach = voice, fps, SWAY_REACH[style]
        self._phases = chance.uniform(0, 2 * pi, (5, len(SWAY_HZ)))
        self._breath_phase = chance.uniform(0, 2 * pi)
        self._blinks = _blink_times(chance, voice.seconds)

    def pose(self, frame: int) -> Pose:
        """The pose at one frame index."""
        time = frame / self._fps
        voice = self._voice
        emphasis = float(voice.emphasis[frame])
        # Never beyond the usual end: the picture has no more around it.
        sway = [min(max(self._reach * _wave(time, phases), -1.0), 1.0) for phases in self._phases]
        return Pose(
            opening=float(voice.opening[frame]),
            width=float(voice.width[frame]),
            speaking=float(voice.speaking[frame]),
            blink=self._blink(time),
            breath=sin(2 * pi * BREATH_HZ * time + self._breath_phase),
            shift_x=sway[0],
            shift_y=sway[1],
            roll=sway[2],
            yaw=sway[3],
            pitch=0.7 * sway[4] + 0.9 * emphasis,
            brows=emphasis,
        )

    def _blink(self, time: float) -> float:
        nearest = int(np.searchsorted(self._blinks, time, side="right")) - 1
        return _lid(time - float(self._blinks[nearest])) if nearest >= 0 else 0.0


def _blink_times(chance: np.random.Generator, seconds: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    times, time = [], float(chance.uniform(0.8, 2.5))
    while time < seconds:
        times.append(time)
        # One in eight blinks is followed at once by a second one.
        time += 0.42 if chance.random() < 0.125 else float(chance.uniform(*BLINK_GAP))
    return np.asarray(times)


def _lid(since: float) -> float:
    """How far the lid is down, `since` seconds after a blink began: quick down, a moment shut, slower up."""
    if since < 0.08:
        return _ease(since / 0.08)
    if since < 0.13:
        return 1.0
    return _ease(1 - (since - 0.13) / (BLINK_SECONDS - 0.13)) if since < BLINK_SECONDS else 0.0


def _ease(t: float) -> float:
    t = min(max(t, 0.0), 1.0)
    return t * t * (3 - 2 * t)


def _wave(time: float, phases: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    return sum(w * sin(2 * pi * f * time + p) for w, f, p in zip(SWAY_WEIGHT, SWAY_HZ, phases, strict=True))
