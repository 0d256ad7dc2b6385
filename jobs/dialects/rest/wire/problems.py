"""Refusals."""

from __future__ import annotations

from typing import Any


def problem(
    status: int, code: str, detail: str, *, field: str = "", retryable: bool = False
) -> dict[str, Any]:
    """RFC 9457, with our stable `code`, the field it is about and whether trying again can help."""
    body: dict[str, Any] = {
        "type": f"/docs/errors#{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
        "retryable": retryable,
    }
    return {**body, "field": field} if field else body
