"""What Stripe accepts and answers, read from the installed SDK: requests and answers are checked against it."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from stripe._object_classes import OBJECT_CLASSES, V2_OBJECT_CLASSES

from tests.stripe_double.annotations import (
    PACKAGE,
    PREFIX,
    Reader,
    Schema,
    file_of,
    imports,
    name_of,
    opened,
    parsed,
    resource,
)

NOTHING: Schema = {"type": "object", "properties": {}, "additionalProperties": False}
REGISTRY: Registry = Registry(  # type: ignore[call-arg]  its stubs do not know retrieve
    retrieve=lambda uri: Resource.from_contents(resource(uri), default_specification=DRAFT202012)
)


class ContractBroken(Exception):
    """`param` is written as Stripe writes it: line_items[0][price]."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(f"{param}: {message}" if param else message)
        self.param = param
        self.message = message


def check(value: Any, schema: Schema) -> None:
    error = best_match(Draft202012Validator(schema, registry=REGISTRY).iter_errors(value), key=_depth)
    if error is None:
        return
    path = [str(part) for part in error.absolute_path]
    if error.validator == "additionalProperties":
        unknown = set(error.instance) - set(error.schema.get("properties", {}))
        raise ContractBroken(_param([*path, min(unknown)]), "Received unknown parameter.")
    if error.validator == "required":
        missing = next(name for name in error.schema["required"] if name not in error.instance)
        raise ContractBroken(_param([*path, missing]), "Missing required parameter.")
    raise ContractBroken(_param(path), error.message[:300])


def _depth(error: ValidationError) -> tuple[bool, int]:
    """Of the branches of a union the one that got furthest says best what is wrong; an unknown name before all."""
    return (error.validator == "additionalProperties", len(error.absolute_path))


def _param(path: list[str]) -> str:
    return "".join([*path[:1], *(f"[{part}]" for part in path[1:])])


@dataclass(frozen=True)
class Operation:
    """One method of one service class of the SDK."""

    method: str
    path: str
    service: Path
    function: ast.FunctionDef

    @property
    def v2(self) -> bool:
        return self.path.startswith("/v2/")

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"{\w+}", "([^/]+)", self.path.replace(".", r"\.")))

    @cached_property
    def params(self) -> Schema:
        wanted = next((arg for arg in self.function.args.args if arg.arg == "params"), None)
        if wanted is None or wanted.annotation is None:
            return NOTHING
        note = opened(wanted.annotation)
        name = name_of(opened(note.slice) if isinstance(note, ast.Subscript) else note)
        module, original = imports(self.service)[name]
        return Reader.of(file_of(module), closed=True).named(original)

    @cached_property
    def answer(self) -> Schema:
        assert self.function.returns is not None
        return Reader(self.service, (), closed=False).schema(self.function.returns)

    def read(self, query: str, body: str) -> dict[str, Any]:
        """The parameters of a form (or a query), nested and typed. Raises ContractBroken."""
        given = coerced(unflattened(query or body), self.params)
        check(given, self.params)
        assert isinstance(given, dict)
        return given


@cache
def operations() -> tuple[Operation, ...]:
    return tuple(
        operation for path in sorted(PACKAGE.rglob("_*_service.py")) for operation in _operations(path)
    )


def _operations(path: Path) -> Iterator[Operation]:
    functions = [found for found in ast.walk(parsed(path)) if isinstance(found, ast.FunctionDef)]
    for function in functions:
        for call in ast.walk(function):
            if isinstance(call, ast.Call) and name_of(call.func) == "_request":
                method, address = call.args[0], call.args[1]
                if isinstance(address, ast.Call) and isinstance(address.func, ast.Attribute):
                    address = address.func.value  # "/v1/refunds/{refund}".format(...)
                assert isinstance(method, ast.Constant)
                assert isinstance(address, ast.Constant)
                yield Operation(method.value, address.value, path, function)


@cache
def find(method: str, path: str) -> tuple[Operation, tuple[str, ...]] | None:
    """The operation and the ids in the path. A literal segment wins over a placeholder (/v1/invoices/upcoming)."""
    fitting = [
        (operation, match.groups())
        for operation in operations()
        if operation.method == method and (match := operation.pattern.fullmatch(path))
    ]
    return min(fitting, key=lambda found: len(found[1]), default=None)


# --- forms ----------------------------------------------------------------------------------------------------


def unflattened(form: str) -> dict[str, Any]:
    """a[b][0][c]=1 as {"a": {"b": {"0": {"c": "1"}}}}."""
    found: dict[str, Any] = {}
    for key, value in parse_qsl(form, keep_blank_values=True):
        head, *rest = key.replace("]", "").split("[")
        place = found
        for part, following in zip([head, *rest], rest, strict=False):
            # a[]=x, the older way to write a list
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise ContractBroken(_param([head]), f"is both a value and a map (at {following}).")
        last = rest[-1] if rest else head
        place[last or str(len(place))] = value
    return found


def coerced(value: Any, schema: Schema) -> Any:
    """Text as the type that the schema asks for; what does not fit stays text, and the check names it."""
    if "anyOf" in schema:
        tries = (coerced(value, option) for option in schema["anyOf"])
        return next((found for found in tries if _fits(found, schema)), coerced(value, schema["anyOf"][-1]))
    if isinstance(value, dict):
        return _coerced_map(value, schema)
    kind = schema.get("type")
    if kind == "integer" and re.fullmatch(r"-?\d+", value):
        return int(value)
    if kind == "number" and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return float(value)
    if kind == "boolean" and value in {"true", "false"}:
        return value == "true"
    return value


def _coerced_map(value: dict[str, Any], schema: Schema) -> Any:
    if schema.get("type") == "array":
        return [coerced(value[key], schema["items"]) for key in sorted(value, key=_number)]
    fields, others = schema.get("properties", {}), schema.get("additionalProperties") or {}
    return {key: coerced(found, fields.get(key, others)) for key, found in value.items()}


def _number(key: str) -> int:
    return int(key) if key.isdigit() else -1


def _fits(value: Any, schema: Schema) -> bool:
    return Draft202012Validator(schema, registry=REGISTRY).is_valid(value)


# --- objects --------------------------------------------------------------------------------------------------


def object_schema(name: str) -> Schema:
    """By its word in the field `object`: "checkout.session"."""
    module, cls = (OBJECT_CLASSES | V2_OBJECT_CLASSES)[name]
    return {"$ref": f"{PREFIX}{file_of(module).relative_to(PACKAGE)}:{cls}"}


def check_object(value: dict[str, Any]) -> None:
    check(value, object_schema(value["object"]))


def blank(name: str) -> dict[str, Any]:
    """The least object of this kind that its schema allows."""
    made = _least(object_schema(name))
    assert isinstance(made, dict)
    return made


def _least(schema: Schema) -> Any:
    if "$ref" in schema:
        return _least(resource(schema["$ref"]))
    if "anyOf" in schema:
        # null where it may be, an id rather than a whole object
        kinds = {option.get("type"): option for option in schema["anyOf"]}
        return None if "null" in kinds else _least(kinds.get("string") or schema["anyOf"][0])
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "object":
        fields = schema.get("properties", {})
        return {key: _least(found) for key, found in fields.items()}
    least: dict[str | None, Callable[[], Any]] = {
        "array": list,
        "string": str,
        "integer": int,
        "number": float,
        "boolean": bool,
    }
    if "pattern" in schema:
        return "0"
    return least.get(schema.get("type"), dict)()
