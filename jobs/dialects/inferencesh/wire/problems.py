"""Refusals as RFC 9457 problems. The SDK reads its code from the end of `type` and its sentence from `detail`."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from accounts.errors import AccessError, KeyRefused, OrganizationSuspended, ScopeMissing
from billing.errors import BillingError, RateLimited
from jobs.errors import Conflict, Invalid, JobError, NoRoute, NotFound, Unpayable

CONTENT_TYPE = "application/problem+json"
# What a full queue or an absent route tells a client that asks again by itself.
LATER_SECONDS = 5


@dataclass(frozen=True)
class Problem:
    """`code` is the vendor's word, `ours` our own stable one; `retry_after` is in seconds."""

    status: int
    code: str
    detail: str
    ours: str = ""
    field: str = ""
    retry_after: int | None = None

    def body(self, base: str) -> dict[str, Any]:
        """No field is named `data` or `errors`: the SDK gives those a meaning."""
        body: dict[str, Any] = {
            "type": f"{base}/errors/{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "error_code": self.ours or self.code,
        }
        return body | ({"field": self.field} if self.field else {})


INTERNAL = Problem(500, "internal_error", "Something went wrong on our side. Please try again later.")

BY_CODE = {
    "parameter_missing": (400, "validation_error"),
    "file_too_large": (413, "invalid_request"),
    "storage_full": (413, "invalid_request"),
    "insufficient_funds": (402, "payment_required"),
    "key_spend_cap": (402, "limit_exceeded"),
    "monthly_budget": (402, "limit_exceeded"),
    "model_not_allowed": (403, "feature_not_available"),
    "queued_jobs_limit": (429, "rate_limited"),
    "rate_limited": (429, "rate_limited"),
    "price_missing": (503, "app_maintenance"),
    "tier_missing": (503, "app_maintenance"),
    "clip_too_long": (400, "validation_error"),
    "session_not_found": (404, "SESSION_NOT_FOUND"),
    "job_ended": (409, "invalid_transition"),
    "job_not_ended": (409, "invalid_transition"),
}
BY_CLASS: dict[type[Exception], tuple[int, str]] = {
    Invalid: (400, "validation_error"),
    NotFound: (404, "not_found"),
    Conflict: (409, "conflict"),
    NoRoute: (503, "app_maintenance"),
    Unpayable: (402, "payment_required"),
    JobError: (400, "invalid_request"),
    BillingError: (402, "payment_required"),
}


def problem(error: JobError | BillingError | AccessError) -> Problem:
    if isinstance(error, AccessError):
        return _access(error)
    by_class = next(pair for kind, pair in BY_CLASS.items() if isinstance(error, kind))
    status, code = BY_CODE.get(error.code, by_class)
    later = error.retry_after if isinstance(error, RateLimited) else LATER_SECONDS
    return Problem(
        status,
        code,
        error.message,
        ours=error.code,
        field=error.field if isinstance(error, JobError) else "",
        retry_after=later if status in {429, 503} else None,
    )


def _access(error: AccessError) -> Problem:
    match error:
        case ScopeMissing():
            code = "insufficient_scope"
        case OrganizationSuspended():
            code = "account_deactivated"
        case KeyRefused() if error.status == HTTPStatus.UNAUTHORIZED:
            code = "unauthorized"
        case _:
            code = "forbidden"
    return Problem(error.status, code, error.message, ours=error.code)
