"""Filters of long lists that are typed in: an organization, a span of days."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.contrib.admin import ModelAdmin
from django.contrib.admin.options import IncorrectLookupParameters
from django.db import connection
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import RangeDateFilter, TextFilter

from accounts.console.lists import organizations_named

# Rows are numbered when they are inserted and bear the time when their transaction began: never further apart than this.
APART = timedelta(hours=1)

# Ids rise with the time, so where a time begins is found by halving the ids: a look into the primary key each.
FIRST = """
WITH RECURSIVE halved (low, high) AS (
    SELECT min(id), max(id) + 1 FROM {table}
    UNION ALL
    SELECT CASE WHEN p.at < %(at)s THEN p.id + 1 ELSE h.low END,
           CASE WHEN p.at < %(at)s THEN h.high ELSE (h.low + h.high) / 2 END
    FROM halved h LEFT JOIN LATERAL (
        SELECT id, {column} AS at FROM {table} WHERE id >= (h.low + h.high) / 2 ORDER BY id LIMIT 1
    ) p ON true
    WHERE h.low < h.high
)
SELECT high FROM halved WHERE low >= high
"""


class OrganizationFilter(TextFilter):  # type: ignore[misc]  # theirs has no types
    """By slug, name or id. `found` are those of that name: as a rule one, of a name that several share all."""

    title = "organization"
    parameter_name = "organization"
    column = "organization"

    def __init__(
        self,
        request: HttpRequest,
        params: dict[str, Any],
        model: type[Model],
        model_admin: ModelAdmin[Any],
    ) -> None:
        super().__init__(request, params, model, model_admin)
        word = (self.value() or "").strip()
        self.found: list[UUID] | None = organizations_named(word) if word else None

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.found is None:
            return queryset
        if len(self.found) == 1:  # a list of one would hide the index that has the list's order
            return queryset.filter(**{self.column: self.found[0]})
        return queryset.filter(**{f"{self.column}__in": self.found})


class DaysFilter(RangeDateFilter):  # type: ignore[misc]  # theirs has no types
    """From one day to another, both included, in UTC; for tables whose numbers rise with the time.

    The days are bounds on the id as well, so that a list by id reads no more than the span.
    """

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        column = self.field_path
        if first := self._day("from"):
            start = datetime.combine(first, time.min, UTC)
            bound = id_at(queryset.model, column, start - APART)
            queryset = queryset.filter(**{f"{column}__gte": start}, pk__gte=bound)
        if last := self._day("to"):
            end = datetime.combine(last, time.min, UTC) + timedelta(days=1)
            bound = id_at(queryset.model, column, end + APART)
            queryset = queryset.filter(**{f"{column}__lt": end}, pk__lt=bound)
        return queryset

    def _day(self, which: str) -> date | None:
        typed = self.used_parameters.get(f"{self.field_path}_{which}")
        try:
            return date.fromisoformat(typed) if typed else None
        except ValueError as error:
            raise IncorrectLookupParameters(error) from error


def id_at(model: type[Model], column: str, at: datetime) -> int:
    """A bound between what is older and what is not: ids before it are older, the others are of that time or later."""
    table = connection.ops.quote_name(model._meta.db_table)  # noqa: SLF001  Django's documented name
    with connection.cursor() as cursor:
        cursor.execute(FIRST.format(table=table, column=connection.ops.quote_name(column)), {"at": at})
        found = cursor.fetchone()
    return int(found[0]) if found else 0
