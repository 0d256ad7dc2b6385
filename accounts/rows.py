"""Rows as JSON and back, for copies of them outside the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any, TypeVar
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, models

Row = TypeVar("Row", bound=models.Model)
Reader = Callable[[Any], Any]


def from_json(model: type[Row], values: Mapping[str, Any]) -> Row:
    """The row as if just read. `values` by column, as PostgreSQL's row_to_json has them; a column that is not among
    them is read from the database when somebody asks for it.
    """
    names, row = [], []
    for name, column, read in _readers(model):
        if column in values:
            value = values[column]
            names.append(name)
            row.append(value if value is None or read is None else read(value))
    return model.from_db(DEFAULT_DB_ALIAS, names, row)


@cache
def _readers(model: type[models.Model]) -> list[tuple[str, str, Reader | None]]:
    fields = model._meta.concrete_fields  # noqa: SLF001  Django's documented name
    return [(field.attname, str(field.column), _reader(field)) for field in fields]


def _reader(field: models.Field[Any, Any]) -> Reader | None:
    while isinstance(field, models.ForeignKey):
        field = field.target_field
    if isinstance(field, models.UUIDField):
        return UUID
    if isinstance(field, models.DateTimeField):
        return datetime.fromisoformat
    return float if isinstance(field, models.FloatField) else None
