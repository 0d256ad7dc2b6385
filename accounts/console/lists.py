"""Lists of tables that grow for ever: pages by key, counts by estimate, searches that an index answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.admin import ModelAdmin, ShowFacets, SimpleListFilter
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db import connection
from django.db.models import Model, Q, QuerySet, UUIDField
from django.http import HttpRequest
from unfold.views import ChangeList

from accounts.models import Organization

AFTER = "after"
FOUND_ORGANIZATIONS = 50
BIGINT_DIGITS = 19

VALUES = """
WITH RECURSIVE found (value) AS (
    (SELECT {column} FROM {table} ORDER BY 1 LIMIT 1)
    UNION ALL
    SELECT (SELECT {column} FROM {table} WHERE {column} > f.value ORDER BY 1 LIMIT 1) FROM found f
    WHERE f.value IS NOT NULL
)
SELECT value FROM found WHERE value IS NOT NULL
"""


class KeysetPaginator(Paginator[Any]):
    """Only names the template of the links below a list; the pages themselves are cut by `KeysetList`."""

    template_name = "console/pages.html"


class KeysetList(ChangeList):  # type: ignore[misc]  # theirs has no types
    """Newest first; `?after=` the last row's key is the next page: page 100,000 costs what page 1 costs."""

    # What says which page it is, and is no filter.
    place: tuple[str, ...] = (AFTER,)
    next_page: str | None = None
    estimate: int | None = None

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        kept: dict[str, Any] = super().get_filters_params(params)
        for name in self.place:
            kept.pop(name, None)
        return kept

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[str]:
        column = self.model_admin.newest_by
        return [f"-{column}", "-pk"] if column else ["-pk"]

    def get_results(self, request: HttpRequest) -> None:
        rows = self.queryset
        if after := request.GET.get(AFTER):
            try:
                rows = rows.filter(older_than(after, self.model_admin.newest_by))
            except (ValidationError, ValueError) as error:
                raise IncorrectLookupParameters(error) from error
        size = self.list_per_page
        page = list(rows[: size + 1])
        self.result_list = page[:size]
        if len(page) > size:
            self.next_page = self.get_query_string(
                {AFTER: key_of(page[size - 1], self.model_admin.newest_by)}
            )
        self.first_page = self.get_query_string() if after else None
        if not self.query and not self.get_filters_params():
            self.estimate = estimated_rows(self.model)
        self.result_count = len(self.result_list)
        self.full_result_count = self.result_count  # or the theme offers to show them all
        self.show_admin_actions = True
        self.can_show_all = self.multi_page = False
        self.paginator = KeysetPaginator(self.result_list, size)

    def get_query_string(self, new_params: Any = None, remove: Any = None) -> str:
        """A place is of one list: whoever filters anew begins with the newest."""
        text: str = super().get_query_string(new_params, [*(remove or ()), *self.place])
        if not (new_params and AFTER in new_params):
            return text
        told = urlencode({name: new_params[name] for name in self.place if name in new_params})
        return f"{text}&{told}" if len(text) > 1 else f"?{told}"


def key_of(row: Model, column: str = "") -> str:
    """The row's place in a list by that column, or by the primary key."""
    return f"{getattr(row, column).isoformat()} {row.pk}" if column else str(row.pk)


def older_than(key: str, column: str = "") -> Q:
    """What comes below that place. Raises ValueError or ValidationError."""
    if not column:
        return Q(pk__lt=key)
    moment, _, pk = key.partition(" ")
    at = datetime.fromisoformat(moment).astimezone(UTC)
    # The first bound is what an index by column and key begins with.
    return Q(**{f"{column}__lte": at}) & (Q(**{f"{column}__lt": at}) | Q(pk__lt=pk))


def estimated_rows(model: type[Model]) -> int:
    """As the database's last ANALYZE saw the table; 0 for one that it has not looked at yet."""
    table = model._meta.db_table  # noqa: SLF001  Django's documented name
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass", [table])
        row = cursor.fetchone()
    return max(int(row[0]), 0) if row else 0


class LongList:
    """A mixin for the admin of a table of millions.

    `found_by` are the columns that hold ids, `named_by` those that hold texts: each is searched for the whole word,
    and needs an index. Names and slugs of organizations are resolved first, by their own small table.
    """

    list_per_page = 50
    show_full_result_count = False
    show_facets = ShowFacets.NEVER  # each would be counted over all rows
    sortable_by: Any = ()
    # Shows the box; what is searched for is in `found_by` and `named_by`.
    search_fields: Any = ("pk",)
    found_by: tuple[str, ...] = ("pk",)
    named_by: tuple[str, ...] = ()
    organization_path = "organization"
    # The time that the list goes by where the primary key does not rise with it: wants an index with the key behind it.
    newest_by = ""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        word = search_term.strip()
        return (queryset.filter(self.about(queryset.model, word)) if word else queryset), False

    def about(self, model: type[Model], word: str) -> Q:
        """The rows that a word names: by the organization they belong to, else by an id or a text."""
        found = organizations_named(word) if self.organization_path else []
        if found:
            # Alone, so that one organization's rows come out of an index in the list's order, few or none as well.
            path = self.organization_path
            return Q(**{path: found[0]}) if len(found) == 1 else Q(**{f"{path}__in": found})
        wanted = Q(pk__in=[])
        for column in self.found_by:
            if (value := _as(model, column, word)) is not None:
                wanted |= Q(**{column: value})
        for column in self.named_by:
            wanted |= Q(**{column: word})
        return wanted


def _as(model: type[Model], column: str, word: str) -> UUID | int | None:
    """The word as an id of that column's kind; None when it cannot be one."""
    field = model._meta.pk if column == "pk" else model._meta.get_field(column)  # noqa: SLF001  Django's documented name
    kind = getattr(field, "target_field", field)
    if isinstance(kind, UUIDField):
        try:
            return UUID(word)
        except ValueError:
            return None
    return int(word) if word.isdecimal() and len(word) < BIGINT_DIGITS else None


def organizations_named(word: str) -> list[UUID]:
    """Organizations of that slug, name or id."""
    try:
        named = Q(pk=UUID(word))
    except ValueError:
        named = Q(slug=word.lower()) | Q(name__iexact=word)
    return list(Organization.objects.filter(named).values_list("pk", flat=True)[:FOUND_ORGANIZATIONS])


def one_of(column: str, known: Callable[[], Iterable[str]]) -> type[SimpleListFilter]:
    """A filter over values that are known without asking the table: DISTINCT would read all of it."""

    class Filter(SimpleListFilter):
        title = column.replace("_", " ")
        parameter_name = column

        def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> list[tuple[str, str]]:
            return [(value, value) for value in known()]

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            value = self.value()
            return queryset.filter(**{column: value}) if value else queryset

    return Filter


def values_of(model: type[Model], column: str) -> list[str]:
    """The values of a column that an index begins with: one look into it for each, however many rows there are."""
    place = {"table": model._meta.db_table, "column": column}  # noqa: SLF001  Django's documented name
    names = {name: connection.ops.quote_name(text) for name, text in place.items()}
    with connection.cursor() as cursor:
        cursor.execute(VALUES.format(**names))
        return [row[0] for row in cursor.fetchall()]
