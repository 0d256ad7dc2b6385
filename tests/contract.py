"""A pytest plugin: every answer of `/v1` that any test gets is held to the OpenAPI document.

It stands in the clients themselves, Django's test client and httpx, so that no test can forget it. The document lets
later versions send more; the suite does not: a field that is not written down fails.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from email.message import Message
from functools import cache
from typing import Any

import httpx
from django.test import Client
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

PREFIX = "/v1/"
AN_ID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
A_NUMBER = "[0-9]+"
# Every address answers these, whatever it is for.
ANYWHERE = {404: "not_found", 405: "method_not_allowed"}


class ContractBroken(AssertionError):
    """An answer that the document does not know."""


def hold(method: str, path: str, status: int, headers: Mapping[str, str], body: bytes | None) -> None:
    """Raises ContractBroken. `body` is None where it streams on."""
    if not path.startswith(PREFIX):
        return
    where = f"{method} {path} -> {status}"
    operation = _operation("GET" if method == "HEAD" else method, path)
    answer = _resolved((operation or {}).get("responses", {}).get(str(status)))
    if answer is None:
        _hold_anywhere(where, status, headers, body, has_body=method != "HEAD")
        return
    for name, header in answer.get("headers", {}).items():
        _hold_header(where, name, _resolved(header), headers.get(name))
    if method == "HEAD" or "content" not in answer:
        _must(where, not body, "has a body")
        return
    kind = _media_type(headers)
    _must(where, kind in answer["content"], f"has the undocumented type {kind!r}")
    if body is None or not kind.endswith("json"):
        return
    found = json.loads(body)
    _hold_schema(where, answer["content"][kind]["schema"], found)
    if "x-codes" in answer:
        _must(where, found["code"] in answer["x-codes"], f"has the undocumented code {found['code']!r}")
        again = _catalogue()[found["code"]].again
        _must(where, found["retryable"] == again, f"says retryable of {found['code']!r}, errors.py {again}")


def _hold_anywhere(
    where: str, status: int, headers: Mapping[str, str], body: bytes | None, *, has_body: bool
) -> None:
    _must(where, status in ANYWHERE, "is not in the document")
    _must(where, status != 405 or headers.get("Allow"), "names no method that is allowed")
    if has_body:
        found = json.loads(body or b"null")
        _hold_schema(where, {"$ref": "#/components/schemas/Problem"}, found)
        _must(where, found["code"] == ANYWHERE[status], f"has the code {found['code']!r}")


def _hold_header(where: str, name: str, header: Mapping[str, Any], value: str | None) -> None:
    _must(where, value is not None or not header.get("required"), f"lacks the header {name}")
    if value is not None:
        schema = header["schema"]
        whole = schema.get("type") == "integer" and re.fullmatch(r"-?\d+", value)
        _hold_schema(f"{where}, {name}", schema, int(value) if whole else value)


def _hold_schema(where: str, schema: Mapping[str, Any], value: Any) -> None:
    root = {**_closed(json.dumps(schema)), "components": _closed_components()}
    validator = Draft202012Validator(root, format_checker=Draft202012Validator.FORMAT_CHECKER)
    error = best_match(validator.iter_errors(value))
    _must(where, error is None, error and f"at {error.json_path}: {error.message[:500]}")


def _must(where: str, fine: object, wrong: object) -> None:
    if not fine:
        raise ContractBroken(f"{where} {wrong}; see jobs/dialects/rest/contract.py")


def _media_type(headers: Mapping[str, str]) -> str:
    message = Message()
    message["Content-Type"] = headers.get("Content-Type", "")
    return message.get_content_type()


@cache
def _document() -> dict[str, Any]:
    from jobs.dialects.rest.openapi import document

    return document()


@cache
def _catalogue() -> Mapping[str, Any]:
    from jobs.dialects.rest.errors import ERRORS

    return ERRORS


@cache
def _paths() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    return [
        (_pattern(template, operations), operations)
        for template, operations in sorted(
            _document()["paths"].items(), key=lambda entry: entry[0].count("{")
        )
    ]


def _pattern(template: str, operations: Mapping[str, Any]) -> re.Pattern[str]:
    """Of the addresses that a template stands for: its parameters are ids, or numbers where the document says so."""
    stated = [parameter for operation in operations.values() for parameter in operation.get("parameters", ())]
    numbers = {said["name"] for said in stated if said["schema"].get("type") == "integer"}

    def shape(found: re.Match[str]) -> str:
        return A_NUMBER if found[1] in numbers else AN_ID

    return re.compile(re.sub(r"\\{(\w+)\\}", shape, re.escape(template)))


def _operation(method: str, path: str) -> dict[str, Any] | None:
    """The address with the fewest parameters that fits: `/v1/a/b` before `/v1/a/{id}`."""
    fitting = (operations for pattern, operations in _paths() if pattern.fullmatch(path))
    return next((found[method.lower()] for found in fitting if method.lower() in found), None)


def _resolved(part: Any) -> Any:
    if isinstance(part, dict) and "$ref" in part:
        found: Any = _document()
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        return found
    return part


@cache
def _closed(schema: str) -> dict[str, Any]:
    """The schema with no room for more than it names."""
    return _close(json.loads(schema))


@cache
def _closed_components() -> dict[str, Any]:
    return _closed(json.dumps(_document()["components"]))


def _close(part: Any) -> Any:
    if isinstance(part, list):
        return [_close(entry) for entry in part]
    if not isinstance(part, dict):
        return part
    shut = part.get("type") == "object" and "properties" in part and "additionalProperties" not in part
    return {
        **{key: _close(value) for key, value in part.items()},
        **({"additionalProperties": False} if shut else {}),
    }


def _django(original: Any) -> Any:
    @functools.wraps(original)
    def request(self: Client, **environ: Any) -> Any:
        response = original(self, **environ)
        sent = response.request
        body = None if response.streaming else response.content
        hold(sent["REQUEST_METHOD"], sent["PATH_INFO"], response.status_code, response.headers, body)
        return response

    return request


def _httpx(original: Any) -> Any:
    @functools.wraps(original)
    def send(
        self: httpx.Client, request: httpx.Request, *, stream: bool = False, **more: Any
    ) -> httpx.Response:
        response = original(self, request, stream=stream, **more)
        body = None if stream else response.content
        hold(request.method, request.url.path, response.status_code, response.headers, body)
        return response

    return send


Client.request = _django(Client.request)
httpx.Client.send = _httpx(httpx.Client.send)
