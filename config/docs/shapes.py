"""JSON Schema in a reader's words: what kind of value, within which limits, with which fields. The words are HTML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from config.docs import markdown

REF = "#/components/schemas/"
# A list of more choices is told as such, and its schema or page of errors has them.
CHOICES = 12
KINDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "null": "null",
}
FORMATS = {
    "uuid": "UUID",
    "date-time": "time",
    "date": "day",
    "uri": "address",
    "uri-reference": "address",
    "email": "e-mail address",
    "binary": "file",
}
# Characters that no text of ours may hold: true everywhere, so said nowhere.
SILENT_PATTERNS = {"^[^\\u0000]*$"}
Node = Mapping[str, Any]


@dataclass(frozen=True)
class Field:
    """A property, parameter or header. `kind`, `description` and `limits` are HTML."""

    name: str
    kind: str
    mark: str = ""
    """Required or optional, whichever is the exception among its neighbours."""
    description: str = ""
    limits: str = ""
    fields: tuple[Field, ...] = ()


def kind_of(node: Node) -> str:
    """text, whole number, list of Job, ... Named schemas are links."""
    if "$ref" in node:
        name = escape(node["$ref"].removeprefix(REF))
        return f'<a href="/docs/api/schemas#{name}">{name}</a>'
    for word in ("anyOf", "oneOf"):
        if word in node:
            return " or ".join(dict.fromkeys(kind_of(part) for part in node[word]))
    if "allOf" in node:
        return " and ".join(kind_of(part) for part in node["allOf"])
    if "const" in node:
        return f"<code>{escape(json.dumps(node['const']))}</code>"
    if "contentMediaType" in node:
        return "file"
    named = node.get("type", "object" if "properties" in node else "any value")
    return " or ".join(_simple(kind, node) for kind in ([named] if isinstance(named, str) else named))


def _simple(kind: str, node: Node) -> str:
    if kind == "array":
        return f"list of {kind_of(node.get('items', {}))}"
    if kind == "object":
        values = node.get("additionalProperties")
        return f"object of {kind_of(values)}" if isinstance(values, Mapping) and values else "object"
    if kind == "string":
        return FORMATS.get(node.get("format", ""), "text")
    return KINDS.get(kind, escape(kind))


def fields_of(node: Node) -> tuple[Field, ...]:
    """The properties of an object, or of the objects in a list, that has no page of its own."""
    if node.get("type") == "array":
        return fields_of(node["items"])
    properties = node.get("properties", {})
    required = set(node.get("required", ()))
    mostly = len(required) > len(properties) / 2
    marks = (
        dict.fromkeys(properties.keys() - required, "optional")
        if mostly
        else dict.fromkeys(required, "required")
    )
    return tuple(field(name, found, marks.get(name, "")) for name, found in properties.items())


def field(name: str, node: Node, mark: str = "") -> Field:
    return Field(
        name=name,
        kind=kind_of(node),
        mark=mark,
        description=markdown.snippet(node.get("description", "")),
        limits=limits_of(node),
        fields=fields_of(node),
    )


def limits_of(node: Node) -> str:
    """What a value must keep to, as short sentences."""
    said = [
        _choices(node),
        _range(node, "minimum", "maximum", ""),
        _range(node, "minLength", "maxLength", " characters"),
        _range(node, "minItems", "maxItems", " entries"),
        _pattern(node),
        f"default <code>{escape(json.dumps(node['default']))}</code>" if "default" in node else "",
    ]
    return "; ".join(filter(None, said))


def _choices(node: Node) -> str:
    choices = node.get("enum", ())
    if len(choices) > CHOICES:
        return f"one of {len(choices)}"
    shown = ", ".join(f"<code>{escape(str(choice))}</code>" for choice in choices)
    return f"one of {shown}" if shown else ""


def _range(node: Node, least: str, most: str, unit: str) -> str:
    low, high = node.get(least) or None, node.get(most)
    if low is None and high is None:
        return f"at least {node[least]}{unit}" if node.get(least) == 0 and unit == "" else ""
    if high is None:
        return f"at least {low}{unit}"
    if low is None:
        return f"at most {high}{unit}" if unit or least not in node else f"0 to {high}"
    return f"{low}{unit}" if low == high else f"{low} to {high}{unit}"


def _pattern(node: Node) -> str:
    pattern = node.get("pattern")
    return f"like <code>{escape(pattern)}</code>" if pattern and pattern not in SILENT_PATTERNS else ""
