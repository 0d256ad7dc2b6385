"""Time that passes only while somebody sleeps."""

from __future__ import annotations

from collections.abc import Callable


class Clock:
    """Stands in for the time module; `meanwhile` is what happens in a sleep."""

    def __init__(self, meanwhile: Callable[[float], object] = lambda seconds: None) -> None:
        self.now = 0.0
        self.meanwhile = meanwhile

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.meanwhile(seconds)
        self.now += seconds
