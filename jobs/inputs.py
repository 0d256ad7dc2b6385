"""What a model takes as an input, checked once the file is known."""

from __future__ import annotations

from jobs.errors import Invalid
from jobs.models import Asset
from providers import catalogue


def check_input(wanted: catalogue.Input, asset: Asset) -> None:
    """The file is of the kind, and of a length, that the model takes."""
    if asset.kind != wanted.kind:
        message = f"{wanted.role} must be {_article(wanted.kind)}; this file is {_article(asset.kind)}."
        raise Invalid("wrong_type", message, field=wanted.role)
    if wanted.max_ms and asset.duration_ms > wanted.max_ms:
        message = f"{wanted.role} may last {wanted.max_ms // 1000} s at most; it lasts {asset.duration_ms / 1000:.1f} s."
        raise Invalid(f"{wanted.kind}_too_long", message, field=wanted.role)
    if asset.duration_ms < wanted.min_ms:
        raise Invalid(f"{wanted.kind}_empty", f"{wanted.role} has no content.", field=wanted.role)


def _article(kind: str) -> str:
    return f"a{'n' if kind[:1] in 'aeiou' else ''} {kind or 'unknown kind of'} file"
