"""Names for the arrays that travel between the modules."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Picture: TypeAlias = NDArray[np.uint8]  # (height, width, 3), blue-green-red, 0..255
Field: TypeAlias = NDArray[np.float32]  # (height, width[, 2]): weights, coordinates or displacements
Series: TypeAlias = NDArray[np.float32]  # (frames,): one number per frame
AnyArray: TypeAlias = NDArray[Any]


def smoothstep(x: AnyArray) -> Field:
    """Cubic ramp from 0 at x <= 0 to 1 at x >= 1."""
    t = np.clip(x, 0.0, 1.0)
    return np.asarray(t * t * (3 - 2 * t), np.float32)
