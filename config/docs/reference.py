"""The OpenAPI document as pages: all operations, each group of them, and the schemas.

Written against what drf-spectacular makes of our views; the document itself is committed as docs/openapi.json.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from config.docs import markdown
from config.docs.shapes import Field, field, fields_of, kind_of, limits_of

FILE = Path(__file__).resolve().parent.parent.parent / "docs" / "openapi.json"
SCHEMAS = "schemas"
METHODS = ("get", "post", "put", "patch", "delete")
PLACES = {"path": "In the path", "query": "In the query", "header": "Headers"}
FIRST_ERROR = 400
Node = Mapping[str, Any]


@dataclass(frozen=True)
class Body:
    """What is sent or answered, in one media type. Words are HTML."""

    media_type: str
    kind: str
    description: str
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Answer:
    status: str
    description: str
    bodies: tuple[Body, ...]
    headers: tuple[Field, ...]
    codes: tuple[str, ...]


@dataclass(frozen=True)
class Operation:
    name: str
    method: str
    path: str
    title: str
    description: str
    scopes: tuple[str, ...]
    parameters: tuple[tuple[str, tuple[Field, ...]], ...]
    """By place, in a person's words."""
    bodies: tuple[Body, ...]
    answers: tuple[Answer, ...]
    errors: tuple[Answer, ...]


@dataclass(frozen=True)
class Group:
    slug: str
    name: str
    operations: tuple[Operation, ...]


@dataclass(frozen=True)
class Schema:
    name: str
    kind: str
    limits: str
    description: str
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Document:
    version: str
    groups: tuple[Group, ...]
    schemas: tuple[Schema, ...]

    def group(self, slug: str) -> Group | None:
        return next((group for group in self.groups if group.slug == slug), None)

    def entries(self) -> Iterator[dict[str, str]]:
        """For the search."""
        yield {
            "title": "API reference",
            "heading": "",
            "address": "/docs/api",
            "text": "Every operation of /v1",
        }
        for group in self.groups:
            for operation in group.operations:
                yield {
                    "title": "API reference",
                    "heading": f"{operation.method} {operation.path}",
                    "address": f"/docs/api/{group.slug}#{operation.name}",
                    "text": operation.title,
                }
        for schema in self.schemas:
            address = f"/docs/api/{SCHEMAS}#{schema.name}"
            yield {"title": "API reference", "heading": schema.name, "address": address, "text": "schema"}


@cache
def document() -> Document:
    return read(json.loads(FILE.read_text()))


def read(raw: Node) -> Document:
    operations: dict[str, list[Operation]] = {}
    for path, methods in raw["paths"].items():
        for method in METHODS:
            if found := methods.get(method):
                tag = (found.get("tags") or ["Other"])[0]
                operations.setdefault(tag, []).append(_operation(raw, method, path, found))
    groups = tuple(Group(_slug(name), name, tuple(found)) for name, found in operations.items())
    schemas = tuple(_schema(name, node) for name, node in raw["components"]["schemas"].items())
    return Document(str(raw["info"]["version"]), groups, schemas)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _operation(raw: Node, method: str, path: str, node: Node) -> Operation:
    parameters = [_resolved(raw, parameter) for parameter in node.get("parameters", ())]
    by_place = [(words, [p for p in parameters if p["in"] == place]) for place, words in PLACES.items()]
    answers = [_answer(raw, status, answer) for status, answer in sorted(node["responses"].items())]
    scopes = [
        scope for security in node.get("security", ()) for named in security.values() for scope in named
    ]
    return Operation(
        name=node["operationId"],
        method=method.upper(),
        path=path,
        title=node.get("summary") or node["operationId"],
        description=markdown.snippet(node.get("description", "")),
        scopes=tuple(scopes),
        parameters=tuple((words, tuple(map(_parameter, found))) for words, found in by_place if found),
        bodies=_bodies(_resolved(raw, node.get("requestBody", {})), raw),
        answers=tuple(answer for answer in answers if int(answer.status) < FIRST_ERROR),
        errors=tuple(answer for answer in answers if int(answer.status) >= FIRST_ERROR),
    )


def _answer(raw: Node, status: str, node: Node) -> Answer:
    node = _resolved(raw, node)
    headers = {name: _resolved(raw, header) for name, header in node.get("headers", {}).items()}
    return Answer(
        status=status,
        description=markdown.snippet(node.get("description", "").partition("\n")[0].rstrip(":")),
        bodies=_bodies(node),
        headers=tuple(_parameter({"name": name, **header}) for name, header in headers.items()),
        codes=tuple(node.get("x-codes", ())),
    )


def _bodies(node: Node, raw: Node | None = None) -> tuple[Body, ...]:
    """With the whole document, a named schema's fields are shown at once: what is to be sent is looked for here."""
    return tuple(
        Body(
            media_type,
            kind_of(content["schema"]),
            markdown.snippet(content["schema"].get("description", "")),
            fields_of(_resolved(raw, content["schema"]) if raw else content["schema"]),
        )
        for media_type, content in node.get("content", {}).items()
    )


def _parameter(node: Node) -> Field:
    described = {**node.get("schema", {})}
    if node.get("description"):
        described["description"] = node["description"]
    wanted = "required" if node.get("required") and node.get("in") != "path" else ""
    return field(node["name"], described, wanted)


def _schema(name: str, node: Node) -> Schema:
    words = markdown.snippet(node.get("description", ""))
    return Schema(name, kind_of(node), limits_of(node), words, fields_of(node))


def _resolved(raw: Node, node: Node) -> Node:
    """What a reference to components stands for."""
    while "$ref" in node:
        found: Any = raw
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node
