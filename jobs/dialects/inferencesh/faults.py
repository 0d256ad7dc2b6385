"""Every error of these views as a problem, whatever it was: never a page of HTML.

The body spans several lines: on a stream the SDK reads a refusal line by line as if it were updates, and what is
no JSON by itself it skips.
"""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from rest_framework import exceptions

from jobs.dialects.inferencesh.wire.problems import CONTENT_TYPE, INTERNAL, Problem, problem
from jobs.dialects.views import Words, pause_of

STORE_AWAY = Problem(
    503, "internal_error", "The file store does not answer. Please try again.", "storage_unavailable", "", 5
)
NO_KEY = Problem(
    401, "unauthorized", "Send your API key as `Authorization: Bearer <key>`.", ours="missing_key"
)
CODES = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    429: "rate_limited",
}


def answer(error: Exception, context: dict[str, Any]) -> HttpResponse:
    """REST framework's exception handler."""
    return response(WORDS.of(error, context["view"]))


def response(found: Problem) -> HttpResponse:
    body = json.dumps(found.body(settings.PUBLIC_URL), indent=1)
    told = HttpResponse(body, status=found.status, content_type=CONTENT_TYPE)
    if found.retry_after is not None:
        told["Retry-After"] = str(found.retry_after)
    if found.status == 401:  # noqa: PLR2004  HTTP
        told["WWW-Authenticate"] = "Bearer"
    return told


def _framework(error: exceptions.APIException) -> Problem:
    if isinstance(error, exceptions.NotAuthenticated):
        return NO_KEY
    if isinstance(error, exceptions.Throttled):
        seconds = pause_of(error)
        return Problem(
            429, "rate_limited", f"Too many requests: try again in {seconds} s.", retry_after=seconds
        )
    detail = error.detail
    ours = str(getattr(detail, "code", error.default_code))
    code = (
        "insufficient_scope" if ours == "scope_missing" else CODES.get(error.status_code, "invalid_request")
    )
    text = str(detail) if isinstance(detail, str) else "This request is not valid."
    return Problem(error.status_code, code, text, ours=ours)


WORDS = Words(
    refused=problem,
    of_framework=_framework,
    nothing_here=Problem(404, "not_found", "There is nothing at this address."),
    store_away=STORE_AWAY,
    unreadable=Problem(400, "invalid_request", "This request cannot be read."),
    internal=INTERNAL,
)
