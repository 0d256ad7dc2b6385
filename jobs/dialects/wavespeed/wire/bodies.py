"""What the smaller requests carry, read with care: every value comes from outside."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.utils.dateparse import parse_date, parse_datetime

from jobs.dialects.wavespeed.wire.predictions import read_id
from jobs.errors import Invalid

MAX_PAGE_SIZE = 100
# Deeper pages would make the database count rows nobody reads.
MAX_PAGE = 10_000
MAX_IDS = 1000


def page(body: Mapping[str, Any]) -> tuple[int, int]:
    """Page (from 1) and page size; both must be given."""
    return number(body, "page", MAX_PAGE), number(body, "page_size", MAX_PAGE_SIZE)


def number(body: Mapping[str, Any], name: str, most: int) -> int:
    value = body.get(name)
    if value is None:
        raise Invalid("parameter_missing", f"{name} is required.", field=name)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise Invalid("parameter_invalid", f"{name} must be a whole number from 1 to {most}.", field=name)
    return value


def size(body: Mapping[str, Any]) -> int:
    """Bytes of a file to come; whether that is too few or too many is not decided here."""
    value = body.get("size")
    if value is None:
        raise Invalid("parameter_missing", "size is required: the file's length in bytes.", field="size")
    if not isinstance(value, int) or isinstance(value, bool):
        raise Invalid("parameter_invalid", "size must be a whole number of bytes.", field="size")
    return value


def moment(body: Mapping[str, Any], name: str) -> datetime | None:
    """An ISO 8601 time; without an offset it is UTC, without a time of day it is midnight."""
    value = text(body, name)
    if not value:
        return None
    try:
        at = parse_datetime(value)
        if at is None and (day := parse_date(value)):
            at = datetime(day.year, day.month, day.day, tzinfo=UTC)
    except ValueError:
        at = None
    if at is None:
        raise Invalid("parameter_invalid", f"{name} must be a time such as 2026-01-15T08:30:12Z.", field=name)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def text(body: Mapping[str, Any], *names: str) -> str:
    """The first of these fields that is there; "" for none."""
    for name in names:
        value = body.get(name)
        if value is None:
            continue
        if not isinstance(value, str) or "\0" in value:
            raise Invalid("parameter_invalid", f"{name} must be a text.", field=name)
        return value.strip()
    return ""


def mapping(body: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """The first of these fields that is there, as an object; {} for none."""
    for name in names:
        value = body.get(name)
        if value is None:
            continue
        if not isinstance(value, Mapping):
            raise Invalid("parameter_invalid", f"{name} must be an object.", field=name)
        return value
    return {}


def ids(body: Mapping[str, Any]) -> list[UUID]:
    """Prediction ids; what is not one is passed over, like an id nobody knows."""
    value = body.get("ids")
    if not isinstance(value, list):
        raise Invalid("parameter_missing", "ids must be a list of prediction ids.", field="ids")
    if len(value) > MAX_IDS:
        raise Invalid("parameter_invalid", f"ids may have {MAX_IDS} entries at most.", field="ids")
    return [found for entry in value if isinstance(entry, str) and (found := read_id(entry))]


def key_id(body: Mapping[str, Any], name: str) -> UUID | None:
    """The id of an API key, in either writing."""
    value = text(body, name)
    if not value:
        return None
    try:
        return UUID(value)
    except ValueError:
        raise Invalid("parameter_invalid", f"{name} is not the id of an API key.", field=name) from None
