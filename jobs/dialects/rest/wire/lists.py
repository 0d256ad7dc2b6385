"""What a list of jobs may be narrowed by, read from the query."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.utils.dateparse import parse_datetime

from jobs.errors import Invalid
from jobs.states import Status

MAX_TAG = 64
NAMES = ("status", "model", "key", "tag", "created_after", "created_before", "after", "limit")


@dataclass(frozen=True)
class Wanted:
    """A filter that is not set narrows nothing."""

    status: str = ""
    model: str = ""
    key: UUID | None = None
    tag: str = ""
    created_after: datetime | None = None
    created_before: datetime | None = None
    after: UUID | None = None


def wanted(query: Mapping[str, str], models: Collection[str]) -> Wanted:
    """Raises Invalid, naming the parameter and what it takes. A name unknown here is refused: a filter with a typo in
    it would show everything.
    """
    only(query, NAMES)
    return Wanted(
        status=one_of(query, "status", [status.value for status in Status]),
        model=one_of(query, "model", models),
        key=identifier(query, "key", "an API key"),
        tag=_tag(query.get("tag", "")),
        created_after=moment(query, "created_after"),
        created_before=moment(query, "created_before"),
        after=identifier(query, "after", "a job"),
    )


def only(query: Collection[str], names: Collection[str]) -> None:
    for name in query:
        if name not in names:
            message = f"Unknown parameter {name[:100]!r}; known are {', '.join(names)}."
            raise Invalid("parameter_unknown", message, field=name[:100])


def one_of(query: Mapping[str, str], name: str, values: Collection[str]) -> str:
    value = query.get(name, "")
    if value and value not in values:
        raise Invalid("parameter_invalid", f"{name} must be one of {', '.join(values)}.", field=name)
    return value


def identifier(query: Mapping[str, str], name: str, of: str) -> UUID | None:
    value = query.get(name, "")
    try:
        return UUID(value) if value else None
    except ValueError:
        raise Invalid("parameter_invalid", f"{name} must be the id of {of}.", field=name) from None


def moment(query: Mapping[str, str], name: str) -> datetime | None:
    """An RFC 3339 time with its offset. A plus sign that came unescaped has become a space."""
    value = query.get(name, "")
    if not value:
        return None
    try:
        found = parse_datetime(value.strip().replace(" ", "+") if "T" in value.upper() else "")
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        message = f"{name} must be a time with its offset, such as 2026-01-31T12:00:00Z."
        raise Invalid("parameter_invalid", message, field=name)
    return found


def _tag(value: str) -> str:
    if len(value) > MAX_TAG or "\x00" in value:
        message = f"tag must be a text of 1 to {MAX_TAG} characters."
        raise Invalid("parameter_invalid", message, field="tag")
    return value
