"""What was used, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from billing.usage import GROUPS, Usage
from jobs.errors import Invalid

MOST_DAYS = 366
COLUMNS = {"day": ("day",), "model": ("model",), "key": ("key", "key_name")}
SUMS = ("jobs", "seconds", "micros")
# What spreadsheets take for the beginning of a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Span:
    """Whole days in UTC, the last one included."""

    first: date
    last: date

    @property
    def start(self) -> datetime:
        return datetime(self.first.year, self.first.month, self.first.day, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        return self.start + timedelta(days=(self.last - self.first).days + 1)


def span(query: Mapping[str, Any], today: date) -> Span:
    """The month up to today, where nothing is said. Raises Invalid."""
    last = date.fromisoformat(query["to"]) if "to" in query else today
    first = date.fromisoformat(query["from"]) if "from" in query else last.replace(day=1)
    if first > last:
        raise Invalid("parameter_invalid", "from must not be later than to.", field="from")
    if (last - first).days >= MOST_DAYS:
        message = f"from and to may be {MOST_DAYS} days apart, both included."
        raise Invalid("parameter_invalid", message, field="from")
    if last == date.max:
        raise Invalid("parameter_invalid", "to must be a day before 9999-12-31.", field="to")
    return Span(first, last)


def usage(asked: Span, by: Collection[str], rows: Sequence[Usage]) -> dict[str, Any]:
    return {
        "object": "usage",
        "from": asked.first.isoformat(),
        "to": asked.last.isoformat(),
        "group_by": [group for group in GROUPS if group in by],
        "currency": "USD",
        "data": [_row(row) for row in rows],
        "totals": {
            "jobs": sum(row.jobs for row in rows),
            "seconds": _seconds(sum(row.billed_ms for row in rows)),
            "micros": sum(row.micros for row in rows),
        },
    }


def table(shown: Mapping[str, Any]) -> str:
    """The entries of `usage` as CSV (RFC 4180)."""
    names = [name for group in shown["group_by"] for name in COLUMNS[group]] + list(SUMS)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(names)
    writer.writerows([_cell(row[name]) for name in names] for row in shown["data"])
    return out.getvalue()


def _row(row: Usage) -> dict[str, Any]:
    return {
        "day": row.day.isoformat() if row.day else None,
        "model": row.model,
        "key": str(row.key_id) if row.key_id else None,
        "key_name": row.key_name,
        "jobs": row.jobs,
        "seconds": _seconds(row.billed_ms),
        "micros": row.micros,
    }


def _seconds(milliseconds: int) -> int | float:
    return milliseconds / 1000 if milliseconds % 1000 else milliseconds // 1000


def _cell(value: Any) -> Any:
    """A key's name is its owner's words, and must not become a formula on somebody else's desk."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
