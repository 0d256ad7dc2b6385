"""What the studio's scripts send and get: JSON objects, and refusals that say what to do next."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponseBase, JsonResponse
from django.urls import reverse

from accounts.tenancy import Caller
from billing.errors import RateLimited
from jobs.errors import Conflict, Invalid, JobError, NoRoute, NotFound, Unpayable
from jobs.storage import StorageUnavailable

P = ParamSpec("P")
Verb = Callable[Concatenate[HttpRequest, Caller, P], HttpResponseBase]

STATUSES: Mapping[type[JobError], int] = {
    Invalid: 422,
    NotFound: 404,
    Conflict: 409,
    Unpayable: 402,
    NoRoute: 503,
}
# What a person can do about it, beyond what the sentence says.
NEXT = {
    "no_route": "Nothing is wrong with your files. Try again in a minute.",
    "monthly_budget": "Raise the monthly budget, or wait for the next month.",
    "queued_jobs_limit": "Wait until some of your videos have started.",
    "model_not_allowed": "Choose another model, or ask your operator for this one.",
    "clip_too_long": "Trim the recording.",
    "audio_too_long": "Trim the recording.",
    "video_too_long": "Choose a shorter clip.",
    "quote_expired": "The price has been asked for again: look at it, then press the button once more.",
    "quote_outdated": "The price has been asked for again: look at it, then press the button once more.",
    "quote_invalid": "Reload the page; what you chose is still here.",
    "quote_mismatch": "Look at the price, then press the button once more.",
    "idempotency_conflict": "Reload the page, and look among your jobs whether it was ordered.",
    "rate_limited": "Wait that long, then press the button again.",
    "price_missing": "Ask your operator for a price, or choose another model.",
    "tier_missing": "Ask your operator for a plan.",
    "file_unknown": "Choose the file again.",
    "file_not_found": "Choose another file.",
    "file_address_expired": "Choose the file again.",
    "file_in_use": "Wait for the video, or cancel it.",
    "file_is_output": "Delete its video instead.",
    "storage_full": "Videos that you no longer need are deleted under Videos.",
    "storage_unavailable": "Try again in a minute.",
    "wrong_type": "Choose another file.",
    "audio_empty": "Choose a recording with a voice in it.",
    "video_empty": "Choose another clip.",
    "job_not_found": "It may have been deleted: your jobs are listed under Jobs.",
    "clip_missing": "Wait for the next one.",
    "not_found": "It may have been deleted. Reload the page.",
}
# Of whatever has no line of its own.
NEXT_OF_KIND: Mapping[type[JobError], str] = {
    Invalid: "Change what the sentence names, then try again.",
    NotFound: NEXT["not_found"],
    Conflict: "Reload the page to see how it stands.",
    Unpayable: "Ask your operator.",
    NoRoute: NEXT["no_route"],
}


def body_of(request: HttpRequest) -> dict[str, Any]:
    """The request's JSON object. Raises Invalid."""
    try:
        body = json.loads(request.body or b"{}")
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise Invalid("body_invalid", "The body must be a JSON object.")
    return body


def part(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object inside of it. Raises Invalid."""
    value = body.get(name, {})
    if not isinstance(value, dict):
        raise Invalid("body_invalid", f"{name} must be a JSON object.", field=name)
    return value


def text(body: Mapping[str, Any], name: str, *, most: int = 4000) -> str:
    value = body.get(name, "")
    if not isinstance(value, str) or len(value) > most:
        raise Invalid("body_invalid", f"{name} must be a text.", field=name)
    return value


def an_id(body: Mapping[str, Any], name: str) -> UUID:
    try:
        return UUID(text(body, name))
    except ValueError:
        raise Invalid("body_invalid", f"{name} must be the id of a file.", field=name) from None


def told(view: Verb[P]) -> Verb[P]:
    """A view whose refusals are answered as JSON: code, sentence, what to do next and where."""

    @functools.wraps(view)
    def answering(
        request: HttpRequest, caller: Caller, /, *args: P.args, **kwargs: P.kwargs
    ) -> HttpResponseBase:
        try:
            return view(request, caller, *args, **kwargs)
        except RateLimited as refusal:
            answer = {**_said(refusal.code, refusal.message), "retry_after": refusal.retry_after}
            return JsonResponse(answer, status=429, headers={"Retry-After": str(refusal.retry_after)})
        except JobError as refusal:
            status = next((code for kind, code in STATUSES.items() if isinstance(refusal, kind)), 503)
            return JsonResponse(refused(caller, refusal), status=status)
        except Http404:
            return JsonResponse(_said("not_found", "This is not here, or not any more."), status=404)
        except StorageUnavailable:
            message = "The place where files are kept does not answer. Nothing is lost."
            return JsonResponse(_said("storage_unavailable", message), status=503)

    return answering


def refused(caller: Caller, refusal: JobError) -> dict[str, Any]:
    answer: dict[str, Any] = {"code": refusal.code, "message": refusal.message, "field": refusal.field}
    answer["next"] = NEXT.get(refusal.code) or _next_of_kind(refusal)
    if refusal.code == "insufficient_funds":
        answer |= credit(caller)
    return answer


def _said(code: str, message: str) -> dict[str, Any]:
    return {"code": code, "message": message, "next": NEXT[code]}


def _next_of_kind(refusal: JobError) -> str:
    if refusal.field == "file":
        return "Choose another file."
    return next(words for kind, words in NEXT_OF_KIND.items() if isinstance(refusal, kind))


def credit(caller: Caller) -> dict[str, Any]:
    """Where credit comes from, for whoever may buy it."""
    if caller.can("billing:write"):
        return {"next": "", "link": {"href": reverse("billing"), "text": "Add credit"}}
    return {"next": f"Ask an owner of {caller.organization.name} to add credit."}
