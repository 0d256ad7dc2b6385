"""The API explorer: every operation of our own API as a form that really sends, drawn from the OpenAPI document.

The page sends with a key that the person puts into it. The key stays in the page's memory: neither the server, nor
storage, nor an address ever has it, so a session alone can do nothing here that it cannot do elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from accounts.scopes import SCOPES
from accounts.tenancy import Caller, org_view
from jobs.dialects.rest.openapi import document

METHODS = ("get", "post", "put", "patch", "delete")
JSON = "application/json"
FIRST = "listModels"
REF = "#/components/schemas/"
DEEPEST = 6
# What a field may hold in an example, by its name: addresses of our own samples cannot be known, so these are plain.
VALUES = {
    "url": "https://example.com/hook",
    "webhook_url": "https://example.com/hook",
    "image": "https://example.com/portrait.jpg",
    "audio": "https://example.com/speech.wav",
    "video": "https://example.com/motion.mp4",
    "model": "wan-2.2-s2v",
    "filename": "portrait.jpg",
    "name": "my programme",
}
# What a schema need not have, but a request that does something has.
INPUTS = {"image": VALUES["image"], "audio": VALUES["audio"]}
USUAL: dict[str, Any] = {"inputs": INPUTS, "options": {"prompt": "A calm newsreader"}}
FORMATS = {
    "uuid": "00000000-0000-0000-0000-000000000000",
    "date-time": "2030-01-01T00:00:00Z",
    "date": "2030-01-01",
    "uri": "https://example.com/",
}
Node = Mapping[str, Any]


@dataclass(frozen=True)
class Parameter:
    name: str
    place: str
    required: bool
    description: str
    choices: tuple[str, ...]
    example: str
    numeric: bool


@dataclass(frozen=True)
class Operation:
    name: str
    method: str
    path: str
    title: str
    description: str
    may: str
    """What a key for it must be allowed, in words; blank where none is needed."""
    parameters: tuple[Parameter, ...]
    body: str
    """An example in JSON; blank where nothing is sent."""
    files: bool


@require_GET
@org_view("keys:write")
def page(request: HttpRequest, caller: Caller) -> HttpResponse:
    """One operation's form, with all others to choose from."""
    chosen = request.GET.get("operation", FIRST)
    found = next((row for _, rows in groups() for row in rows if row.name == chosen), None)
    if found is None:
        raise Http404
    context = {
        "section": "developers",
        "tab": "explorer",
        "groups": groups(),
        "operation": found,
        "base_url": settings.PUBLIC_URL,
    }
    return render(request, "jobs/explorer.html", context)


@cache
def groups() -> list[tuple[str, list[Operation]]]:
    """The document's operations by their first tag, in its order. Streams and the document itself are left out."""
    told: dict[str, list[Operation]] = {}
    for path, methods in document()["paths"].items():
        for method in METHODS:
            if method in methods and (methods[method].get("security") or path != "/v1/openapi.json"):
                node = methods[method]
                told.setdefault(node["tags"][0], []).append(_operation(path, method, node))
    return [(tag, told[tag]) for tag in sorted(told)]


def _operation(path: str, method: str, node: Node) -> Operation:
    contents = node.get("requestBody", {}).get("content", {})
    scopes = [scope for need in node.get("security", []) for scopes in need.values() for scope in scopes]
    body = json.dumps(example(contents[JSON]["schema"]), indent=2) if JSON in contents else ""
    return Operation(
        name=node["operationId"],
        method=method.upper(),
        path=path,
        title=node["summary"],
        description=node.get("description", "").replace("`", ""),
        may=", ".join(SCOPES[scope] for scope in scopes if scope in SCOPES),
        parameters=tuple(_parameters(node)),
        body=body,
        files="multipart/form-data" in contents,
    )


def _parameters(node: Node) -> Iterator[Parameter]:
    for raw in node.get("parameters", []):
        schema = resolved(raw["schema"])
        parts = resolved(schema["items"]) if schema.get("type") == "array" else schema
        default = schema.get("default", "")
        yield Parameter(
            name=raw["name"],
            place=raw["in"],
            required=raw.get("required", False),
            description=raw.get("description", schema.get("description", "")).replace("`", ""),
            choices=tuple(map(str, parts.get("enum", ()))),
            example=str(default),
            numeric=schema.get("type") == "integer",
        )


def resolved(node: Node) -> Node:
    while "$ref" in node:
        node = document()["components"]["schemas"][node["$ref"].removeprefix(REF)]
    return node


def example(node: Node, name: str = "", depth: int = 0) -> Any:
    """The least that a schema takes: what is required, with values that read like real ones."""
    node = resolved(node)
    for word in ("const", "default"):
        if word in node:
            return node[word]
    if node.get("enum"):
        return node["enum"][0]
    for word in ("oneOf", "anyOf", "allOf"):
        if word in node:
            return example(node[word][0], name, depth)
    kinds = node.get("type", "object")
    kind = kinds if isinstance(kinds, str) else kinds[0]
    return _valued(kind, node, name, depth)


def _valued(kind: str, node: Node, name: str, depth: int) -> Any:
    match kind:
        case "object":
            wanted = node.get("required") or list(node.get("properties", {}))[:1]
            inner = node.get("properties", {}) if depth < DEEPEST else {}
            made = {key: example(inner[key], key, depth + 1) for key in wanted if key in inner}
            return made | {key: value for key, value in USUAL.items() if key in inner}
        case "array":
            return [example(node.get("items", {}), name, depth + 1)] if depth < DEEPEST else []
        case "integer" | "number":
            return node.get("minimum", 1)
        case "boolean":
            return True
        case "null":
            return None
    return VALUES.get(name) or FORMATS.get(node.get("format", ""), "text")
