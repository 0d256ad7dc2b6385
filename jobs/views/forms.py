"""A model's JSON Schema as the fields of a form. A new model, or a new option, needs nothing here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from providers.catalogue import Input, Model

# Texts that may be longer get room.
LINE = 200
# The same words on every model.
ACCEPT = {"image": "image/*", "audio": "audio/*,video/webm,video/mp4", "video": "video/*"}
NOUNS = {"image": "picture", "audio": "voice", "video": "motion clip"}


@dataclass(frozen=True)
class Field:
    """One option. `kind`: choice, long, line, number, switch, or json for what has no control of its own.

    `detected`: which box of the look at the picture fills it; nobody types four corners.
    """

    name: str
    label: str
    kind: str
    help: str
    required: bool
    folded: bool
    default: Any = None
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    step: str = "1"
    most: int | None = None
    detected: str = ""


@dataclass(frozen=True)
class Slot:
    """A place for one file."""

    role: str
    kind: str
    noun: str
    accept: str
    required: bool
    help: str
    max_ms: int


def fields(model: Model, *, given: Mapping[str, Any] | None = None) -> list[Field]:
    """`given`: options of an order that is to be begun with; without them each field has its usual value."""
    given = given or {}
    required = set(model.options.get("required", ()))
    properties: Mapping[str, Mapping[str, Any]] = model.options.get("properties", {})
    found = [_field(name, schema, required=name in required) for name, schema in properties.items()]
    return [replace(field, default=given.get(field.name, field.default)) for field in found]


def slots(model: Model) -> list[Slot]:
    return [_slot(wanted) for wanted in model.inputs.values()]


def noun(wanted: Input) -> str:
    """What the page calls it."""
    return NOUNS.get(wanted.kind, wanted.kind)


def _slot(wanted: Input) -> Slot:
    return Slot(
        role=wanted.role,
        kind=wanted.kind,
        noun=noun(wanted),
        accept=ACCEPT.get(wanted.kind, ""),
        required=wanted.required,
        help=wanted.description,
        max_ms=wanted.max_ms,
    )


def _field(name: str, schema: Mapping[str, Any], *, required: bool) -> Field:
    detected = str(schema.get("detected", ""))
    return Field(
        name=name,
        label=str(schema.get("title") or name.replace("_", " ").capitalize()),
        kind=_kind(schema),
        help=str(schema.get("description", "")),
        required=required,
        folded=bool(schema.get("advanced")) and not required,
        default=schema.get("default"),
        choices=tuple(str(choice) for choice in schema.get("enum", ())),
        minimum=schema.get("minimum"),
        maximum=schema.get("maximum"),
        step="1" if schema.get("type") == "integer" else "any",
        most=schema.get("maxLength"),
        detected=detected,
    )


def _kind(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "choice"
    match schema.get("type"):
        case "string":
            return "long" if schema.get("maxLength", LINE + 1) > LINE else "line"
        case "integer" | "number":
            return "number"
        case "boolean":
            return "switch"
    return "json"
