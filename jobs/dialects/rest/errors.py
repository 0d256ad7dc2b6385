"""Every code that `/v1` refuses with: its status, what it means, and what helps. Data, for the OpenAPI document, for
the page of errors, and for a test that no other code is raised.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from providers.failures import FAILURES as SAID


class Entry(NamedTuple):
    status: int
    meaning: str
    remedy: str
    again: bool = False
    """Whether the very same request can succeed later, as `retryable` says it."""


ERRORS: Final[dict[str, Entry]] = {
    # --- who is calling -------------------------------------------------------------------------------------------
    "not_authenticated": Entry(
        401, "No API key was sent.", "Send `Authorization: Bearer vr_…` with every request."
    ),
    "malformed_key": Entry(
        401, "What was sent is not a key of ours.", "Copy the key whole: `vr_` and 49 characters."
    ),
    "unknown_key": Entry(401, "There is no such key here.", "Check which installation the key is from."),
    "key_expired": Entry(401, "The key's time is over.", "Make a new key."),
    "key_revoked": Entry(401, "The key was revoked.", "Make a new key."),
    "address_not_allowed": Entry(
        403,
        "The key may not be used from this network address.",
        "Call from an allowed network, or change the key's list.",
    ),
    "organization_suspended": Entry(403, "The organization is suspended.", "Contact support."),
    "scope_missing": Entry(
        403, "The key lacks a permission.", "Use a key with the scope that `detail` names."
    ),
    "key_limit_escaped": Entry(
        403,
        "A key may give no other key a later end, wider networks or more money than it has itself.",
        "Ask for no more than the key you use has; a person can, in the dashboard.",
    ),
    "key_ended": Entry(
        409,
        "The key was revoked, or replaced by a rotation.",
        "Use the key that replaced it, or make a new one.",
    ),
    "key_not_found": Entry(404, "There is no such API key.", "`GET /v1/keys` lists them."),
    "usage_too_large": Entry(422, "The answer would be too long.", "Ask for fewer days, or group by less."),
    # --- the request ----------------------------------------------------------------------------------------------
    "parse_error": Entry(400, "The request cannot be read.", "Send valid JSON, or a valid multipart form."),
    "not_found": Entry(
        404, "There is nothing at this address.", "Check the address against the API reference."
    ),
    "method_not_allowed": Entry(405, "This address has no such method.", "Use a method that `Allow` names."),
    "body_too_large": Entry(413, "The body is too large.", "Send less; large files go to storage directly."),
    "unsupported_media_type": Entry(
        415, "Bodies of this type are not read here.", "Send the `Content-Type` that the API reference names."
    ),
    "body_invalid": Entry(422, "The body is not an object.", "Send a JSON object."),
    "parameter_missing": Entry(422, "A parameter is missing.", "Send the one that `field` names."),
    "parameter_invalid": Entry(
        422, "A parameter is unknown or of the wrong shape.", "`detail` says what `field` accepts."
    ),
    "idempotency_conflict": Entry(
        409,
        "This idempotency key was used for another request.",
        "Use a new key for a new request; send the old request unchanged to repeat it.",
    ),
    "idempotency_in_progress": Entry(
        409,
        "The first request with this idempotency key is still at work.",
        "Wait for `Retry-After` and repeat.",
        again=True,
    ),
    "rate_limited": Entry(
        429, "Too many requests.", "Wait for `Retry-After`; `RateLimit` says how much is left.", again=True
    ),
    "storage_unavailable": Entry(
        503, "Files cannot be reached at the moment.", "Try again a little later.", again=True
    ),
    "internal_error": Entry(
        500, "Our mistake.", "Try again; if it stays, tell support the `X-Request-Id`.", again=True
    ),
    # --- files and addresses --------------------------------------------------------------------------------------
    "file_not_found": Entry(
        404, "There is no such file.", "It may have been deleted or be another tenant's."
    ),
    "file_unknown": Entry(422, "An input names a file that does not exist.", "Upload it again."),
    "file_not_uploaded": Entry(
        409,
        "The file was announced, but its bytes have not arrived.",
        "Send them to the ticket's address, then repeat.",
        again=True,
    ),
    "checksum_mismatch": Entry(
        422, "The bytes are not those that were announced.", "Ask for a new ticket and send the file again."
    ),
    "file_in_use": Entry(409, "A job that has not ended needs the file.", "Wait for the job, or cancel it."),
    "file_is_output": Entry(409, "The file is the output of a job.", "Delete the job."),
    "file_address_expired": Entry(
        422,
        "An input's address has expired.",
        "Give the file's id, or a fresh address from `GET /v1/files/{id}`.",
    ),
    "file_empty": Entry(422, "The file has no content.", "Check what is being uploaded."),
    "file_too_large": Entry(
        422, "The file is larger than is accepted.", "Make it smaller; `detail` tells the limit."
    ),
    "content_type_invalid": Entry(422, "This is no media type.", "Send something like `image/png`."),
    "wrong_type": Entry(
        422, "The file is of another kind than the input takes.", "`detail` says what it takes."
    ),
    "not_media": Entry(
        422, "The file is no picture, recording or video.", "`detail` lists the accepted formats."
    ),
    "image_unreadable": Entry(422, "The picture cannot be decoded.", "Export it again as JPEG or PNG."),
    "image_too_large": Entry(422, "The picture has too many pixels.", "Scale it down."),
    "image_too_small": Entry(422, "The picture has too few pixels.", "Use a larger picture."),
    "audio_unreadable": Entry(422, "The recording cannot be decoded.", "Export it again as WAV or MP3."),
    "audio_empty": Entry(422, "The recording has no sound in it.", "Use one with a voice."),
    "audio_too_long": Entry(422, "The recording is longer than the model takes.", "Cut it."),
    "input_unsuitable": Entry(
        422, "Nobody takes such a file, or such an option, at the moment.", "The message says what is taken."
    ),
    "video_unreadable": Entry(422, "The video cannot be decoded.", "Export it again as MP4 (H.264)."),
    "video_empty": Entry(422, "The video has no pictures in it.", "Use one with content."),
    "video_too_large": Entry(422, "The video has too many pixels.", "Scale it down."),
    "video_too_small": Entry(422, "The video has too few pixels.", "Use a larger one."),
    "video_too_long": Entry(422, "The video is longer than the model takes.", "Cut it."),
    "media_too_long": Entry(422, "The file is longer than any model takes.", "Cut it."),
    "probe_crashed": Entry(
        422, "The file could not be examined.", "Export it again, or use another format.", again=True
    ),
    "probe_timeout": Entry(
        422, "Examining the file took too long.", "Export it again, or use another format.", again=True
    ),
    "url_invalid": Entry(422, "This is no usable web address.", "Give a complete http or https address."),
    "url_scheme": Entry(
        422, "The address is not http or https.", "Upload the file, or give its web address."
    ),
    "url_private": Entry(422, "The address is not on the public internet.", "Give a public address."),
    "url_redirect_private": Entry(422, "The address redirects to a private one.", "Give a public address."),
    "url_too_many_redirects": Entry(422, "The address redirects too often.", "Give the last address."),
    "url_unreachable": Entry(
        422, "The address's server could not be reached.", "Check it, or upload the file.", again=True
    ),
    "url_timeout": Entry(
        422, "The address's server was too slow.", "Try again, or upload the file.", again=True
    ),
    "url_status": Entry(422, "The address's server did not answer with the file.", "Check it in a browser."),
    "url_too_large": Entry(422, "The file at the address is too large.", "Give a smaller one."),
    "content_refused": Entry(422, "The content check refused the file.", "Use another picture or video."),
    "moderation_unavailable": Entry(
        422, "The content check did not answer.", "Try again a little later.", again=True
    ),
    # --- orders ---------------------------------------------------------------------------------------------------
    "model_unknown": Entry(422, "There is no such model.", "`GET /v1/models` lists them."),
    "quote_needs_files": Entry(422, "A price needs inputs that are known.", "Upload all inputs first."),
    "quote_expired": Entry(422, "The quote's time is over.", "Ask for a new one."),
    "quote_invalid": Entry(422, "This is no quote of ours.", "Send the `id` of a quote unchanged."),
    "quote_outdated": Entry(
        422, "Other orders used the free units that the quote counted on.", "Ask for a new one."
    ),
    "quote_mismatch": Entry(422, "The quote was made for another order.", "Ask for one for this order."),
    "no_route": Entry(
        503, "Nobody can render this at the moment.", "Try again later, or choose another model.", again=True
    ),
    "provider_unavailable": Entry(503, "Nobody answered in time.", "Try again.", again=True),
    "insufficient_funds": Entry(402, "The balance does not cover the price.", "Add credit."),
    "key_spend_cap": Entry(402, "The key has spent what it may.", "Raise its cap, or use another key."),
    "monthly_budget": Entry(
        402, "The month's budget is used up.", "Raise the budget, or wait for next month."
    ),
    "queued_jobs_limit": Entry(
        402, "Too many jobs are waiting.", "Try again when some have started.", again=True
    ),
    "clip_too_long": Entry(
        402, "The organization's videos may not be this long.", "Cut it, or ask for more."
    ),
    "storage_full": Entry(
        422, "The organization's files take all the room they may.", "Delete some, or ask for more."
    ),
    "model_not_allowed": Entry(
        402, "The organization may not use this model.", "Choose another, or ask for it."
    ),
    "price_missing": Entry(402, "The model has no price today.", "The operator must set one."),
    "tier_missing": Entry(402, "The organization has no tier.", "The operator must give it one."),
    # --- jobs -----------------------------------------------------------------------------------------------------
    "job_not_found": Entry(404, "There is no such job.", "It may have been deleted or be another tenant's."),
    "job_not_ended": Entry(409, "The job has not ended.", "Cancel it, or wait for its end."),
    "job_ended": Entry(409, "The job has already ended.", "Nothing is left to cancel."),
    # --- accounts at providers ------------------------------------------------------------------------------------
    "provider_account_not_found": Entry(
        404, "There is no such provider account.", "`GET /v1/provider-accounts` lists yours."
    ),
    "provider_accounts_limit": Entry(
        409, "There are as many provider accounts as there may be.", "Remove one first."
    ),
    "provider_unknown": Entry(
        422, "No account can be had at this provider.", "`GET /v1/provider-accounts` names those that can."
    ),
    "key_invalid": Entry(422, "This is no key of a provider.", "Paste it as the provider shows it."),
    "region_unknown": Entry(422, "The provider has no such region.", "`detail` names those it has."),
    "name_taken": Entry(422, "There is one of this name already.", "Choose another name."),
    "account_in_use": Entry(
        409, "Jobs still run at the account.", "Wait for their end, or cancel them.", again=True
    ),
    # --- webhooks -------------------------------------------------------------------------------------------------
    "webhook_not_found": Entry(
        404, "There is no such webhook endpoint.", "It may have been deleted or be another tenant's."
    ),
    "webhook_limit": Entry(409, "There are as many endpoints as there may be.", "Delete one first."),
    "webhook_disabled": Entry(409, "The endpoint is disabled.", "Enable it: PATCH it with `enabled: true`."),
    "webhook_test_pending": Entry(
        409,
        "The test before this one is still on its way.",
        "Look at its delivery, or try again later.",
        again=True,
    ),
    "delivery_not_found": Entry(
        404, "There is no such delivery.", "They are kept for thirty days; or it is another tenant's."
    ),
    "delivery_pending": Entry(
        409,
        "The delivery is still being tried.",
        "It needs no replay; `next_try_at` says when it is next tried.",
        again=True,
    ),
}


class Failure(NamedTuple):
    """Why an accepted job has failed, as `error.code` of the job tells. It cost nothing."""

    meaning: str
    remedy: str
    again: bool = False


FAILURES: Final[dict[str, Failure]] = {
    # --- what any provider may say, in its room's own words --------------------------------------------------------
    **{
        code: Failure(said.message, said.hint or "Order again.", said.retryable)
        for code, said in SAID.items()
    },
    "provider_account": Failure("No renderer could be used at the moment.", "Order again later.", again=True),
    "provider_unsuitable": Failure("No renderer makes this order.", "`message` says why."),
    # --- inputs; besides these, everything that is said of files and addresses above ------------------------------
    "file_not_uploaded": Failure(
        "A file was announced, but its bytes never came.", "Upload it, then order again.", again=True
    ),
    "file_gone": Failure("An input was deleted while the job waited.", "Upload it again and order anew."),
    "audio_too_short": Failure("The recording is too short to speak from.", "Send at least one second."),
    "face_not_found": Failure("No face was found in the picture.", "Use one face, seen from the front."),
    # --- the order ------------------------------------------------------------------------------------------------
    "canceled": Failure("You canceled it.", "Order again if you want it after all."),
    "expired": Failure("It was not done in its time.", "Order again.", again=True),
    # --- our side -------------------------------------------------------------------------------------------------
    "engine_failed": Failure("The renderer stopped.", "Order again; `hint` may say more.", again=True),
    "output_unusable": Failure(
        "The result was damaged, silent or of another length.", "Order again.", again=True
    ),
    "content_withheld": Failure(
        "The finished video did not pass the content check.", "Use another picture, voice or prompt."
    ),
    "moderation_unavailable": Failure(
        "The content check did not answer, so nothing was handed out.", "Order again later.", again=True
    ),
    "order_failed": Failure("The order could not be made.", "Order again.", again=True),
    "provider_refused": Failure("The renderer refused the order.", "`message` says why."),
    "provider_failed": Failure("The renderer failed.", "`error.retryable` says whether to order again."),
    "provider_lost_job": Failure("The renderer lost the order.", "Order again.", again=True),
    "provider_canceled": Failure("The renderer canceled it on its own.", "Order again.", again=True),
    "own_account_refused": Failure(
        "Your own account at the provider refused the order.", "Check its key and credit, then order again."
    ),
    "own_account_gone": Failure("Your own account at the provider takes no orders now.", "Order anew."),
    "route_stopped": Failure("Rendering was stopped by the operator.", "Order again.", again=True),
    "provider_throttled": Failure("The renderers are too busy.", "Order again later.", again=True),
}

# Why a picture is not fit: what a look at it found. Code: meaning, remedy.
UNFIT: Final[dict[str, tuple[str, str]]] = {
    "face_not_found": ("There is no face.", "Use a picture of one person, seen from the front."),
    "face_many": ("There is more than one person.", "Crop it to one."),
    "face_small": ("The face is too small.", "Crop the picture closer."),
    "face_dark": ("The face is too dark.", "Use a picture with more light."),
    "face_turned": ("The head is turned, or an eye is hidden.", "Use a picture that looks into the camera."),
    "body_cut": ("The person is cut off.", "Use a picture with more around them."),
    "image_blurred": ("The face is out of focus.", "Use a sharper picture."),
    "image_too_small": ("The picture is too small.", "Use a larger one."),
    "image_too_large": ("The picture is too large.", "Scale it down."),
}

FILE_CODES: Final = (
    *("file_empty", "file_too_large", "storage_full", "content_type_invalid", "not_media", "media_too_long"),
    *("image_unreadable", "image_too_large", "image_too_small", "audio_unreadable", "audio_empty"),
    *("video_unreadable", "video_too_large", "video_too_small", "content_refused"),
)
INPUT_CODES: Final = (
    *(
        *FILE_CODES,
        "checksum_mismatch",
        "file_unknown",
        "file_address_expired",
        "wrong_type",
        "audio_too_long",
        "video_too_long",
    ),
    *("video_empty", "url_invalid", "url_scheme", "url_private"),
)
FETCH_CODES: Final = (
    *(
        "url_redirect_private",
        "url_too_many_redirects",
        "url_unreachable",
        "url_timeout",
        "url_status",
        "url_too_large",
    ),
)
MONEY_CODES: Final = (
    *("insufficient_funds", "key_spend_cap", "monthly_budget", "queued_jobs_limit", "clip_too_long"),
    *("model_not_allowed", "price_missing", "tier_missing"),
)


def by_status(codes: Iterable[str]) -> dict[int, list[str]]:
    """The codes under their statuses, both in order."""
    grouped: dict[int, list[str]] = {}
    for code in sorted(set(codes), key=lambda code: (ERRORS[code].status, code)):
        grouped.setdefault(ERRORS[code].status, []).append(code)
    return grouped
