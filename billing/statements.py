"""What an organization used and paid, for its own pages and files: by day, model and key. Days are UTC."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db.models import QuerySet, Sum

from accounts.models import Organization
from accounts.spreadsheet import line
from billing import usage
from billing.models import Account, DayUse, Kind, Transfer, TransferKind
from billing.money import MICROS, format_usd

PERIODS = {
    "7": "7 days",
    "30": "30 days",
    "90": "90 days",
    "month": "This month",
    "last": "Last month",
    "365": "A year",
}
USUAL = "30"
MOST_ROWS = 20
# A file stops here; who needs more asks for a shorter period.
MOST_LINES = 100_000
PAGE = 1000
CENT = MICROS // 100
# What moved an organization's money in or out; what is only set aside for a while is not on its bill.
KINDS = (*usage.BILLED_KINDS, TransferKind.DISPUTE, TransferKind.WRITE_OFF)
DASHBOARD = "Dashboard"


@dataclass(frozen=True)
class Line:
    """One day, model or key. `share` is in percent of the largest."""

    name: str
    jobs: int
    seconds: int
    micros: int
    share: float = 0

    @property
    def usd(self) -> str:
        return format_usd(self.micros)

    @property
    def about(self) -> str:
        return about(self.micros)


def about(micros: int) -> str:
    """Rounded to cents, for figures that nobody adds up; below a cent it is exact."""
    cents = (micros + CENT // 2) // CENT
    return format_usd(cents * CENT if micros >= CENT else micros)


@dataclass(frozen=True)
class Use:
    first: date
    last: date
    days: list[Line]
    models: list[Line]
    keys: list[Line]

    @property
    def total(self) -> Line:
        return Line(
            "",
            sum(line.jobs for line in self.days),
            sum(line.seconds for line in self.days),
            sum(line.micros for line in self.days),
        )

    @property
    def most(self) -> str:
        return about(max(line.micros for line in self.days))


def span(period: str, today: date) -> tuple[date, date]:
    """First and last day, both included."""
    if period == "month":
        return today.replace(day=1), today
    if period == "last":
        last = today.replace(day=1) - timedelta(days=1)
        return last.replace(day=1), last
    return today - timedelta(days=int(period) - 1), today


def used(organization: Organization, first: date, last: date) -> Use:
    """Three statements over the days' sums, however many jobs there were."""
    rows = DayUse.objects.for_org(organization).filter(jobs__gt=0, day__gte=first, day__lte=last)
    by_day = {line.name: line for line in _lines(rows, "day", str)}
    days = [str(first + timedelta(days=n)) for n in range((last - first).days + 1)]
    return Use(
        first,
        last,
        days=_shared([by_day.get(day, Line(day, 0, 0, 0)) for day in days]),
        models=_shared(_dearest(_lines(rows, "model", str))),
        keys=_shared(_dearest(_lines(rows, "key__name", lambda name: name or DASHBOARD, "key_id"))),
    )


def _lines(rows: QuerySet[DayUse], column: str, named: Callable[[Any], str], *more: str) -> Iterator[Line]:
    sums = rows.values(column, *more).annotate(n=Sum("jobs"), ms=Sum("billed_ms"), paid=Sum("micros"))
    for row in sums:
        yield Line(named(row[column]), row["n"], row["ms"] // 1000, row["paid"])


def _dearest(lines: Iterator[Line]) -> list[Line]:
    return sorted(lines, key=lambda line: (-line.micros, line.name))[:MOST_ROWS]


def _shared(lines: list[Line]) -> list[Line]:
    most = max((line.micros for line in lines), default=0) or 1
    return [
        Line(line.name, line.jobs, line.seconds, line.micros, round(100 * line.micros / most, 2))
        for line in lines
    ]


# --- files ---


def usage_file(organization: Organization, first: date, last: date) -> Iterator[str]:
    """CSV: a line for each day, model and key with something used."""
    rows = DayUse.objects.for_org(organization).filter(jobs__gt=0, day__gte=first, day__lte=last)
    sums = (
        rows.values("day", "model", "key_id", "key__name")
        .annotate(n=Sum("jobs"), ms=Sum("billed_ms"), paid=Sum("micros"))
        .order_by("day", "model", "key__name", "key_id")
    )
    yield line("day", "model", "key", "key_id", "jobs", "seconds", "usd")
    for row in sums[:MOST_LINES]:
        name = row["key__name"] or DASHBOARD
        yield line(
            row["day"],
            row["model"],
            name,
            row["key_id"] or "",
            row["n"],
            row["ms"] // 1000,
            format_usd(row["paid"]),
        )


def transfers_file(organization: Organization, first: date, last: date) -> Iterator[str]:
    """CSV: what the bill shows, newest first. Read page by page, so that no connection waits for a slow reader."""
    start = datetime.combine(first, time.min, UTC)
    end = datetime.combine(last + timedelta(days=1), time.min, UTC)
    yield line("time", "what", "usd", "model", "job", "key", "note", "reference")
    after: int | None = None
    for _ in range(MOST_LINES // PAGE):
        page = usage.billings(organization, start=start, end=end, kinds=KINDS, after=after, size=PAGE)
        for entry in entries(page.rows):
            row = entry.transfer
            key = row.key.name if row.key else ""
            model = row.hold.model if row.hold else ""
            yield line(
                row.created_at.isoformat(),
                row.get_kind_display(),
                entry.usd,
                model,
                row.job_id or "",
                key,
                row.note,
                row.reference,
            )
        after = page.after
        if after is None:
            return


@dataclass(frozen=True)
class Entry:
    """A transfer as a person reads it: what came in is above zero, what was spent below."""

    transfer: Transfer
    micros: int

    @property
    def usd(self) -> str:
        return format_usd(self.micros)

    @property
    def spent(self) -> bool:
        return self.micros < 0


def entries(rows: list[Transfer]) -> list[Entry]:
    """In two statements at most: the accounts of an organization are four."""
    from_ids = {row.debit_id for row in rows}
    kinds = dict(Account.objects.filter(pk__in=from_ids).values_list("pk", "kind")) if from_ids else {}
    own = {Kind.AVAILABLE, Kind.HELD}
    return [
        Entry(row, -row.amount_micros if kinds[row.debit_id] in own else row.amount_micros) for row in rows
    ]
