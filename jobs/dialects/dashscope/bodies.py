"""What comes in: JSON and forms of bounded size. What goes out: JSON, whatever the client says it accepts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from jobs.dialects.dashscope.wire.faults import Refused, invalid, refused


def too_large(most: int) -> Refused:
    return refused(400, "BadRequest.TooLarge", f"The body is larger than {most / 1024**2:.4g} MiB.")


class BoundedJson(BaseParser):
    """REST framework's own parser reads a body of any size into memory."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        raw = stream.read(most + 1)
        if len(raw) > most:
            raise too_large(most)
        try:
            return json.loads(raw, parse_constant=_no_constant)
        except ValueError:
            raise invalid("The body is not valid JSON.") from None


def _no_constant(name: str) -> None:
    raise ValueError(name)


class BoundedForm(MultiPartParser):
    """A body far above the upload limit is refused by its announced length, before it is read."""

    # the form around the file
    SLACK = 64 * 1024

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        request = (parser_context or {})["request"]
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal() or int(length) > settings.UPLOAD_MAX_BYTES + self.SLACK:
            raise too_large(settings.UPLOAD_MAX_BYTES)
        return super().parse(stream, media_type, parser_context)


class AlwaysJson(DefaultContentNegotiation):
    """A client that accepts only text or HTML gets JSON all the same, errors included."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        first = next(iter(renderers))
        return first, first.media_type
