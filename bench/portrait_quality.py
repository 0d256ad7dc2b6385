"""How well the lips of a rendered film follow its voice: ``python -m bench.portrait_quality``.

Renders the sample, and the same picture with silence, through the engine's child process; measures both films from
the outside (``bench.lipsync``) and prints each figure beside a floor from the same run: what the same measure finds
where there is nothing to find.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from bench import lipsync
from bench.child import PORTRAIT, SPEECH, render, silence

BARS = {"correlation": 0.6, "lag_ms": 80.0, "silent_motion": 0.1}


def main() -> int:
    """Print the figures; exit status 1 when one misses its bar."""
    with tempfile.TemporaryDirectory() as folder:
        speaking = render(Path(folder, "speaking"), PORTRAIT, SPEECH)
        silent = render(Path(folder, "silent"), PORTRAIT, silence(Path(folder, "voice"), 12.5))
        frames = lipsync.gray_frames(speaking.film)
        opening = lipsync.mouth_opening(frames)
        calm = lipsync.mouth_opening(lipsync.gray_frames(silent.film))
    energy = lipsync.loudness(SPEECH, 25, len(frames))
    found = lipsync.compare(opening, energy, 25)
    chance = np.random.default_rng(0)
    shuffled = [lipsync.compare(opening, chance.permutation(energy), 25).correlation for _ in range(20)]
    still = lipsync.mouth_opening([frames[0]] * len(frames))
    ratio = lipsync.motion(calm) / lipsync.motion(opening)
    print("measure                                       value   bar      floor (same run)")
    print(
        f"correlation of mouth opening with loudness   {found.correlation:6.3f}   >= 0.6   "
        f"{np.mean(shuffled):.3f} against shuffled loudness (worst of 20: {max(shuffled):.3f})"
    )
    print(f"lag of the lips                              {found.lag_ms:+6.1f}   +-80 ms  one frame is 40 ms")
    print(
        f"mouth motion in silence / in speech          {ratio:6.3f}   <= 0.1   "
        f"{lipsync.motion(still) / lipsync.motion(opening):.3f} for one frame repeated"
    )
    good = found.correlation >= BARS["correlation"] and abs(found.lag_ms) <= BARS["lag_ms"]
    return 0 if good and ratio <= BARS["silent_motion"] else 1


if __name__ == "__main__":
    sys.exit(main())
