"""Whether a route takes an order: what its provider says of itself, narrowed by the operator."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from providers.base import Bounds, InputFile
from providers.models import Route
from providers.registry import adapter_class

MIB = 1024 * 1024
ANYTHING = Bounds()
# Shorter pieces of a voice say nothing.
LEAST_PIECE_MS = 1000
UNSUITABLE = "input_unsuitable"
KINDS = {"image": "picture", "audio": "recording", "video": "clip"}


@dataclass(frozen=True)
class Asked:
    """An order, as far as routes are chosen by it. `length_ms` is 0 and a file is missing while they are not known.

    `own_key`: by its price it is for the customer's own accounts, or is not; None while nothing is agreed.
    `waited_seconds`: how long it has been waiting for a route.
    """

    model: str
    length_ms: int = 0
    resolution: str = ""
    files: Mapping[str, InputFile] = field(default_factory=dict)
    own_key: bool | None = None
    waited_seconds: float = 0.0


@dataclass(frozen=True)
class Complaint:
    """Why a route does not take an order: our code, a sentence for the customer, the input that it is about."""

    code: str
    message: str
    field: str = ""


def bounds_of(route: Route) -> Bounds | None:
    """What the route takes of its model; None where its provider does not make it."""
    declared = adapter_class(route.provider).bounds
    own = ANYTHING if declared is None else declared.get(route.model)
    return None if own is None else _narrowed(own, route)


def _narrowed(own: Bounds, route: Route) -> Bounds:
    most_bytes = dict(own.most_bytes)
    if route.max_bytes:
        most_bytes = {role: min(most_bytes.get(role, route.max_bytes), route.max_bytes) for role in KINDS}
    return dataclasses.replace(
        own,
        shortest_ms=max(own.shortest_ms, route.min_length_ms or 0),
        longest_ms=_least(own.longest_ms, route.max_length_ms),
        sides=(max(own.sides[0], route.min_side or 0), _least(own.sides[1], route.max_side)),
        resolutions=tuple(r for r in own.resolutions if r in route.resolutions)
        if route.resolutions and own.resolutions
        else tuple(route.resolutions) or own.resolutions,
        formats=_formats(own, route.formats),
        most_bytes=most_bytes,
    )


def _least(own: int, given: int | None) -> int:
    """The smaller of two limits, of which each may be none."""
    return min(own, given) if own and given else own or given or 0


def _formats(own: Bounds, given: list[str]) -> Mapping[str, tuple[str, ...]]:
    """Those given of each role; of a role that none is given for, the provider's own."""
    found = dict(own.formats)
    for role in KINDS:
        mine = tuple(name for name in given if name.startswith(f"{role}/"))
        if mine:
            found[role] = tuple(name for name in mine if role not in own.formats or name in own.formats[role])
    return found


def complaint(route: Route, asked: Asked) -> Complaint | None:
    """Why this route can never take the order; None where it can."""
    bounds = bounds_of(route)
    if bounds is None or not _made_there(route, bounds):
        return Complaint("no_route", f"No provider can render {asked.model} at the moment.")
    if bounds.resolutions and asked.resolution not in bounds.resolutions:
        known = " and ".join(bounds.resolutions)
        message = f"{asked.resolution} cannot be rendered at the moment; {known} can."
        return Complaint(UNSUITABLE, message, "resolution")
    # A voice that is cut is sent as pieces that we make.
    sent = {role: file for role, file in asked.files.items() if role != "audio" or not cuts(route, asked)}
    wrong = (_wrong(role, file, bounds) for role, file in sent.items())
    return _length(asked, bounds, route) or next(filter(None, wrong), None)


def _made_there(route: Route, bounds: Bounds) -> bool:
    if not bounds.regions or route.account is None:
        return True
    return route.account.settings.get("region", bounds.regions[0]) in bounds.regions


def cuts(route: Route, asked: Asked) -> bool:
    """The order is longer than the route takes at once, and may be cut there."""
    bounds = bounds_of(route)
    return (
        route.cut_longer
        and bounds is not None
        and "audio" in asked.files
        and 2 * max(bounds.shortest_ms, LEAST_PIECE_MS) <= bounds.longest_ms < asked.length_ms
    )


def _length(asked: Asked, bounds: Bounds, route: Route) -> Complaint | None:
    if not asked.length_ms:
        return None
    role = "audio" if "audio" in asked.files or "video" not in asked.files else "video"
    word, seconds = KINDS[role], asked.length_ms / 1000
    if asked.length_ms < bounds.shortest_ms:
        message = f"The {word} is {seconds:.1f} s long; it needs at least {bounds.shortest_ms / 1000:g} s."
        return Complaint(UNSUITABLE, message, role)
    if bounds.longest_ms and asked.length_ms > bounds.longest_ms and not cuts(route, asked):
        code = UNSUITABLE if role == "video" else "audio_too_long"
        most = f"at most {bounds.longest_ms / 1000:g} s can be rendered at the moment."
        return Complaint(code, f"The {word} is {seconds:.1f} s long; {most}", role)
    return None


def _wrong(role: str, file: InputFile, bounds: Bounds) -> Complaint | None:
    word = KINDS.get(role, role)
    if role != "audio":
        sides = bounds.sides if role == "image" else bounds.clip_sides
        if shape := _shape(word, file, sides, bounds.steepest):
            return Complaint(UNSUITABLE, shape, role)
    formats = bounds.formats.get(role, ())
    if formats and file.content_type not in formats:
        known = ", ".join(name.partition("/")[2].removeprefix("x-").upper() for name in formats)
        return Complaint(UNSUITABLE, f"The {word} must be one of {known} at the moment.", role)
    if role in bounds.most_bytes and file.bytes > bounds.most_bytes[role]:
        size = f"{file.bytes / MIB:.1f} MiB"
        message = f"The {word} has {size}; at most {bounds.most_bytes[role] / MIB:g} MiB can be rendered."
        return Complaint(UNSUITABLE, message, role)
    return None


def _shape(word: str, file: InputFile, sides: tuple[int, int], steepest: float) -> str:
    """What is wrong with a picture's or a clip's shape; "" for nothing."""
    least, most = sides
    short, long = sorted((file.width, file.height))
    has = f"The {word} has {file.width} x {file.height} pixels"
    if short < least or long > (most or long):
        span = f"{least} to {most}" if most else f"at least {least}"
        return f"{has}; its sides must have {span}."
    if steepest and long > steepest * short:
        return f"{has}; its long side may have at most {steepest:g} times its short one."
    return ""
