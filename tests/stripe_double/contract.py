"""What Stripe accepts and answers, read from the installed SDK: requests and answers are checked against it."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

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
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}


class ContractBroken(Exception):
    """`param` is written as Stripe writes it: line_items[0][price]."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(f"{param}: {message}" if param else message)
        self.param = param
        self.message = message


@dataclass(frozen=True)
class Problem:
    path: tuple[str, ...]
    message: str

    @property
    def weight(self) -> tuple[bool, int]:
        """Of the branches of a union the one that got furthest says best what is wrong; an unknown name before all."""
        return (self.message == UNKNOWN, len(self.path))


UNKNOWN = "Received unknown parameter."


def check(value: Any, schema: Schema) -> None:
    """These few words of JSON Schema are all that annotations can say; a general validator took 100 times as long."""
    problem = problem_with(value, schema)
    if problem:
        head, *rest = problem.path or ("",)
        raise ContractBroken("".join([head, *(f"[{part}]" for part in rest)]), problem.message)


def problem_with(value: Any, schema: Schema, path: tuple[str, ...] = ()) -> Problem | None:
    if "$ref" in schema:
        schema = resource(schema["$ref"])
    if "anyOf" in schema:
        problems = [problem_with(value, option, path) for option in schema["anyOf"]]
        found = [problem for problem in problems if problem]
        return max(found, key=lambda problem: problem.weight) if len(found) == len(problems) else None
    wanted = schema.get("type")
    if wanted and (not isinstance(value, TYPES[wanted]) or (isinstance(value, bool) and wanted != "boolean")):
        return Problem(path, f"{value!r} is not of type {wanted!r}"[:300])
    if "enum" in schema and value not in schema["enum"]:
        return Problem(path, f"{value!r} is not one of {schema['enum']}"[:300])
    if "pattern" in schema and not re.match(schema["pattern"], value):
        return Problem(path, f"{value!r} is not a decimal number")
    return _problem_inside(value, schema, path)


def _problem_inside(value: Any, schema: Schema, path: tuple[str, ...]) -> Problem | None:
    if isinstance(value, list):
        inside = [(str(number), entry, schema.get("items", {})) for number, entry in enumerate(value)]
    elif isinstance(value, dict):
        fields, others = schema.get("properties", {}), schema.get("additionalProperties", {})
        unknown = [name for name in value if name not in fields] if others is False else []
        if unknown:
            return Problem((*path, unknown[0]), UNKNOWN)
        missing = [name for name in schema.get("required", ()) if name not in value]
        if missing:
            return Problem((*path, missing[0]), "Missing required parameter.")
        inside = [(name, entry, fields.get(name, others)) for name, entry in value.items()]
    else:
        return None
    problems = (problem_with(entry, wanted, (*path, name)) for name, entry, wanted in inside)
    return next((problem for problem in problems if problem), None)


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
                raise ContractBroken(head, f"is both a value and a map (at {following}).")
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
    return problem_with(value, schema) is None


# --- objects --------------------------------------------------------------------------------------------------


def object_schema(name: str) -> Schema:
    """By its word in the field `object`: "checkout.session"."""
    module, cls = (OBJECT_CLASSES | V2_OBJECT_CLASSES)[name]
    return {"$ref": f"{PREFIX}{file_of(module).relative_to(PACKAGE)}:{cls}"}


def check_object(value: dict[str, Any]) -> None:
    check(value, object_schema(value["object"]))


def blank(name: str) -> dict[str, Any]:
    """The least object of this kind that its schema allows."""
    return copy.deepcopy(_blank(name))


@cache
def _blank(name: str) -> dict[str, Any]:
    made = _least(object_schema(name))
    assert isinstance(made, dict)
    return made


def blank_field(name: str, field: str) -> dict[str, Any]:
    """The least object that an optional field of such an object may hold."""
    wanted = resource(object_schema(name)["$ref"])["properties"][field]
    made = _least(next(option for option in wanted["anyOf"] if option.get("type") == "object"))
    assert isinstance(made, dict)
    return copy.deepcopy(made)


def field_fits(name: str, field: str, value: Any) -> bool:
    """Whether objects of this kind have such a field, and it may have this value."""
    fields = resource(object_schema(name)["$ref"])["properties"]
    return field in fields and _fits(value, fields[field])


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
