"""Model ids are paths here; ours are slugs. And the catalogue as this API shows it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from providers.catalogue import Model

PATHS = {
    "wan-2.2-s2v": "wavespeed-ai/wan-2.2/speech-to-video",
    "wan-2.2-animate": "wavespeed-ai/wan-2.2/animate",
}
SLUGS = {path: slug for slug, path in PATHS.items()}
# A model the vendor does not have is asked for by our name.
OWN = "voicereel/"
TYPES = {"wan-2.2-s2v": "speech-to-video", "wan-2.2-animate": "video-to-video"}

# Fields that say how to answer; no model sees them.
CONTROLS: Mapping[str, Mapping[str, Any]] = {
    "enable_sync_mode": {
        "type": "boolean",
        "default": False,
        "description": "Hold the answer until the video is finished, or until the wait has timed out.",
    },
    "enable_base64_output": {
        "type": "boolean",
        "default": False,
        "description": "Answer with the video itself as base64 instead of its address.",
    },
}


class Rate(Protocol):
    """What a formula needs of a price."""

    resolution: str
    micros_per_unit: int
    step_ms: int
    min_units: int
    max_units: int


def path_of(slug: str) -> str:
    return PATHS.get(slug, OWN + slug)


def slug_of(path: str, known: Collection[str]) -> str | None:
    """Our slug of a model path, if we have that model."""
    slug = path.removeprefix(OWN) if path.startswith(OWN) else SLUGS.get(path)
    return slug if slug in known else None


def entry(model: Model, rates: Sequence[Rate], *, place: int, base: str, available: bool) -> dict[str, Any]:
    """One line of the catalogue. `base_price` is the least a run costs: what a quote without inputs says."""
    path = path_of(model.slug)
    return {
        "model_id": path,
        "name": model.name,
        "description": model.description,
        "type": TYPES.get(model.slug, model.output),
        "base_price": min((rate.min_units * rate.micros_per_unit for rate in rates), default=0) / 1_000_000,
        "sort_order": place,
        "formula": formula(model, rates),
        "available": available,
        "api_schema": {
            "api_schemas": [
                {
                    "type": "model_run",
                    "method": "POST",
                    "server": base,
                    "api_path": f"/api/v3/{path}",
                    "request_schema": request_schema(model),
                }
            ]
        },
    }


def formula(model: Model, rates: Sequence[Rate]) -> str:
    """US dollars, such as `clamp(ceil(audio_seconds), 3, 600) * {480p: 0.03, 720p: 0.06}[resolution]`."""
    groups: dict[tuple[int, int, int], list[str]] = {}
    for rate in rates:
        limits = (rate.step_ms, rate.min_units, rate.max_units)
        groups.setdefault(limits, []).append(f"{rate.resolution}: {rate.micros_per_unit / 1_000_000:g}")
    texts = []
    for (step_ms, least, most), names in groups.items():
        seconds = f"{model.length_from}_seconds" + ("" if step_ms == 1000 else f" / {step_ms / 1000:g}")  # noqa: PLR2004  ms
        texts.append(f"clamp(ceil({seconds}), {least}, {most}) * {{{', '.join(names)}}}[resolution]")
    return "; ".join(texts)


def request_schema(model: Model) -> dict[str, Any]:
    """Inputs, options and controls as one flat object, as they are posted."""
    inputs = {
        role: {"type": "string", "description": wanted.description, "x-media-kind": wanted.kind}
        for role, wanted in model.inputs.items()
    }
    properties = {**inputs, **model.options["properties"], **CONTROLS}
    return {
        "type": "object",
        "properties": properties,
        "required": [role for role, wanted in model.inputs.items() if wanted.required],
        "additionalProperties": False,
        "x-order-properties": list(properties),
    }
