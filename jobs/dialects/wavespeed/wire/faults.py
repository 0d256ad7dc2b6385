"""Refusals as this API words them: a status, a short sentence, a stable code.

The SDK shows the raw body to people, so it stays short and readable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from accounts.errors import AccessError, KeyRefused
from billing.errors import BillingError, RateLimited
from jobs.errors import Conflict, Invalid, JobError, NoRoute, NotFound, Unpayable

INTERNAL_MESSAGE = "Something went wrong on our side. Please try again later."


@dataclass(frozen=True)
class Fault:
    """What an error answer says. `code` never changes its meaning; `retry_after` is in seconds."""

    status: int
    code: str
    message: str
    retry_after: int | None = None

    def body(self) -> dict[str, Any]:
        return {"code": self.status, "message": self.message, "error_code": self.code}


INTERNAL = Fault(500, "internal", INTERNAL_MESSAGE)

BY_CODE = {
    "model_unknown": 404,
    "file_too_large": 413,
    "storage_full": 413,
    "insufficient_funds": 402,
    "key_spend_cap": 402,
    "monthly_budget": 402,
    "model_not_allowed": 403,
    "queued_jobs_limit": 429,
    "rate_limited": 429,
    "clip_too_long": 400,
    "price_missing": 503,
    "tier_missing": 503,
}
BY_CLASS: dict[type[Exception], int] = {
    Invalid: 400,
    NotFound: 404,
    Conflict: 409,
    NoRoute: 503,
    Unpayable: 402,
    JobError: 400,
    BillingError: 402,
}
# What a full queue or an absent route tells a client that asks again by itself.
LATER_SECONDS = 5


def fault(error: JobError | BillingError | AccessError) -> Fault:
    if isinstance(error, AccessError):
        return _access(error)
    status = BY_CODE.get(error.code) or next(n for kind, n in BY_CLASS.items() if isinstance(error, kind))
    if isinstance(error, RateLimited):
        return Fault(status, error.code, error.message, error.retry_after)
    return Fault(status, error.code, error.message, LATER_SECONDS if status == 429 else None)  # noqa: PLR2004  HTTP


def _access(error: AccessError) -> Fault:
    if isinstance(error, KeyRefused) and error.status == 401:  # noqa: PLR2004  HTTP
        return Fault(401, error.code, f"Invalid authentication: {error.message}")
    return Fault(error.status, error.code, error.message)
