"""What all views share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rest_framework.response import Response

from jobs.dialects.views import JsonView
from jobs.dialects.wavespeed import faults
from jobs.dialects.wavespeed.wire.models import path_of, slug_of
from jobs.dialects.wavespeed.wire.submissions import flat
from jobs.errors import NotFound
from providers import catalogue


class View(JsonView):
    """Each view names its permissions."""

    def get_exception_handler(self) -> Callable[[Exception, Any], Response]:
        return faults.answer

    @property
    def body(self) -> dict[str, Any]:
        return flat(self.request.data)


def success(data: Mapping[str, Any] | list[dict[str, Any]]) -> Response:
    """Exactly 200: the SDK takes every other status for an error."""
    return Response({"code": 200, "message": "success", "data": data})


def known_model(path: str) -> catalogue.Model:
    slug = slug_of(path, catalogue.models())
    if slug is None:
        known = ", ".join(path_of(name) for name in catalogue.models())
        raise NotFound("model_unknown", f"There is no model {path[:100]!r}; known are {known}.")
    return catalogue.model(slug)
