"""What schemas are built of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]

# Name to schema; filled by `component` as the modules of this folder are read.
COMPONENTS: dict[str, Schema] = {}

UUID: Schema = {"type": "string", "format": "uuid"}
TIME: Schema = {"type": "string", "format": "date-time", "description": "RFC 3339, in UTC."}
A_TIME: Schema = {
    "type": "string",
    "format": "date-time",
    "title": "a time with its offset, such as 2026-01-31T12:00:00Z",
}
DATE: Schema = {"type": "string", "format": "date"}
FLAG: Schema = {"type": "boolean"}
MICROS: Schema = {"type": "integer", "description": "Millionths of a US dollar."}
COUNT: Schema = {"type": "integer", "minimum": 0}
ANY_OBJECT: Schema = {"type": "object"}
CURRENCY: Schema = {"type": "string", "const": "USD"}
# PostgreSQL keeps no NUL characters.
NO_NUL = r"^[^\u0000]*$"


def component(name: str, schema: Schema) -> Schema:
    """Gives the schema a name in the document; what comes back refers to it."""
    assert name not in COMPONENTS, name
    COMPONENTS[name] = schema
    return {"$ref": f"#/components/schemas/{name}"}


def answer(description: str = "", /, **properties: Schema) -> Schema:
    """An object that we send: every property is always there. Later versions may send more."""
    said = {"description": description} if description else {}
    return {"type": "object", **said, "properties": properties, "required": list(properties)}


def request(
    description: str = "", /, *, required: Sequence[str] = (), **properties: Schema
) -> dict[str, Any]:
    """An object that we take: nothing but these properties."""
    said = {"description": description} if description else {}
    must = {"required": list(required)} if required else {}
    return {"type": "object", **said, "properties": properties, **must, "additionalProperties": False}


def text(most: int, least: int = 0, **more: Any) -> dict[str, Any]:
    return {"type": "string", "minLength": least, "maxLength": most, "pattern": NO_NUL, **more}


def whole(least: int, most: int, **more: Any) -> dict[str, Any]:
    return {"type": "integer", "minimum": least, "maximum": most, **more}


def one_of(*values: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "enum": list(values), **more}


def const(value: str) -> Schema:
    return {"type": "string", "const": value}


def nullable(schema: Schema) -> Schema:
    """The schema, or null."""
    if isinstance(kind := schema.get("type"), str) and "enum" not in schema and "const" not in schema:
        return {**schema, "type": [kind, "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def listed(schema: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": schema, **more}


def map_of(schema: Schema, **more: Any) -> Schema:
    return {"type": "object", "additionalProperties": schema, **more}


def page_of(schema: Schema, **more: Schema) -> Schema:
    """A page of a list: whether there is more, and in `more` how to ask for it."""
    return answer(data=listed(schema), has_more=FLAG, **more)
