"""inference.sh's words: requests as it wants them, answers as we mean them. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from providers.base import Bounds, Order, Output, State, Update
from providers.errors import AccountRefused, Forged, NotFound, ProviderError, Throttled, Unavailable
from providers.failures import failed, refused, unsuitable
from providers.upstream import ID, external_id, named, text, web_address

APPS = {"wan-2.2-s2v": "infsh/wan-2-2-s2v"}
BOUNDS = {slug: Bounds() for slug in APPS}
OPTIONS = (
    "resolution",
    "seed",
    "fps",
    "num_frames_per_chunk",
    "enable_first_block_cache",
    "first_block_cache_threshold",
)
# The app insists on a prompt.
PROMPT = "A person is speaking."
# By number and by name. Numbers from 8 on were moved up by one in January 2026, so a name is believed first.
NAMES = (
    "unknown",
    "received",
    "queued",
    "dispatched",
    "preparing",
    "serving",
    "setting_up",
    "running",
    "cancelling",
    "uploading",
    "completed",
    "failed",
    "cancelled",
    "rejected",
)
WAITING = {"unknown", "received", "queued", "dispatched", "scheduled", "preparing", "serving", "setting_up"}
PHASES = {"running": "render", "uploading": "upload", "cancelling": "cancel"}
ACCOUNT = {
    "unauthorized",
    "limit_exceeded",
    "payment_required",
    "payment_method_required",
    "forbidden",
    "insufficient_scope",
    "feature_not_available",
    "account_deactivated",
    "account_banned",
    "requirements_not_met",
    "app_retired",
    "method_not_allowed",
}
AWAY = {"app_maintenance", "entitlement_unavailable"}
UNRATED = {"", "unrated"}


def app(order: Order) -> str:
    """The app's name, or the pinned version that the route names. Raises Unsuitable for a model without one."""
    name = order.route.get("app") or APPS.get(order.model)
    if not name:
        raise unsuitable("model_unsuitable", f"{order.model} is no app here")
    return str(name)


def run(order: Order, addresses: Mapping[str, str], *, callback: bool) -> dict[str, Any]:
    """The body of a run; `addresses` are the inputs by role."""
    options = {name: order.options[name] for name in OPTIONS if name in order.options}
    given = {**addresses, "prompt": order.options.get("prompt") or PROMPT, **options}
    hook = {"webhook": order.callback_url} if callback and order.callback_url else {}
    return {"app": app(order), "input": given, **hook}


def upload_request(order: Order, role: str) -> dict[str, Any]:
    file = order.inputs[role]
    suffix = file.content_type.rpartition("/")[2].removeprefix("x-").replace("mpeg", "mp3")
    entry = {
        "uri": "",
        "filename": f"{order.tag}-{role}.{suffix}",
        "content_type": file.content_type,
        "path": None,
        "size": file.bytes,
        "public": None,
    }
    return {"files": [entry]}


def upload(said: Mapping[str, Any]) -> tuple[str, str]:
    """Where the file is put, and the address it then has. Raises Unavailable."""
    data = said.get("data")
    first = data[0] if isinstance(data, list) and data else None
    put, uri = named(first, "upload_url"), named(first, "uri")
    if not isinstance(put, str) or not put or not isinstance(uri, str) or not uri:
        raise Unavailable("an upload without addresses")
    return put, uri


def resource(said: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the envelope holds; older answers have none."""
    data = said.get("data", said)
    return data if isinstance(data, dict) else {}


def started_id(said: Mapping[str, Any]) -> str:
    """The id of a run that was taken. AccountRefused for one that was written down as rejected: it never ran."""
    task = resource(said)
    name = external_id(task.get("id"))
    if _status(task) == "rejected":
        raise AccountRefused(f"rejected: {text(task.get('error'))}")
    return name


def update(name: str, said: Mapping[str, Any]) -> Update:
    """A task in our words. Raises Unavailable for an answer that says nothing."""
    task = resource(said)
    status = _status(task)
    if task.get("id") != name or not status:
        raise Unavailable(f"an answer about something else: {json.dumps(said)[:200]}")
    if status == "completed":
        file = named(task, "output", "file")
        address = web_address(file) or web_address(named(file, "uri")) or web_address(named(file, "url"))
        if not address:
            return failed(name, "provider_failed", "completed without a usable output")
        video = Output("video", url=address, flagged=_flagged(task.get("rating")))
        return Update(name, State.SUCCEEDED, progress=1.0, outputs=(video,))
    if status in {"failed", "rejected"}:
        return failed(name, "provider_failed", f"{status}: {text(task.get('error'))}")
    if status == "cancelled":
        return Update(name, State.CANCELED)
    if status in WAITING:
        return Update(name, State.WAITING, phase="waiting")
    return Update(name, State.RUNNING, phase=PHASES.get(status, "render"))


def _flagged(rating: Any) -> bool | None:
    """What was looked at is `safe`, or named for what it shows."""
    return None if not isinstance(rating, str) or rating in UNRATED else rating != "safe"


def _status(task: Mapping[str, Any]) -> str:
    """Its name; "" for what is no status."""
    for value in (task.get("status_text"), task.get("status")):
        if isinstance(value, str) and (value.lower() in NAMES or value.lower() == "scheduled"):
            return value.lower()
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(NAMES):
            return NAMES[value]
    return ""


def complaint(status: int, said: Any) -> ProviderError | None:
    """An error answer, which its code explains better than its status."""
    kind = text(named(said, "type"))
    code = kind.partition("/errors/")[2] or text(named(said, "error", "code"))
    why = f"{code}: {text(named(said, 'detail')) or text(named(said, 'error', 'message'))}"
    if code in ACCOUNT:
        return AccountRefused(why)
    if code in AWAY:
        return Unavailable(why)
    if code == "rate_limited" and status != 429:  # noqa: PLR2004  429 itself carries how long to wait
        return Throttled(why)
    if code == "blocked_by_usage_policy":
        return refused("content_refused", why)
    if code == "not_found":
        return NotFound(why)
    if code in {"invalid_request", "validation_error"} or (code and status == 400):  # noqa: PLR2004  HTTP
        return unsuitable("input_unsuitable", why)
    return None


def is_for(said: Mapping[str, Any], callback_url: str) -> bool:
    """Whether a task was ordered with this very callback address, which was made for one attempt."""
    return bool(callback_url) and resource(said).get("webhook") == callback_url


def called_id(body: bytes) -> str:
    """The task that a call names. Nothing is signed: that it came to the attempt's own address is all that vouches."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise Forged("no JSON") from None
    found = named(said, "id")
    if not isinstance(found, str) or not ID.fullmatch(found):
        raise Forged("about nothing")
    return found
