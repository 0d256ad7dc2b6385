"""Every refusal of `/v1` as an RFC 9457 problem."""

from __future__ import annotations

import logging
import math
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.http import Http404, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response

from accounts.errors import AccessError
from billing.errors import BillingError, RateLimited
from jobs import errors
from jobs.dialects.rest.idempotency import InProgress
from jobs.dialects.rest.wire import problems as problems_wire
from jobs.storage.backend import StorageUnavailable

log = logging.getLogger(__name__)

STATUS: dict[type[errors.JobError], int] = {
    errors.Invalid: 422,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.NoRoute: 503,
    errors.Unpayable: 402,
    errors.JobError: 503,  # whoever had to answer did not
}
TOO_MANY = 429
PROBLEM_TYPE = "application/problem+json"


def answer(error: Exception, context: Any) -> Response | None:
    """REST framework's exception handler; None hands a programming error on to Django."""
    match error:
        case RateLimited():
            return _limited(error.message, error.retry_after)
        case exceptions.Throttled():
            return _limited("Too many requests.", getattr(error, "wait", None) or 1.0)
        case InProgress():
            response = _refused(error)
            response["Retry-After"] = str(error.retry_after)
            return response
        case errors.JobError():
            return _refused(error)
        case AccessError():
            return _problem(error.status, error.code, error.message, field=getattr(error, "field", ""))
        case BillingError():
            return _problem(402, error.code, error.message, retryable=error.retryable)
        case exceptions.APIException():
            return _of_framework(error)
    return _of_surroundings(error)


def broken() -> JsonResponse:
    """A mistake of ours, which Django has logged."""
    detail = "This failed on our side and is on record. Tell support the X-Request-Id if it stays."
    body = problems_wire.problem(500, "internal_error", detail, retryable=True)
    return JsonResponse(body, status=500, content_type=PROBLEM_TYPE)


def _of_surroundings(error: Exception) -> Response | None:
    """What Django or the file store says."""
    match error:
        case Http404():
            return _problem(404, "not_found", "There is nothing at this address.")
        case StorageUnavailable():
            log.warning("the file store did not answer: %s", error)
            detail = "Files cannot be reached at the moment; nothing was charged."
            return _problem(503, "storage_unavailable", detail, retryable=True)
        case SuspiciousOperation() | RecursionError():
            return _problem(400, "parse_error", "This request cannot be read.")
    return None


def _refused(error: errors.JobError) -> Response:
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    return _problem(status, error.code, error.message, field=error.field, retryable=error.retryable)


def _of_framework(error: exceptions.APIException) -> Response:
    detail = error.detail
    code = getattr(detail, "code", None) or error.default_code
    response = _problem(error.status_code, str(code), str(detail))
    if header := getattr(error, "auth_header", None):
        response["WWW-Authenticate"] = header
    return response


def _limited(detail: str, seconds: float) -> Response:
    response = _problem(TOO_MANY, "rate_limited", detail, retryable=True)
    response["Retry-After"] = str(max(math.ceil(seconds), 1))
    return response


def _problem(status: int, code: str, detail: str, *, field: str = "", retryable: bool = False) -> Response:
    body = problems_wire.problem(status, code, detail, field=field, retryable=retryable)
    return Response(body, status=status, content_type=PROBLEM_TYPE)
