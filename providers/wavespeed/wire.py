"""WaveSpeed's words: requests as it wants them, answers as we mean them. Pure functions."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from providers.base import Bounds, Lost, Order, Output, State, Update
from providers.errors import AccountRefused, Forged, NotFound, OutcomeUnknown, ProviderError, Unavailable
from providers.failures import failed, refused, unsuitable
from providers.upstream import ID, external_id, named, text, web_address

PATHS = {
    "wan-2.2-s2v": "wavespeed-ai/wan-2.2/speech-to-video",
    "wan-2.2-animate": "wavespeed-ai/wan-2.2/animate",
}
# Longest input by model; what is longer would be billed as this and cut.
LONGEST_MS = {"wan-2.2-s2v": 600_000, "wan-2.2-animate": 120_000}
OPTIONS = ("resolution", "seed", "mode")
FILE_BYTES = 200 * 1024 * 1024
BOUNDS = {
    slug: Bounds(longest_ms=longest, most_bytes=dict.fromkeys(("image", "audio", "video"), FILE_BYTES))
    for slug, longest in LONGEST_MS.items()
}

STATES = {
    "created": State.WAITING,
    "processing": State.RUNNING,
    "cancelled": State.CANCELED,
    "deleted": State.LOST,
}
# Business codes of a task.
CODES = {
    1200: "content_refused",
    1400: "input_unsuitable",
    1401: "input_unsuitable",
    1402: "input_unreachable",
    1403: "provider_failed",
    5004: "provider_timeout",
}
NO_CREDIT = 1407
ISO = "%Y-%m-%dT%H:%M:%SZ"
SLACK, WINDOW = timedelta(minutes=1), timedelta(minutes=15)
# A signature is good for this long either side of our clock.
MAX_AGE_SECONDS = 300
VERSION = "v3"
OK, BAD, NO_STATUS = 200, 400, 600


def path(order: Order) -> str:
    """The model's path. Raises Unsuitable for what this vendor does not make."""
    if order.model not in PATHS:
        raise unsuitable("model_unsuitable", f"{order.model} is not made here")
    if order.length_ms > LONGEST_MS[order.model]:
        code = "audio_too_long" if "audio" in order.inputs else "video_unsuitable"
        raise unsuitable(code, f"{order.length_ms} ms")
    if any(file.bytes > FILE_BYTES for file in order.inputs.values()):
        raise unsuitable("input_unsuitable", f"a file is larger than {FILE_BYTES} bytes")
    return PATHS[order.model]


def submission(order: Order, addresses: Mapping[str, str]) -> dict[str, Any]:
    """The flat body of a submit; `addresses` are the inputs by role."""
    options = {name: order.options[name] for name in OPTIONS if name in order.options}
    prompt = {"prompt": order.options["prompt"]} if order.options.get("prompt") else {}
    return {**addresses, **prompt, **options}


def ticket_request(order: Order, role: str) -> dict[str, Any]:
    """The tag in the file's name is how a lost order may be found again."""
    file = order.inputs[role]
    suffix = file.content_type.rpartition("/")[2].removeprefix("x-").replace("mpeg", "mp3")
    return {"filename": f"{order.tag}-{role}.{suffix}", "size": file.bytes, "content_type": file.content_type}


def ticket(said: Mapping[str, Any]) -> tuple[str, dict[str, str], str]:
    """Where the file is put, with which headers, and the address it then has. Raises Unavailable."""
    put, headers, address = (
        named(said, "data", "upload", "url"),
        named(said, "data", "upload", "headers"),
        web_address(named(said, "data", "download_url")),
    )
    if not isinstance(put, str) or not address or not isinstance(headers, dict):
        raise Unavailable("an upload ticket without addresses")
    if not all(isinstance(value, str) for value in headers.values()):
        raise Unavailable("an upload ticket with strange headers")
    return put, headers, address


def update(name: str, said: Mapping[str, Any]) -> Update:
    """A prediction in our words. Raises Unavailable for an answer that says nothing."""
    data = said.get("data")
    if not isinstance(data, dict):
        raise Unavailable("an answer without data")
    status = data.get("status")
    if data.get("id") != name or not isinstance(status, str):
        raise Unavailable(f"an answer about something else: {json.dumps(said)[:200]}")
    if status == "completed":
        outputs = data["outputs"] if isinstance(data.get("outputs"), list) else []
        address = web_address(outputs[0]) if outputs else ""
        if not address:
            return failed(name, "provider_failed", "completed without a usable output")
        video = Output("video", url=address, flagged=_flagged(data.get("has_nsfw_contents")))
        return Update(name, State.SUCCEEDED, progress=1.0, outputs=(video,))
    if status in {"failed", "timeout"}:
        code = "provider_timeout" if status == "timeout" else _code(data.get("code"), "provider_failed")
        return failed(name, code, f"{status} {data.get('code')}: {text(data.get('error'))}")
    if status not in STATES:
        raise Unavailable(f"an unknown status {status[:50]!r}")
    return Update(name, STATES[status], phase="render" if status == "processing" else "waiting")


