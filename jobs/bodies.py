"""Bodies of every dialect: what comes in is bounded, what goes out is JSON, whatever the client says it accepts.

A dialect that words its refusals otherwise overrides `too_large` and `malformed`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework.exceptions import APIException, ParseError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class TooLarge(APIException):
    status_code = 413
    default_code = "body_too_large"

    def __init__(self, most: int) -> None:
        super().__init__(f"The body is larger than {most / 1024**2:.4g} MiB.")


class BoundedJson(BaseParser):
    """REST framework's own parser reads a body of any size into memory."""

    media_type = "application/json"
    empty_is_object = False

    def too_large(self, most: int) -> Exception:
        return TooLarge(most)

    def malformed(self) -> Exception:
        return ParseError("The body is not valid JSON.", "parse_error")

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        raw = stream.read(most + 1)
        if len(raw) > most:
            raise self.too_large(most)
        if self.empty_is_object and not raw.strip():
            return {}
        try:
            return json.loads(raw, parse_constant=_no_constant)
        except ValueError:
            raise self.malformed() from None


def _no_constant(name: str) -> None:
    raise ValueError(name)


class BoundedMultipart(MultiPartParser):
    """A body far above the upload limit is refused by its announced length, before it is read."""

    # the form around the file
    SLACK = 64 * 1024

    def too_large(self, most: int) -> Exception:
        return TooLarge(most)

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        request = (parser_context or {})["request"]
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal() or int(length) > settings.UPLOAD_MAX_BYTES + self.SLACK:
            raise self.too_large(settings.UPLOAD_MAX_BYTES)
        return super().parse(stream, media_type, parser_context)


class AlwaysJson(DefaultContentNegotiation):
    """A client that accepts only text or HTML gets JSON all the same, errors included."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        first = next(iter(renderers))
        return first, first.media_type
