"""Every error of these views as this API's JSON, whatever it was: never a page of HTML."""

from __future__ import annotations

from typing import Any

from rest_framework import exceptions
from rest_framework.response import Response

from jobs.dialects.dashscope.wire.faults import INTERNAL, NO_KEY, Fault, Refused, fault
from jobs.dialects.views import Words, pause_of

TOO_MANY = 429


def request_id(request: Any) -> str:
    """The middleware's name for this request, also in the answer's headers and in the log."""
    return str(request.META.get("HTTP_X_REQUEST_ID", ""))


def answer(error: Exception, context: dict[str, Any]) -> Response:
    """REST framework's exception handler."""
    found = error.fault if isinstance(error, Refused) else WORDS.of(error, context["view"])
    request = context["request"]
    response = Response(found.body(request_id(request)), status=found.status)
    if found.retry_after is not None:
        response["Retry-After"] = str(found.retry_after)
    if request.method == "POST" and found.status != TOO_MANY:
        # The newer SDK sends a POST again after any 5xx, and what it asks for costs money.
        response["x-should-retry"] = "false"
    return response


def _framework(error: exceptions.APIException) -> Fault:
    match error:
        case exceptions.NotAuthenticated():
            return NO_KEY
        case exceptions.PermissionDenied():
            return Fault(403, "AccessDenied", str(error.detail))
        case exceptions.Throttled():
            seconds = pause_of(error)
            return Fault(
                TOO_MANY, "Throttling.RateQuota", f"Too many requests: try again in {seconds} s.", seconds
            )
        case exceptions.UnsupportedMediaType():
            return Fault(400, "InvalidParameter", "Send JSON, and the header Content-Type: application/json.")
    return Fault(error.status_code, "InvalidParameter", str(error.detail))


WORDS = Words(
    refused=fault,
    of_framework=_framework,
    nothing_here=Fault(404, "NotFound", "There is nothing at this address."),
    store_away=Fault(503, "ModelUnavailable", "The file store does not answer. Please try again.", 5),
    unreadable=Fault(400, "InvalidParameter", "This request cannot be read."),
    internal=INTERNAL,
)
