"""What can be ordered, and its prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from billing.models import Price
from providers.catalogue import Model


def model(entry: Model, prices: Sequence[Mapping[str, Any]], *, preview: bool) -> dict[str, Any]:
    inputs = {
        role: {
            "kind": wanted.kind,
            "required": wanted.required,
            "description": wanted.description,
            "max_seconds": wanted.max_ms // 1000 or None,
        }
        for role, wanted in entry.inputs.items()
    }
    return {
        "id": entry.slug,
        "object": "model",
        "name": entry.name,
        "description": entry.description,
        "preview": preview,
        "inputs": inputs,
        "options": entry.options,
        "prices": list(prices),
    }


def price_of(row: Price) -> dict[str, Any]:
    """A line of the price list: micro-dollars a unit, and between how many units a video is billed."""
    return {
        "resolution": row.resolution,
        "unit": row.unit,
        "micros_per_unit": row.micros_per_unit,
        "min_units": row.min_units,
        "max_units": row.max_units,
    }
