"""Reads the annotations of the installed `stripe` package as JSON schemas. The source is parsed, never run.

Stripe generates the package from its own specification, so these schemas follow whatever version is installed.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

Schema = dict[str, Any]

_origin = importlib.util.find_spec("stripe")
assert _origin is not None
assert _origin.origin is not None
PACKAGE = Path(_origin.origin).parent
PREFIX = "stripe-object:"
PLAIN: dict[str, Schema] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "bool": {"type": "boolean"},
    "float": {"type": "number"},
    "Decimal": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"},
    "Any": {},
    "object": {},
    "StripeObject": {"type": "object"},
    "UntypedStripeObject": {"type": "object"},
}
NULL: Schema = {"type": "null"}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def file_of(module: str) -> Path:
    return PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py")


@cache
def imports(path: Path) -> dict[str, tuple[str, str]]:
    """Local name to (module, name there), for what a file takes from elsewhere in the package."""
    return {
        alias.asname or alias.name: (found.module, alias.name)
        for found in ast.walk(parsed(path))
        if isinstance(found, ast.ImportFrom) and (found.module or "").startswith("stripe.")
        for alias in found.names
        if found.module
    }


def classes(body: list[ast.stmt]) -> dict[str, ast.ClassDef]:
    return {found.name: found for found in body if isinstance(found, ast.ClassDef)}


def opened(node: ast.expr) -> ast.expr:
    """A quoted annotation's own expression."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return ast.parse(node.value, mode="eval").body
    return node


def name_of(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def either(options: list[Schema]) -> Schema:
    """One of several. `Literal[...] | str` is what Stripe calls an open enumeration: here it is closed."""
    flat: list[Schema] = []
    for option in options:
        for part in option["anyOf"] if set(option) == {"anyOf"} else [option]:
            if part not in flat:
                flat.append(part)
    values = {value for part in flat for value in part.get("enum", ()) if value != ""}
    if values and PLAIN["str"] in flat:
        flat.remove(PLAIN["str"])
    return flat[0] if len(flat) == 1 else {"anyOf": flat}


@dataclass(frozen=True)
class Reader:
    """Turns annotations of one file into schemas; `scopes` are the classes in sight, the innermost last."""

    path: Path
    scopes: tuple[dict[str, ast.ClassDef], ...]
    closed: bool  # a request has no other parameters; an answer may have more fields

    @classmethod
    def of(cls, path: Path, *, closed: bool) -> Reader:
        return cls(path, (classes(parsed(path).body),), closed)

    def schema(self, node: ast.expr) -> Schema:
        node = opened(node)
        if isinstance(node, ast.Constant) and node.value is None:
            return NULL
        if isinstance(node, ast.BinOp):
            return either([self.schema(node.left), self.schema(node.right)])
        if isinstance(node, ast.Subscript):
            return self.generic(name_of(node.value), node.slice)
        return self.named(name_of(node))

    def generic(self, name: str, inside: ast.expr) -> Schema:
        parts = inside.elts if isinstance(inside, ast.Tuple) else [inside]
        if name in {"NotRequired", "Required"}:
            return self.schema(parts[0])
        if name == "Literal":
            values = [part.value for part in parts if isinstance(part, ast.Constant)]
            return {"type": "boolean" if isinstance(values[0], bool) else "string", "enum": values}
        if name == "Optional":
            return either([self.schema(parts[0]), NULL])
        if name == "Union":
            return either([self.schema(part) for part in parts])
        if name in {"List", "Sequence"}:
            return {"type": "array", "items": self.schema(parts[0])}
        if name in {"Dict", "UntypedStripeObject"}:
            return {"type": "object", "additionalProperties": self.schema(parts[-1])}
        if name == "ExpandableField":
            return either([PLAIN["str"], self.schema(parts[0])])
        if name in {"ListObject", "SearchResultObject"}:
            return self.listing(self.schema(parts[0]))
        raise ValueError(f"{self.path.name}: unknown generic {name}")

    def listing(self, items: Schema) -> Schema:
        if "v2" in self.path.relative_to(PACKAGE).parts:
            return {"type": "object", "required": ["data"], "properties": {"data": {"items": items}}}
        fields = {
            "object": {"enum": ["list"], "type": "string"},
            "data": {"type": "array", "items": items},
            "has_more": PLAIN["bool"],
            "url": PLAIN["str"],
        }
        return {"type": "object", "required": list(fields), "properties": fields}

    def named(self, name: str) -> Schema:
        for depth in range(len(self.scopes), 0, -1):
            if name in self.scopes[depth - 1]:
                if not self.closed and depth == 1:
                    return {"$ref": f"{PREFIX}{self.path.relative_to(PACKAGE)}:{name}"}
                return self.shape(self.scopes[depth - 1][name])
        if name in PLAIN:
            return PLAIN[name]
        module, original = imports(self.path)[name]
        if self.closed:
            return Reader.of(file_of(module), closed=True).named(original)
        return {"$ref": f"{PREFIX}{file_of(module).relative_to(PACKAGE)}:{original}"}

    def shape(self, node: ast.ClassDef) -> Schema:
        inner = Reader(self.path, (*self.scopes, classes(node.body)), self.closed)
        fields = dict(inner.fields(node))
        needed = [name for name, (_, required) in fields.items() if required]
        shape: Schema = {"type": "object", "properties": {name: found for name, (found, _) in fields.items()}}
        if needed:
            shape["required"] = needed
        if self.closed:
            shape["additionalProperties"] = False
        return shape

    def fields(self, node: ast.ClassDef) -> Iterator[tuple[str, tuple[Schema, bool]]]:
        for line in node.body:
            if not isinstance(line, ast.AnnAssign) or not isinstance(line.target, ast.Name):
                continue
            note = opened(line.annotation)
            outer = name_of(note.value) if isinstance(note, ast.Subscript) else ""
            if outer == "ClassVar" or line.target.id.startswith("_"):
                continue
            yield line.target.id, (self.schema(note), outer not in {"NotRequired", "Optional"})


@cache
def resource(reference: str) -> Schema:
    """The schema that `$ref` names."""
    path, _, name = reference.removeprefix(PREFIX).rpartition(":")
    reader = Reader.of(PACKAGE / path, closed=False)
    return reader.shape(reader.scopes[0][name])
