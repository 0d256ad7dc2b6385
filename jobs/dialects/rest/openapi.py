"""The OpenAPI document of `/v1`, put together by drf-spectacular from what the views state."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from http import HTTPStatus
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema

from jobs.dialects.rest.contract import Answer, Operation, operation_of
from jobs.dialects.rest.errors import ERRORS, by_status
from jobs.dialects.rest.schemas.parts import COMPONENTS, UUID
from jobs.dialects.rest.schemas.problems import PROBLEM
from jobs.dialects.rest.wire.limits import LIMIT_SHAPE, POLICY_SHAPE

PREFIX = "/v1/"
PROBLEM_TYPE = "application/problem+json"
SECURITY = {
    "Bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key (`vr_…`). Each operation names the scope that the key needs.",
    }
}
EVERYBODY = ("parameter_invalid", "internal_error")
CALLERS = (
    *("not_authenticated", "malformed_key", "unknown_key", "key_expired", "key_revoked"),
    *("address_not_allowed", "organization_suspended", "scope_missing", "rate_limited"),
)
# Statuses of those who were not let in, whom nobody has asked yet, and of what was never answered.
UNCOUNTED = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.INTERNAL_SERVER_ERROR,
    }
)
UNSAFE = ("idempotency_conflict", "idempotency_in_progress")
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "A text of your own for this one request. Sent again with it within 24 hours, the request is not done "
    "again: the first answer is repeated. Another request under the same key is refused.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
}
REPLAYED = {
    "description": "Only on an answer that was given before under this Idempotency-Key.",
    "schema": {"type": "string", "const": "true"},
}
BODIES = ("parse_error", "body_too_large", "unsupported_media_type", "parameter_missing", "body_invalid")
HEADERS: Mapping[str, Any] = {
    "X-Request-Id": {"schema": {"type": "string"}, "description": "Tell it to support."},
    "Retry-After": {"schema": {"type": "integer", "minimum": 1}, "description": "In seconds."},
    "RateLimit-Policy": {
        "schema": {"type": "string", "pattern": POLICY_SHAPE},
        "description": "The limits that the request counted against: `q` requests in `w` seconds. `reads` are all "
        "requests with this key, `submits` the orders of the whole organization.",
    },
    "RateLimit": {
        "schema": {"type": "string", "pattern": LIMIT_SHAPE},
        "description": "What is left of each: `r` requests in the next `t` seconds.",
    },
    "WWW-Authenticate": {"schema": {"type": "string", "const": "Bearer"}},
}


class StatedSchema(AutoSchema):
    """An operation as its view states it; nothing is guessed."""

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: Any
    ) -> dict[str, Any]:
        view: Any = self.view
        handler = getattr(view, method.lower())
        stated = operation_of(handler)
        if stated is None:
            raise TypeError(f"{method} {path}: state it with @operation")
        scope = view.read_scope if method == "GET" else view.write_scope
        shown: dict[str, Any] = {"operationId": stated.name, "summary": stated.summary, "tags": [stated.tag]}
        if description := inspect.getdoc(handler):
            shown["description"] = description
        unsafe = method != "GET"
        parameters = [*_parameters(path_regex, stated), *([IDEMPOTENCY_KEY] if unsafe else [])]
        if parameters:
            shown["parameters"] = parameters
        if stated.body is not None:
            shown["requestBody"] = {"required": True, "content": {stated.body_type: {"schema": stated.body}}}
        shown["security"] = [] if stated.public else [{"Bearer": [scope]}]
        shown["responses"] = _responses(stated, unsafe=unsafe)
        return shown


# Converters of addresses.
SHAPES = {"uuid": UUID, "int": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}}


def _parameters(route: str, stated: Operation) -> Iterable[dict[str, Any]]:
    for converter, name in re.findall(r"<(\w+):(\w+)>", route):
        yield {"name": name, "in": "path", "required": True, "schema": SHAPES[converter]}
    for place, schemas in (("query", stated.query), ("header", stated.headers)):
        for name, schema in schemas.items():
            bare = {key: value for key, value in schema.items() if key != "description"}
            said = {"description": schema["description"]} if "description" in schema else {}
            yield {"name": name, "in": place, **said, "schema": bare}


def _responses(stated: Operation, *, unsafe: bool) -> dict[str, Any]:
    shown = {str(status): _good(found, stated, unsafe=unsafe) for status, found in stated.answers.items()}
    codes = [
        *EVERYBODY,
        *stated.refusals,
        *(() if stated.public else CALLERS),
        *(BODIES if stated.body else ()),
    ]
    for status, named in by_status([*codes, *(UNSAFE if unsafe else ())]).items():
        shown[str(status)] = _refused(status, named, stated)
    return shown


def _good(found: Answer, stated: Operation, *, unsafe: bool) -> dict[str, Any]:
    headers = {name: {"schema": schema, "required": True} for name, schema in found.headers.items()}
    headers |= _headers(HTTPStatus.OK, stated) | ({"Idempotent-Replayed": REPLAYED} if unsafe else {})
    shown: dict[str, Any] = {"description": found.description, "headers": headers}
    if contents := found.contents():
        shown["content"] = {kind: {"schema": schema} for kind, schema in contents.items()}
    return shown


def _refused(status: int, codes: list[str], stated: Operation) -> dict[str, Any]:
    lines = [f"- `{code}`: {ERRORS[code].meaning} {ERRORS[code].remedy}" for code in codes]
    return {
        "description": "\n".join([HTTPStatus(status).phrase + ":", "", *lines]),
        "headers": _headers(status, stated),
        "content": {PROBLEM_TYPE: {"schema": PROBLEM}},
        "x-codes": codes,
    }


def _headers(status: int, stated: Operation) -> dict[str, Any]:
    """What an answer of this status carries besides its own headers."""
    names = ["X-Request-Id"]
    if not stated.public and status not in UNCOUNTED:
        names += ["RateLimit-Policy", "RateLimit"]
    if status == HTTPStatus.UNAUTHORIZED:
        names.append("WWW-Authenticate")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        names.append("Retry-After")
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def only_v1(endpoints: Iterable[tuple[str, str, str, Any]]) -> list[tuple[str, str, str, Any]]:
    """The other dialects are documented by their vendors."""
    return [
        (path, regex, method, callback)
        for path, regex, method, callback in endpoints
        if path.startswith(PREFIX)
    ]


def with_components(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    components = {
        "schemas": COMPONENTS,
        "headers": {name: {**header, "required": True} for name, header in HEADERS.items()},
        "securitySchemes": SECURITY,
    }
    return {**result, "components": components}


@cache
def document() -> dict[str, Any]:
    """The document; it is the same for everybody."""
    generator: Any = SchemaGenerator
    found: dict[str, Any] = generator().get_schema(request=None, public=True)
    return found


@cache
def written() -> bytes:
    """The document as it is sent."""
    return json.dumps(document(), separators=(",", ":"), ensure_ascii=False).encode()
