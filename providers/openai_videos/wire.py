"""The words of `/v1/videos`: forms as the server wants them, answers as we mean them. Pure functions."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from providers.base import Bounds, Lost, Order, Output, State, Update
from providers.errors import AccountRefused, NotFound, OutcomeUnknown, ProviderError, Unavailable
from providers.failures import failed, unsuitable
from providers.upstream import ID, named, text

MODELS = {"wan-2.2-s2v"}
BOUNDS = {slug: Bounds() for slug in MODELS}
# Pixels of a picture by resolution; sides are multiples of 16, which is what the model's latents need.
AREAS = {"480p": 832 * 480, "720p": 1280 * 720}
SIDE = 16
STEEPEST = 4.0
FPS = 16
PROMPT = "A person is speaking."
# What a route's settings may say of a run, under the server's own names.
TUNING = ("model", "num_inference_steps", "guidance_scale", "flow_shift", "negative_prompt")
STATES = {"queued": State.WAITING, "in_progress": State.RUNNING}


def check(order: Order) -> None:
    """Raises Unsuitable for what such a server does not make."""
    if order.model not in MODELS:
        raise unsuitable("model_unsuitable", f"{order.model} is not made here")


def form(order: Order) -> dict[str, str]:
    """The fields of an order. The server reads the files itself, at our store's signed addresses."""
    width, height = size(order)
    fields = {
        "prompt": order.options.get("prompt") or PROMPT,
        "image_reference": json.dumps({"image_url": order.inputs["image"].url}),
        "audio_reference": json.dumps({"audio_url": order.inputs["audio"].url}),
        "width": str(width),
        "height": str(height),
        "fps": str(order.options.get("fps", order.route.get("fps", FPS))),
        "seed": str(order.options["seed"]),
        "user": order.tag,
    }
    fields |= {name: str(order.route[name]) for name in TUNING if name in order.route}
    if isinstance(order.route.get("extra_params"), dict):
        fields["extra_params"] = json.dumps(order.route["extra_params"])
    return fields


def size(order: Order) -> tuple[int, int]:
    """The picture's own shape at the area of the resolution."""
    image = order.inputs["image"]
    ratio = min(max((image.width or 1) / (image.height or 1), 1 / STEEPEST), STEEPEST)
    width = math.sqrt(AREAS[str(order.options.get("resolution", "480p"))] * ratio)
    return _side(width), _side(width / ratio)


def _side(length: float) -> int:
    return int(length + 0.01) // SIDE * SIDE


def update(name: str, said: Mapping[str, Any]) -> Update:
    """A video job in our words. Raises Unavailable for an answer that says nothing."""
    status = said.get("status")
    if said.get("id") != name or not isinstance(status, str):
        raise Unavailable(f"an answer about something else: {json.dumps(said)[:200]}")
    if status == "completed":
        return Update(name, State.SUCCEEDED, progress=1.0, outputs=(Output("video", held=True),))
    if status == "failed":
        return failed(
            name,
            "provider_failed",
            f"{named(said, 'error', 'code')}: {text(named(said, 'error', 'message'))}",
        )
    if status not in STATES:
        raise Unavailable(f"an unknown status {status[:50]!r}")
    percent = said.get("progress")
    progress = min(max(percent, 0), 99) / 100 if isinstance(percent, int | float) else 0.0
    state = STATES[status]
    return Update(name, state, progress=progress, phase="render" if state is State.RUNNING else "waiting")


def complaint(status: int, said: Any) -> ProviderError | None:
    """A 4xx of a submit is about the fields or the files; such servers have no codes of their own for either."""
    if status == 405:  # noqa: PLR2004  HTTP
        return AccountRefused("no video API at this address")
    if not _own(said):
        return None
    note = text(named(said, "error", "message")) or text(named(said, "detail")) or json.dumps(said)[:300]
    if status in {400, 413, 415, 422}:
        return unsuitable("input_unsuitable", note)
    if status == 404:  # noqa: PLR2004  HTTP
        return NotFound(note)
    return Unavailable(note) if status == 503 else None  # noqa: PLR2004  HTTP


def _own(said: Any) -> bool:
    """The server's own words about what was asked; of an address that it does not have, it says no more than this."""
    detail = named(said, "detail")
    return isinstance(named(said, "error"), dict) or (bool(detail) and detail != "Not Found")


def unaccounted(said: Mapping[str, Any], lost: Lost, slack_seconds: float) -> list[str]:
    """The jobs of a list that are none of our known ones and not older than the lost order."""
    items = said.get("data")
    if not isinstance(items, list):
        raise OutcomeUnknown("a list without jobs")
    since = lost.since.timestamp() - slack_seconds
    found = []
    for item in items:
        name, created = named(item, "id"), named(item, "created_at")
        if not isinstance(name, str) or not ID.fullmatch(name) or not isinstance(created, int | float):
            raise OutcomeUnknown("a list of something else")
        if name not in lost.known and created >= since:
            found.append(name)
    return found
