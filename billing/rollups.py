"""Use folded by day, written with each capture, and read over all organizations for the operator's pages. What providers
took for a job that was not captured is counted as well, as a cost without a job: a margin is of everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Sum

from billing.models import DayUse, Hold

COUNT = """
INSERT INTO billing_dayuse AS d (day, organization_id, key_id, model, resolution, provider, route_id, unit,
                                 jobs, billed_ms, free, micros, cost_micros)
VALUES ((now() AT TIME ZONE 'UTC')::date, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (organization_id, day, key_id, model, resolution, provider, route_id, unit) DO UPDATE SET
    jobs = d.jobs + excluded.jobs, billed_ms = d.billed_ms + excluded.billed_ms, free = d.free + excluded.free,
    micros = d.micros + excluded.micros, cost_micros = d.cost_micros + excluded.cost_micros
"""


# In place of a route that is not known: the number of none.
NO_ROUTE = 0


@dataclass(frozen=True)
class Made:
    """How something was made: who was ordered to, what they took for it in micro-dollars, and the unit of its price."""

    resolution: str = ""
    provider: str = ""
    cost_micros: int = 0
    route_id: int = NO_ROUTE
    unit: str = ""


NOT_KNOWN = Made()


@dataclass(frozen=True)
class Line:
    """The use of one day or of one name, summed. Seconds are whole; money is micro-dollars."""

    name: str
    jobs: int
    seconds: int
    micros: int
    cost_micros: int

    @property
    def margin_micros(self) -> int:
        return self.micros - self.cost_micros


def count(hold: Hold, taken: int, made: Made) -> None:
    """In the transaction of the capture, which holds the organization's lock."""
    figures = (1, hold.billed_ms, hold.free, taken, made.cost_micros)
    _add(hold.organization_id, hold.key_id, hold.model, made, figures)


def spend(organization_id: UUID, key_id: UUID | None, model: str, made: Made) -> None:
    """A cost that no customer pays, in the transaction of the release, which holds the organization's lock."""
    _add(organization_id, key_id, model, made, (0, 0, 0, 0, made.cost_micros))


def _add(
    organization_id: UUID, key_id: UUID | None, model: str, made: Made, figures: tuple[int, ...]
) -> None:
    what = (organization_id, key_id, model, made.resolution, made.provider, made.route_id, made.unit)
    with connection.cursor() as cursor:
        cursor.execute(COUNT, (*what, *figures))


COLUMNS = ("day", "model", "provider", "route_id", "organization_id")
SUMS = """
SELECT day, model, provider, route_id, organization_id, GROUPING(day, model, provider, route_id, organization_id),
       sum(jobs)::bigint, (sum(billed_ms) / 1000)::bigint, sum(micros)::bigint, sum(cost_micros)::bigint
FROM billing_dayuse WHERE day BETWEEN %s AND %s
GROUP BY GROUPING SETS ((day), (model), (provider), (route_id), (organization_id))
"""


def sums(first: date, last: date) -> dict[str, list[Line]]:
    """By each of COLUMNS: every day of the span in turn, also those without use; of all others those with most revenue
    or cost first. One statement that reads the span once.
    """
    found: dict[str, list[Line]] = {column: [] for column in COLUMNS}
    with connection.cursor() as cursor:
        cursor.execute(SUMS, (first, last))
        for *values, grouping, jobs, seconds, micros, cost in cursor.fetchall():
            # A bit for each column that is not grouped by, the last column's the lowest.
            place = next(n for n in range(len(COLUMNS)) if not grouping >> (len(COLUMNS) - 1 - n) & 1)
            found[COLUMNS[place]].append(Line(str(values[place]), jobs, seconds, micros, cost))
    by_day = {line.name: line for line in found.pop("day")}
    days = [str(first + timedelta(days=n)) for n in range((last - first).days + 1)]
    most_first = {name: sorted(lines, key=_most) for name, lines in found.items()}
    return {"day": [by_day.get(day, Line(day, 0, 0, 0, 0)) for day in days], **most_first}


def by(column: str, first: date, last: date, *, most: int) -> list[Line]:
    """By `model`, `provider`, `route_id` or `organization_id`: those with most revenue or cost first."""
    return sorted(_lines(first, last, column), key=_most)[:most]


def _most(line: Line) -> int:
    """Who only costs must not be below the end of a list."""
    return -max(line.micros, line.cost_micros)


def _lines(first: date, last: date, column: str) -> Iterator[Line]:
    rows: Any = DayUse.objects.filter(day__gte=first, day__lte=last).values(column)
    sums = rows.annotate(n=Sum("jobs"), ms=Sum("billed_ms"), paid=Sum("micros"), cost=Sum("cost_micros"))
    for row in sums:
        name = "" if row[column] is None else str(row[column])
        yield Line(name, row["n"], row["ms"] // 1000, row["paid"], row["cost"])