def _flagged(said: Any) -> bool | None:
    """One word for each output; none at all where nothing was looked at."""
    words = [word for word in said if isinstance(word, bool)] if isinstance(said, list) else []
    return any(words) if words else None


def meant(status: int, said: Any) -> int:
    """An error may come under a 200, its status in the envelope alone."""
    code = named(said, "code")
    return code if status == OK and type(code) is int and BAD <= code < NO_STATUS else status


def complaint(status: int, said: Any) -> ProviderError | None:
    """An error answer that its business code or its text explains better than its status."""
    code, note = named(said, "data", "code") or named(said, "code"), text(named(said, "message"))
    if code == NO_CREDIT or named(said, "error_code") == str(NO_CREDIT):
        return AccountRefused(note)
    if not _own(status, said):
        return None
    if status == 404:  # noqa: PLR2004  of a submit: the model; of a poll: the prediction
        return NotFound(note)
    if status == 503:  # noqa: PLR2004  HTTP
        return Unavailable(note)
    if status in {400, 413, 422}:
        ours = _code(code, "input_unsuitable")
        return refused(ours, note) if ours == "content_refused" else unsuitable(ours, note)
    return None


def _own(status: int, said: Any) -> bool:
    """The vendor's envelope, which repeats the status or has a business code; or one of its older shapes."""
    if named(said, "code") == status or _code(named(said, "data", "code"), ""):
        return True
    if status == BAD:
        return isinstance(named(said, "error"), str)
    return "Prediction not found" in text(named(said, "message"))


def _code(business: Any, otherwise: str) -> str:
    return CODES.get(business, otherwise) if isinstance(business, int) else otherwise


def history_request(page: int, lost: Lost) -> dict[str, Any]:
    """The newest first, from when the order was surely taken or not."""
    before = (lost.since + WINDOW).strftime(ISO)
    return {"page": page, "page_size": 100, "model": PATHS[lost.model], "created_before": before}


@dataclass(frozen=True)
class Page:
    """A page of the history. `echoes`: its entries show their inputs, so that ours would be known; `goes_back`: some are
    older than the lost order, which then had its place on this page or before.
    """

    found: str = ""
    echoes: bool = False
    goes_back: bool = False


def in_history(said: Mapping[str, Any], lost: Lost) -> Page:
    """Whether the order is on this page: entries echo their inputs, and our files are named by the tag."""
    items = named(said, "data", "items")
    if not isinstance(items, list):
        raise OutcomeUnknown("a history without items")
    for item in items:
        if lost.tag in json.dumps(item):
            return Page(found=external_id(named(item, "id")))
    since = lost.since - SLACK
    return Page(
        echoes=all(isinstance(named(item, "input") or named(item, "inputs"), dict) for item in items),
        goes_back=any(_moment(named(item, "created_at"), since) < since for item in items),
    )


def _moment(said: Any, otherwise: datetime) -> datetime:
    try:
        found = datetime.fromisoformat(said)
    except (TypeError, ValueError):
        return otherwise
    return found if found.tzinfo else otherwise


def called_id(headers: Mapping[str, str], body: bytes, secret: str) -> str:
    """The prediction that a signed call is about. Raises Forged.

    The key is the secret's text without its prefix, as it stands: it is not base64.
    """
    name, stamp, given = (headers.get(f"webhook-{part}", "") for part in ("id", "timestamp", "signature"))
    if not secret or not stamp.isdecimal() or abs(time.time() - int(stamp[:12])) > MAX_AGE_SECONDS:
        raise Forged("no secret, or not of this moment")
    key = secret.removeprefix("whsec_").encode()
    wanted = hmac.new(key, f"{name}.{stamp}.".encode() + body, hashlib.sha256).hexdigest().encode()
    signatures = [entry.partition(",") for entry in given.split()]
    if not any(
        version == VERSION and hmac.compare_digest(wanted, hexes.encode()) for version, _, hexes in signatures
    ):
        raise Forged("the signature is wrong")
    try:
        said = json.loads(body)
    except ValueError:
        raise Forged("signed, but no JSON") from None
    found = named(said, "id")
    if not isinstance(found, str) or not ID.fullmatch(found):
        raise Forged("signed, but about nothing")
    return found
