"""The models customers may ask for, read from catalogue.toml, and the checks a request must pass."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

FILE = Path(__file__).with_name("catalogue.toml")


class UnknownModel(KeyError):
    """No model of that slug. args[0] is the slug."""


class OptionRefused(ValueError):
    """One option is wrong: `field`, and a sentence that says what would be accepted."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


@dataclass(frozen=True)
class Input:
    """A role of a model: which kind of file it takes and how long that may be (milliseconds; 0: no limit)."""

    role: str
    kind: str
    required: bool
    description: str
    min_ms: int = 0
    max_ms: int = 0


@dataclass(frozen=True)
class Model:
    """A catalogue entry. `length_from` names the input whose length is billed.

    `detector` looks at its pictures, `preview` is the model that shows its first seconds for nothing. `per_hour`: an
    organization may order it only so often; such orders do not count among its submits.
    """

    slug: str
    name: str
    description: str
    unit: str
    length_from: str
    output: str
    inputs: Mapping[str, Input]
    options: Mapping[str, Any]
    detector: str = ""
    preview: str = ""
    per_hour: int = 0

    def defaults(self) -> dict[str, Any]:
        properties: Mapping[str, Any] = self.options["properties"]
        return {name: schema["default"] for name, schema in properties.items() if "default" in schema}

    def checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options with the defaults filled in; OptionRefused names the first wrong one."""
        error = best_match(_validator(self.slug).iter_errors(dict(options)))
        if error is not None:
            raise _refusal(error)
        return {**self.defaults(), **options}

    def resolution(self, options: Mapping[str, Any]) -> str:
        return str(options.get("resolution", ""))


@cache
def models() -> Mapping[str, Model]:
    """Slug to model."""
    raw = tomllib.loads(FILE.read_text())
    return {entry["slug"]: _model(entry) for entry in raw["models"]}


def model(slug: str) -> Model:
    try:
        return models()[slug]
    except KeyError:
        raise UnknownModel(slug) from None


@cache
def _validator(slug: str) -> Draft202012Validator:
    return Draft202012Validator(dict(model(slug).options))


def _model(entry: Mapping[str, Any]) -> Model:
    inputs = {role: Input(role=role, **fields) for role, fields in entry["inputs"].items()}
    return Model(**{**entry, "inputs": inputs})


def _refusal(error: ValidationError) -> OptionRefused:
    if error.validator == "additionalProperties":
        known = set(_schema(error)["properties"])
        extra = min(set(cast(Mapping[str, Any], error.instance)) - known)
        return OptionRefused(extra, f"Unknown parameter {extra!r}; known are {', '.join(sorted(known))}.")
    if error.validator == "required":
        missing = min(set(_schema(error)["required"]) - set(cast(Mapping[str, Any], error.instance)))
        wanted = _schema(error)["properties"][missing].get("description", "")
        return OptionRefused(missing, f"{missing} is required: {wanted}")
    field = str(error.path[0]) if error.path else ""
    return OptionRefused(field, f"{field} {_wanted(error)}; it is {_shown(error.instance)}.")


def _schema(error: ValidationError) -> Mapping[str, Any]:
    """The part of the schema that was broken; ours are all objects."""
    return cast(Mapping[str, Any], error.schema)


def _wanted(error: ValidationError) -> str:
    schema = _schema(error)
    if "enum" in schema:
        return "must be one of " + ", ".join(map(str, schema["enum"]))
    kind = {
        "integer": "a whole number",
        "number": "a number",
        "string": "a text",
        "boolean": "true or false",
        "array": "a list",
    }
    wanted = kind.get(str(schema.get("type")), str(schema.get("type")))
    if "minimum" in schema and "maximum" in schema:
        wanted += f" from {schema['minimum']} to {schema['maximum']}"
    if "maxLength" in schema:
        wanted += f" of at most {schema['maxLength']} characters"
    return f"must be {wanted}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004  a line on a screen
