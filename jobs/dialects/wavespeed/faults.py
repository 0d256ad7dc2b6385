"""Every error of these views as this API's JSON, whatever it was: never a page of HTML."""

from __future__ import annotations

from typing import Any

from rest_framework import exceptions
from rest_framework.response import Response

from jobs.dialects.views import Words, pause_of
from jobs.dialects.wavespeed.wire.faults import INTERNAL, Fault, fault
from jobs.dialects.wavespeed.wire.submissions import Base64WithWebhook

NO_KEY = Fault(
    401, "missing_key", "Invalid authentication: send your API key as `Authorization: Bearer <key>`."
)


def answer(error: Exception, context: dict[str, Any]) -> Response:
    """REST framework's exception handler."""
    if isinstance(error, Base64WithWebhook):
        return Response({"error": error.message}, status=400)
    found = WORDS.of(error, context["view"])
    response = Response(found.body(), status=found.status)
    if found.retry_after is not None:
        response["Retry-After"] = str(found.retry_after)
    if found.status == 401:  # noqa: PLR2004  HTTP
        response["WWW-Authenticate"] = "Bearer"
    return response


def _framework(error: exceptions.APIException) -> Fault:
    if isinstance(error, exceptions.NotAuthenticated):
        return NO_KEY
    if isinstance(error, exceptions.Throttled):
        # the SDK shows this text while it waits
        seconds = pause_of(error)
        return Fault(429, "rate_limited", f"Too many requests: try again in {seconds} s.", seconds)
    detail = error.detail
    code = str(getattr(detail, "code", error.default_code))
    return Fault(
        error.status_code, code, str(detail) if isinstance(detail, str) else "This request is not valid."
    )


WORDS = Words(
    refused=fault,
    of_framework=_framework,
    nothing_here=Fault(404, "not_found", "There is nothing at this address."),
    store_away=Fault(503, "storage_unavailable", "The file store does not answer. Please try again.", 5),
    unreadable=Fault(400, "bad_request", "This request cannot be read."),
    internal=INTERNAL,
)
