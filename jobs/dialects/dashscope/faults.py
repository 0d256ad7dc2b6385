"""Every error of these views as this API's JSON, whatever it was: never a page of HTML."""

from __future__ import annotations

import logging
import math
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response

from accounts.auth import KeyNotAccepted
from accounts.errors import AccessError
from billing.errors import BillingError
from jobs.dialects.dashscope.wire.faults import INTERNAL, NO_KEY, Fault, Refused, fault
from jobs.errors import JobError
from jobs.storage import StorageUnavailable

log = logging.getLogger(__name__)

STORE_AWAY = Fault(503, "ModelUnavailable", "The file store does not answer. Please try again.", 5)
TOO_MANY = 429


def request_id(request: Any) -> str:
    """The middleware's name for this request, also in the answer's headers and in the log."""
    return str(request.META.get("HTTP_X_REQUEST_ID", ""))


def answer(error: Exception, context: dict[str, Any]) -> Response:
    """REST framework's exception handler."""
    found = _fault(error)
    request = context["request"]
    if found is INTERNAL:
        # The traceback is ours; what the caller sent is not in it and stays out of the log.
        log.error("%s failed", type(context["view"]).__name__, exc_info=error)
    response = Response(found.body(request_id(request)), status=found.status)
    if found.retry_after is not None:
        response["Retry-After"] = str(found.retry_after)
    if request.method == "POST" and found.status != TOO_MANY:
        # The newer SDK sends a POST again after any 5xx, and what it asks for costs money.
        response["x-should-retry"] = "false"
    return response


def _fault(error: Exception) -> Fault:
    match error:
        case Refused():
            return error.fault
        case JobError() | BillingError() | AccessError():
            return fault(error)
        case KeyNotAccepted():
            return fault(error.error)
        case exceptions.APIException():
            return _framework(error)
        case Http404():
            return Fault(404, "NotFound", "There is nothing at this address.")
        case StorageUnavailable():
            log.warning("the file store did not answer: %s", error)
            return STORE_AWAY
        case SuspiciousOperation() | RecursionError():
            return Fault(400, "InvalidParameter", "This request cannot be read.")
    return INTERNAL


def _framework(error: exceptions.APIException) -> Fault:
    match error:
        case exceptions.NotAuthenticated():
            return NO_KEY
        case exceptions.PermissionDenied():
            return Fault(403, "AccessDenied", str(error.detail))
        case exceptions.Throttled():
            seconds = max(1, math.ceil(getattr(error, "wait", None) or 1))
            return Fault(
                TOO_MANY, "Throttling.RateQuota", f"Too many requests: try again in {seconds} s.", seconds
            )
        case exceptions.UnsupportedMediaType():
            return Fault(400, "InvalidParameter", "Send JSON, and the header Content-Type: application/json.")
    return Fault(error.status_code, "InvalidParameter", str(error.detail))
