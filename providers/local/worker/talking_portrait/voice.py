"""From voice to mouth: band energies of short spectra become opening, width and emphasis per frame.

Plain loudness would hold the mouth open through "m", "s" and "f".  Here the opening follows the energy of the
vowel formants; hum below them (nasals) and hiss above them (sibilants) pull it shut again.
"""

# ruff: noqa: PLR2004 - thresholds of image and sound stand where they act, each with its meaning beside it
from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .arrays import AnyArray, Series

RATE = 16_000  # Hz; speech cues for the lips end below 8 kHz
WINDOW = 400  # samples, 25 ms: one or two glottal periods
HOP = 160  # samples, 10 ms
# Band edges in Hz: voicing hum | first formants | second formants of "oo" to "ah" | of "eh" to "ee" | hiss.
BANDS = ((70, 280), (280, 900), (900, 1700), (1700, 3600), (3800, 7800))
HUM, FIRST, BACK, FRONT, HISS = range(5)
ABSOLUTE_GATE_DB = -72.0  # below this (re full scale) a recording holds no voice worth amplifying
VOICE_RANGE_DB = 26.0  # from closed to wide open, below the running peak
MIN_DYNAMICS_DB = 8.0  # steadier than this is hum or noise, not speech
AGC_SECONDS = 4.0  # how far the running peak looks to either side
LEAD_SECONDS = 0.01  # lips part slightly before the sound leaves them


@dataclass(frozen=True)
class VoiceTrack:
    """Per-frame controls: opening 0..1, width -1 (round) .. +1 (wide), emphasis 0..1 (slow loudness).

    `speaking` 0..1 tells the short closures within speech from the rest of a silent face.
    """

    opening: Series
    width: Series
    emphasis: Series
    speaking: Series
    seconds: float


def analyse(blocks: Iterable[Series], fps: int) -> VoiceTrack:
    """Listen to mono blocks at `RATE` Hz, keeping five numbers per 10 ms, and derive the controls of each
    frame.
    """
    spectra = BandMeter()
    levels = np.concatenate([*spectra.feed(blocks), np.zeros((0, len(BANDS)), np.float32)])
    seconds = spectra.samples / RATE
    frames = max(1, round(seconds * fps))
    if len(levels) == 0:
        still = np.zeros(frames, np.float32)
        return VoiceTrack(still, still, still, still, seconds)
    opening, width = mouth_controls(levels)
    emphasis = _smooth(opening, 25.0)
    speaking = _speaking(opening)
    times = (np.arange(frames) + 0.5) / fps + LEAD_SECONDS
    tracks = (opening, width, emphasis, speaking)
    opening, width, emphasis, speaking = (_sample(track, times, fps) for track in tracks)
    return VoiceTrack(opening, width, emphasis, speaking, seconds)


