"""Holds what comes in to the schemas that the document shows; the first thing wrong is named with what is accepted."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.http import QueryDict
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError, best_match

from jobs.dialects.rest.schemas.parts import COMPONENTS, NO_NUL, Schema
from jobs.errors import Invalid

WHOLE = re.compile(r"-?[0-9]{1,19}", re.ASCII)
FORMATS = FormatChecker(["uuid", "date"])
WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "a text",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
FORMAT_WORDS = {"uuid": "an id", "date": "a day such as 2026-01-31"}
LONGEST_SHOWN = 60


@FORMATS.checks("date-time", raises=(ValueError, OverflowError))
def _is_time(value: object) -> bool:
    """RFC 3339; ISO 8601 knows more forms, and times without a zone."""
    shape = r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)"
    return not isinstance(value, str) or bool(re.fullmatch(shape, value, re.ASCII) and utc(value))


def utc(text: str) -> datetime:
    """In UTC, since PostgreSQL takes no offset of 16 hours or more. Raises OverflowError where the year ends first."""
    return datetime.fromisoformat(text.upper()).astimezone(UTC)


class Checker:
    """One schema, ready to be asked."""

    def __init__(self, schema: Schema) -> None:
        root = {**schema, "components": {"schemas": COMPONENTS}}
        self.validator = Draft202012Validator(root, format_checker=FORMATS)

    def check(self, value: object, name: str = "") -> None:
        """Raises Invalid. `name` is the parameter's, where the value is not a whole body."""
        error = best_match(self.validator.iter_errors(value))
        if error is not None:
            raise _refusal(error, name)


def check_characters(body: object) -> None:
    """Half surrogates can be written in JSON, but no answer and no row can carry them. Raises Invalid."""
    for name, value in body.items() if isinstance(body, Mapping) else ():
        try:
            json.dumps([name, value], ensure_ascii=False).encode()
        except UnicodeEncodeError:
            message = f"{name!a} has half a character in it."
            field = name.encode(errors="replace").decode()
            raise Invalid("parameter_invalid", message, field=_kept(field)) from None


class QueryChecker:
    """The parameters behind the question mark: each once, unless it is a list; none that is not known."""

    def __init__(self, parameters: Mapping[str, Schema]) -> None:
        self.parameters = parameters
        self.checkers = {name: Checker(schema) for name, schema in parameters.items()}

    def read(self, query: QueryDict) -> dict[str, Any]:
        """Values by name, defaults filled in; a parameter that is neither given nor has a default is left out."""
        for name in query:
            if name not in self.parameters:
                known = ", ".join(sorted(self.parameters)) or "none"
                raise Invalid(
                    "parameter_invalid", f"Unknown parameter {name!a}; known: {known}.", field=_kept(name)
                )
        return {name: value for name in self.parameters for value in self._read(name, query.getlist(name))}

    def _read(self, name: str, given: list[str]) -> list[Any]:
        """One value, or none."""
        schema = self.parameters[name]
        if not given:
            return [schema["default"]] if "default" in schema else []
        if schema.get("type") == "array":
            value: Any = [_decoded(schema["items"], text) for text in given]
        elif len(given) > 1:
            raise Invalid("parameter_invalid", f"{name} may be given once.", field=name)
        else:
            value = _decoded(schema, given[0])
        self.checkers[name].check(value, name)
        return [utc(value) if schema.get("format") == "date-time" else value]


def _bool(text: str) -> bool | str:
    return {"true": True, "false": False}.get(text, text)


def _decoded(schema: Schema, text: str) -> Any:
    """The text as the schema's type, or as it is, to be refused for its type."""
    match schema.get("type"):
        case "integer":
            return int(text) if WHOLE.fullmatch(text) else text
        case "boolean":
            return _bool(text)
    # a plus sign that came unescaped has become a space
    return text.replace(" ", "+") if schema.get("format") == "date-time" else text


def _refusal(error: ValidationError, name: str) -> Invalid:
    path = ".".join([name, *(str(part) for part in error.absolute_path if isinstance(part, str))]).strip(".")
    if error.validator == "additionalProperties":
        known: Mapping[str, Any] = _part(error).get("properties", {})
        extra = min(set(_instance(error)) - set(known))
        message = f"Unknown field {extra!a}; known are {', '.join(known)}."
        return Invalid("parameter_invalid", message, field=_kept(f"{path}.{extra}".strip(".")))
    if error.validator == "required":
        missing = min(set(_part(error)["required"]) - set(_instance(error)))
        wanted = _part(error).get("properties", {}).get(missing, {})
        said = f": {wanted['description']}" if "description" in wanted else "."
        return Invalid(
            "parameter_missing", f"{missing} is required{said}", field=f"{path}.{missing}".strip(".")
        )
    if not path:
        return Invalid("body_invalid", "The body must be a JSON object.")
    return Invalid("parameter_invalid", f"{_kept(path)} {_wanted(error)}.", field=_kept(path))


def _instance(error: ValidationError) -> Mapping[str, Any]:
    assert isinstance(error.instance, Mapping)
    return error.instance


def _part(error: ValidationError) -> Mapping[str, Any]:
    """The part of the schema that was broken; ours are all objects."""
    assert isinstance(error.schema, Mapping)
    return error.schema


def _wanted(error: ValidationError) -> str:
    schema = _part(error)
    if "enum" in schema:
        return "must be one of " + ", ".join(map(str, schema["enum"]))
    kinds = schema.get("type", "something else")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    words = schema.get("title") or FORMAT_WORDS.get(schema.get("format", ""))
    words = words or " or ".join(WORDS.get(kind, kind) for kind in kinds)
    no_nul = " without NUL characters" if error.validator == "pattern" and schema["pattern"] == NO_NUL else ""
    return f"must be {words}{_bounds(schema)}{no_nul}"


def _bounds(schema: Mapping[str, Any]) -> str:
    if "minimum" in schema and "maximum" in schema:
        return f" from {schema['minimum']} to {schema['maximum']}"
    if "maxLength" in schema:
        least = f"{schema['minLength']} to " if schema.get("minLength") else "at most "
        return f" of {least}{schema['maxLength']} characters"
    if "maxItems" in schema:
        least = f"{schema['minItems']} to " if schema.get("minItems") else "at most "
        items = schema.get("items", {})
        return f" of {least}{schema['maxItems']} entries" + (
            f", each{_bounds(items)[3:]}" if _bounds(items) else ""
        )
    if "pattern" in schema and schema["pattern"] != NO_NUL:
        return f" of the form {schema['pattern']}"
    return ""


def _kept(name: str) -> str:
    """A stranger's word, short enough to be told back."""
    return name if len(name) <= LONGEST_SHOWN else name[: LONGEST_SHOWN - 3] + "..."
