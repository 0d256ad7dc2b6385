"""A checker for tests: of what share a picture is red, green or blue. Made and asked in the judging child."""

from __future__ import annotations

from PIL import Image

COLOURS = ("red", "green", "blue")


class Colours:
    """`model` names what it does instead: fail, lie, or go away."""

    def __init__(self, model):
        self.model = model
        if model == "broken":
            raise RuntimeError("no such weights")

    def shares(self, pictures):
        if self.model == "lying":
            return [{"red": "much"} for _ in pictures]
        if self.model == "hostile":
            raise SystemExit(1)
        return [self._of(picture) for picture in pictures]

    def _of(self, picture):
        with Image.open(picture) as image:
            mean = image.convert("RGB").resize((1, 1)).getpixel((0, 0))
        return {colour: part / max(sum(mean), 1) for colour, part in zip(COLOURS, mean, strict=True)}