class BandMeter:
    """Turns a stream of samples into band levels in dB, one row of `len(BANDS)` per `HOP` samples."""

    def __init__(self) -> None:
        self.samples = 0
        self._taper = np.hanning(WINDOW).astype(np.float32)
        bins = np.fft.rfftfreq(512, 1 / RATE)
        self._bands = np.stack([(bins >= low) & (bins < high) for low, high in BANDS], 1).astype(np.float32)

    def feed(self, blocks: Iterable[Series]) -> Iterator[AnyArray]:
        """Rows for every full window; half a window of silence before and after centres row k on k * HOP."""
        pending = np.zeros(WINDOW // 2, np.float32)
        for block in blocks:
            self.samples += block.size
            pending = np.concatenate([pending, block])
            if pending.size >= RATE:  # about a second at a time: enough for numpy to be quick
                rows, pending = self._rows(pending)
                yield rows
        rows, _ = self._rows(np.concatenate([pending, np.zeros(WINDOW // 2, np.float32)]))
        yield rows

    def _rows(self, signal: Series) -> tuple[AnyArray, Series]:
        if signal.size < WINDOW:
            return np.zeros((0, len(BANDS)), np.float32), signal
        windows = sliding_window_view(signal, WINDOW)[::HOP]
        power = np.abs(np.fft.rfft(windows * self._taper, 512, axis=1)) ** 2
        # 1e-12 is far below 16-bit rounding noise; the divisor makes a full-scale sine about 0 dB.
        levels = 10 * np.log10(power @ self._bands / (WINDOW / 4) ** 2 + 1e-12)
        return levels.astype(np.float32), signal[len(windows) * HOP :]


def mouth_controls(levels: AnyArray) -> tuple[Series, Series]:
    """Opening 0..1 and width -1..1 per row of band levels."""
    vowel = _sum_db(levels[:, FIRST], levels[:, BACK], levels[:, FRONT] - 3)
    peak = _running_peak(vowel)
    floor = np.percentile(vowel, 8)
    dynamics = np.clip((peak - floor - MIN_DYNAMICS_DB) / 8, 0, 1)
    audible = np.clip((peak - ABSOLUTE_GATE_DB) / 6, 0, 1)
    # Full scale is VOICE_RANGE_DB, less when the room is noisy, so that the noise itself stays below zero.
    span = np.clip(peak - floor - 5, 8, VOICE_RANGE_DB)
    loud = np.clip((vowel - (peak - span)) / span, 0, 1)
    loud = loud**1.4  # keeps the weak tails of vowels from holding the mouth half open
    hiss = np.clip((levels[:, HISS] - vowel + 2) / 10, 0, 1)
    formants = _sum_db(levels[:, BACK], levels[:, FRONT])
    hum = np.clip((_sum_db(levels[:, HUM], levels[:, FIRST]) - formants - 16) / 14, 0, 1)
    opening = loud * (1 - 0.7 * hiss) * (1 - 0.55 * hum) * dynamics * audible
    shaped = _attack_release(opening.astype(np.float32))
    return shaped, _width(levels, shaped, hiss)


def _width(levels: AnyArray, opening: Series, hiss: AnyArray) -> Series:
    """Front formants against back formants: "ee" pulls the corners apart, "oo" draws them together."""
    tilt = levels[:, FRONT] - levels[:, BACK]
    voiced = opening > 0.15
    usual = np.median(tilt[voiced]) if voiced.any() else 0.0
    raw = np.clip((tilt - usual) / 14, -1, 1) * np.clip(opening * 4, 0, 1) + 0.35 * hiss * (opening > 0.02)
    return _smooth(np.clip(raw, -1, 1), 4.0)


def _speaking(opening: Series) -> Series:
    """1 wherever the mouth was or will be open within 0.2 s, with soft ends; 0 in silence."""
    wide = sliding_window_view(np.pad(opening, 20, mode="edge"), 41).max(axis=1)
    return _smooth(np.clip(wide * 2.5, 0, 1), 6.0)


def _sum_db(*levels: AnyArray) -> Series:
    total = sum(10 ** (level / 10) for level in levels)
    return np.asarray(10 * np.log10(total), np.float32)


def _running_peak(vowel: Series) -> Series:
    """Robust running loudness: near-maximum of the neighbourhood, never more than 18 dB under the whole
    file's.
    """
    block = 25  # rows, a quarter of a second: a block's 80th percentile shrugs off clicks
    count = -(-len(vowel) // block)
    padded = np.pad(vowel, (0, count * block - len(vowel)), mode="edge").reshape(count, block)
    coarse = np.percentile(padded, 80, axis=1)
    reach = round(AGC_SECONDS * 100 / block)
    around = sliding_window_view(np.pad(coarse, reach, mode="edge"), 2 * reach + 1)
    local = np.percentile(around, 92, axis=1)
    steady = np.convolve(
        np.pad(local, 4, mode="edge"), np.hanning(11)[1:-1] / np.hanning(11).sum(), mode="valid"
    )
    centres = (np.arange(count) + 0.5) * block
    rows = np.interp(np.arange(len(vowel)), centres, steady)
    return np.asarray(np.maximum(rows, np.percentile(vowel, 97) - 18), np.float32)


def _attack_release(opening: Series) -> Series:
    """Smoothing with the muscle's own speed: 30 ms up, 45 ms down, without lag (it sees ahead)."""
    smooth = _smooth(opening, 2.2)
    slow = _smooth(opening, 3.6)
    return np.asarray(np.where(np.gradient(smooth) > 0, smooth, 0.5 * (smooth + slow)), np.float32)


def _smooth(values: AnyArray, sigma: float) -> Series:
    """Gaussian smoothing with standard deviation `sigma` rows (10 ms each); edges repeat."""
    reach = int(3 * sigma) + 1
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    padded = np.pad(np.asarray(values, np.float64), reach, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), mode="valid").astype(np.float32)


def _sample(track: Series, times: AnyArray, fps: int) -> Series:
    """Value of a 10 ms track at frame times, averaged over about one frame so that nothing is skipped."""
    width = max(1.0, 100 / fps / 3)
    return np.asarray(np.interp(times * 100, np.arange(len(track)), _smooth(track, width)), np.float32)
