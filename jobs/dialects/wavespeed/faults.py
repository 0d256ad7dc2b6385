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
from jobs.dialects.wavespeed.wire.faults import INTERNAL, Fault, fault
from jobs.dialects.wavespeed.wire.submissions import Base64WithWebhook
from jobs.errors import JobError
from jobs.storage import StorageUnavailable

log = logging.getLogger(__name__)

STORE_AWAY = Fault(503, "storage_unavailable", "The file store does not answer. Please try again.", 5)
NO_KEY = Fault(
    401, "missing_key", "Invalid authentication: send your API key as `Authorization: Bearer <key>`."
)


def answer(error: Exception, context: dict[str, Any]) -> Response:
    """REST framework's exception handler."""
    if isinstance(error, Base64WithWebhook):
        return Response({"error": error.message}, status=400)
    found = _fault(error)
    if found is INTERNAL:
        # The traceback is ours; what the caller sent is not in it and stays out of the log.
        log.error("%s failed", type(context["view"]).__name__, exc_info=error)
    response = Response(found.body(), status=found.status)
    if found.retry_after is not None:
        response["Retry-After"] = str(found.retry_after)
    if found.status == 401:  # noqa: PLR2004  HTTP
        response["WWW-Authenticate"] = "Bearer"
    return response


def _fault(error: Exception) -> Fault:
    match error:
        case JobError() | BillingError() | AccessError():
            return fault(error)
        case KeyNotAccepted():
            return fault(error.error)
        case exceptions.APIException():
            return _framework(error)
        case Http404():
            return Fault(404, "not_found", "There is nothing at this address.")
        case StorageUnavailable():
            log.warning("the file store did not answer: %s", error)
            return STORE_AWAY
        case SuspiciousOperation() | RecursionError():
            return Fault(400, "bad_request", "This request cannot be read.")
    return INTERNAL


def _framework(error: exceptions.APIException) -> Fault:
    if isinstance(error, exceptions.NotAuthenticated):
        return NO_KEY
    if isinstance(error, exceptions.Throttled):
        # the SDK shows this text while it waits
        seconds = max(1, math.ceil(getattr(error, "wait", None) or 1))
        return Fault(429, "rate_limited", f"Too many requests: try again in {seconds} s.", seconds)
    detail = error.detail
    code = str(getattr(detail, "code", error.default_code))
    return Fault(
        error.status_code, code, str(detail) if isinstance(detail, str) else "This request is not valid."
    )
