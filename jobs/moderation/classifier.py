"""An image classifier of the transformers library, out of a folder. Imported in the judging child alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from transformers import pipeline


class Classifier:
    """`model`: a folder as `save_pretrained` leaves one: weights, configuration with its labels, image processor."""

    def __init__(self, model: str) -> None:
        if not Path(model).is_dir():
            raise FileNotFoundError(f"MODERATION_MODEL names no folder: {model!r}")
        # Weights that are pickled could run programs: only safetensors are read.
        safe = {"use_safetensors": True}
        self.classify = pipeline("image-classification", model=model, device="cpu", model_kwargs=safe)

    def shares(self, pictures: Sequence[Path]) -> list[Mapping[str, float]]:
        found = self.classify([str(picture) for picture in pictures], top_k=None)
        return [{said["label"]: float(said["score"]) for said in labels} for labels in found]
