"""Rows of any table, made of nothing but its columns: for tests that walk all tables and care for no contents."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from typing import Any

from django.db import models

# What a constraint or a page wants of a column; a callable gets the row's number.
WANTED: dict[str, dict[str, Any]] = {
    "billing.price": {"max_units": 600},
    "providers.route": {"provider": "fake", "model": "wan-2.2-s2v"},
    "providers.provideraccount": {"provider": "fake"},
    "billing.reversal": {"invoice": None},
    "accounts.user": {"email": lambda n: f"person-{n}@rows.example"},
}
TEXT = (models.CharField, models.TextField)
NUMBER = (models.IntegerField, models.FloatField)


class Rows:
    """Row n of one table stands beside row n of each table that it points to, so nothing is shared that need not be."""

    def __init__(self) -> None:
        self.made: dict[type[models.Model], list[Any]] = {}

    def upto(self, model: type[models.Model], count: int) -> list[Any]:
        """The table's rows, as many as asked for or more."""
        made = self.made.setdefault(model, [])
        have = len(made)
        if have < count:
            fields = [f for f in model._meta.concrete_fields if not isinstance(f, models.AutoField)]
            parents: dict[Any, list[Any]] = {}
            for field in fields:
                if field.related_model and field.related_model is not model:
                    # Two columns that point to one table point to two rows.
                    before = sum(other.related_model is field.related_model for other in parents)
                    parents[field] = self.upto(field.related_model, count + before)[before:]
            new = [model(**self._values(model, fields, parents, number)) for number in range(have, count)]
            made += model._base_manager.bulk_create(new)
        return made

    def _values(
        self, model: type[models.Model], fields: list[Any], parents: dict[Any, list[Any]], number: int
    ) -> dict[str, Any]:
        wanted = WANTED.get(model._meta.label_lower, {})
        values: dict[str, Any] = {}
        for field in fields:
            if field.name in wanted:
                found = wanted[field.name]
                values[field.name] = found(number) if callable(found) else found
            elif field in parents:
                values[field.name] = parents[field][number]
            elif not (field.null or field.has_default() or field.has_db_default()):
                values[field.name] = _some(field, number)
        return values


def _some(field: Any, number: int) -> Any:
    """A value of that kind, another one for each number where the kind has so many."""
    if field.choices:
        return field.choices[0][0]
    digest = hashlib.sha256(f"{field}-{number}".encode())
    if isinstance(field, TEXT):
        return f"{field.name}-{number}-{digest.hexdigest()}"[: field.max_length or 100]
    kinds: tuple[tuple[Any, Any], ...] = (
        (models.BooleanField, False),
        (NUMBER, number + 1),
        (models.BinaryField, digest.digest()),
        (models.UUIDField, digest.hexdigest()[:32]),
        (models.DateTimeField, datetime(2026, 1, 1, tzinfo=UTC)),
        (models.DateField, date(2026, 1, 1)),
        (models.GenericIPAddressField, "10.0.0.1"),
        (models.JSONField, {}),
    )
    for kind, value in kinds:
        if isinstance(field, kind):
            return value
    return []
