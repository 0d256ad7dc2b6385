"""Every refusal in the vendor's codes: as an HTTP error, and inside a failed task."""

from __future__ import annotations

from dataclasses import dataclass

from accounts.errors import AccessError, KeyRefused
from billing.errors import BillingError, RateLimited
from jobs.errors import Invalid, JobError, NoRoute

# Our stable codes by their beginnings, the first that fits.
CODES = (
    ("parameter_", "InvalidParameter"),
    ("model_unknown", "InvalidParameter"),
    ("content_type_invalid", "InvalidParameter"),
    ("content_", "DataInspectionFailed"),
    ("moderat", "DataInspectionFailed"),
    ("rights_refused", "IPInfringementSuspect"),
    ("url_timeout", "InvalidURL.Timeout"),
    ("url_unreachable", "InvalidURL.ConnectionRefused"),
    ("url_too_large", "InvalidFile.Size"),
    ("url_", "InvalidURL"),
    ("file_too_large", "InvalidFile.Size"),
    ("storage_full", "InvalidFile.Size"),
    ("file_empty", "InvalidFile.Size"),
    ("file_", "InvalidURL"),
    ("audio_", "InvalidURL"),
    ("wrong_type", "InvalidFile.Format"),
    ("not_media", "InvalidFile.Format"),
    ("image_too_", "InvalidFile.Resolution"),
    ("image_size", "InvalidFile.Resolution"),
    ("video_too_long", "InvalidFile.Duration"),
    ("media_too_long", "InvalidFile.Duration"),
    ("video_too_", "InvalidFile.Resolution"),
    ("image_blurred", "InvalidFile.Value"),
    ("image_", "InvalidFile.Openerror"),
    ("video_", "InvalidFile.Openerror"),
    ("face_many", "InvalidFile.MultiHuman"),
    ("face_turned", "InvalidFile.FacePose"),
    ("face_small", "InvalidFile.BodyProportion"),
    ("face_dark", "InvalidFile.Value"),
    ("body_cut", "InvalidFile.FullBody"),
    ("face_", "InvalidFile.NoHuman"),
    ("clip_too_long", "InvalidFile.Duration"),
    ("idempotency_conflict", "InvalidParameter"),
    ("insufficient_funds", "Arrearage"),
    ("key_spend_cap", "Arrearage"),
    ("monthly_budget", "Arrearage"),
    ("expired", "InternalError.Timeout"),
    ("provider_timeout", "InternalError.Timeout"),
    ("no_route", "ModelUnavailable"),
    ("provider_unavailable", "ModelUnavailable"),
    ("engine_failed", "InternalError.Algo"),
)


@dataclass(frozen=True)
class Fault:
    """An HTTP error of this API. `retry_after` in seconds."""

    status: int
    code: str
    message: str
    retry_after: int | None = None

    def body(self, request_id: str) -> dict[str, str]:
        return {"code": self.code, "message": self.message, "request_id": request_id}


class Refused(Exception):
    """A refusal that is worded as it shall be sent. args[0] is the Fault."""

    @property
    def fault(self) -> Fault:
        return self.args[0]  # type: ignore[no-any-return]  # a generic row or an argument kept by Exception


def refused(status: int, code: str, message: str) -> Refused:
    return Refused(Fault(status, code, message))


def invalid(message: str) -> Refused:
    return refused(400, "InvalidParameter", message)


INTERNAL = Fault(500, "InternalError", "Something went wrong on our side. Nothing was charged.")
NO_KEY = Fault(401, "InvalidApiKey", "No API key: send yours as `Authorization: Bearer <key>`.")


def code_of(ours: str) -> str:
    return next((code for start, code in CODES if ours.startswith(start)), "InternalError")


def fault(error: JobError | BillingError | AccessError) -> Fault:
    """The answer to one of our own refusals. Never 409: the SDK would send the request again."""
    match error:
        case RateLimited():
            return Fault(429, "Throttling.RateQuota", error.message, error.retry_after)
        case NoRoute():
            return Fault(503, "ModelUnavailable", error.message)
        case KeyRefused() if error.status == 401:  # noqa: PLR2004  HTTP
            return Fault(401, "InvalidApiKey", error.message)
        case AccessError():
            return Fault(403, "AccessDenied", error.message)
        case Invalid():
            code = code_of(error.code)
            return Fault(400, "InvalidParameter" if code == "InternalError" else code, error.message)
    return _product(error)


def _product(error: JobError | BillingError) -> Fault:
    """Money, limits and the rest."""
    if error.code == "model_not_allowed":
        return Fault(403, "Model.AccessDenied", error.message)
    code = "ModelUnavailable" if error.code == "price_missing" else code_of(error.code)
    if code != "InternalError":
        return Fault(503 if code == "ModelUnavailable" else 400, code, error.message)
    if error.retryable:
        return Fault(429, "Throttling.AllocationQuota", error.message)
    return Fault(403, "AccessDenied", error.message)
