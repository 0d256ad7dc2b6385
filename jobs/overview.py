"""The first page of the operator's console: money and seconds by day, who makes them, what fails, what waits. The sums by
day are the books'; of jobs it reads those that are open, and those of the last hours.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.db.models import Count, Min, Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from accounts.console import link
from accounts.models import Organization
from billing import gateway, rollups
from billing.money import MICROS, format_usd
from jobs.models import Attempt, Delivery, Job
from jobs.moderation import verdicts
from jobs.states import AttemptStatus, Status
from jobs.types import least_id
from providers.models import Route

SPANS = (7, 30, 90)
USUAL_SPAN = 30
MOST_LINES = 10
# The figures are shared by everybody who looks, and are this old at most.
KEPT_SECONDS = 30
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

# Ids begin with their time, so the primary key bounds what is read.
WAITS = """
SELECT count(*), percentile_cont(array[0.5, 0.95]) WITHIN GROUP (ORDER BY extract(epoch FROM started_at - queued_at))
FROM jobs_job WHERE id >= %s AND started_at IS NOT NULL AND queued_at IS NOT NULL
"""
# Hour by hour, from jobs made since then: how many waited when it ended, and how long those that started in it had.
HOURS = """
WITH read AS MATERIALIZED (
    SELECT queued_at, started_at, coalesce(started_at, finished_at) AS left_at FROM jobs_job
    WHERE id >= %(least)s AND queued_at IS NOT NULL
), steps AS (
    SELECT hour, sum(step) AS step FROM (
        SELECT date_trunc('hour', queued_at) AS hour, 1 AS step FROM read
        UNION ALL SELECT date_trunc('hour', left_at), -1 FROM read WHERE left_at IS NOT NULL
    ) moves GROUP BY 1
), waits AS (
    SELECT date_trunc('hour', started_at) AS hour,
           percentile_cont(array[0.5, 0.95]) WITHIN GROUP (ORDER BY extract(epoch FROM started_at - queued_at)) AS seconds
    FROM read WHERE started_at >= queued_at GROUP BY 1
)
SELECT hour, coalesce(sum(step) OVER (ORDER BY hour), 0)::bigint, seconds
FROM generate_series(%(first)s::timestamptz, now(), interval '1 hour') AS of_day (hour)
LEFT JOIN steps USING (hour) LEFT JOIN waits USING (hour) ORDER BY hour
"""
HOURS_SHOWN = 24


def _options(along: str, across: str) -> str:
    """For Chart.js: the theme's own hide the scale. Figures go `across` the names."""
    return json.dumps(
        {
            "maintainAspectRatio": False,
            "animation": False,
            "indexAxis": along,
            "plugins": {"legend": {"align": "start", "labels": {"boxWidth": 12, "boxHeight": 12}}},
            "scales": {
                along: {"grid": {"display": False}},
                across: {"beginAtZero": True, "border": {"display": False}},
            },
        }
    )


UPRIGHT, LYING = _options("x", "y"), _options("y", "x")


@dataclass(frozen=True)
class Tile:
    """One figure with what it means; `tone` is "bad" where somebody should look."""

    label: str
    figure: str
    note: str = ""
    tone: str = ""
    link: str = ""


@dataclass(frozen=True)
class Chart:
    """Of Chart.js; bars lie where their names are long."""

    title: str
    data: str
    kind: str = "bar"
    options: str = UPRIGHT


@dataclass(frozen=True)
class Name:
    """Of what a number stands for: as text, and as a link for tables."""

    text: str
    shown: str


def overview(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The theme's dashboard callback: `?days=` of SPANS."""
    asked = request.GET.get("days", "")
    days = int(asked) if asked in map(str, SPANS) else USUAL_SPAN
    kept: Any = cache.get_or_set(f"console.overview.{days}", lambda: _figures(days), KEPT_SECONDS)
    return {**context, **kept, "days": days, "spans": SPANS, "title": "Overview"}


def _figures(days: int) -> dict[str, Any]:
    today = timezone.now().astimezone(UTC).date()
    first = today - timedelta(days=days - 1)
    sums = rollups.sums(first, today)
    by_day = sums["day"]
    queue, failures = _queue(), _failures(days)
    charts, tables = [], []
    for heading, column, named in COLUMNS:
        lines = sums[column][:MOST_LINES]
        names = named([line.name for line in lines])
        charts.append(_margins(heading, lines, names))
        tables.append({"title": f"By {heading.lower()}", "table": _table(heading, lines, names)})
    return {
        "tiles": [*_money(by_day), *_now(queue)],
        "charts": [
            Chart("Dollars by day", _dated(by_day, MONEY, unit=MICROS)),
            Chart("Seconds by day", _dated(by_day, {"Seconds": "seconds"})),
            *charts,
            _by_code(failures, days),
            *_hours(),
        ],
        "tables": [
            *tables,
            {"title": "In the queue now", "table": _waiting(queue)},
            {"title": f"Failures of {days} days", "table": _failed(failures)},
        ],
    }


def _money(by_day: Sequence[rollups.Line]) -> list[Tile]:
    revenue, cost = sum(day.micros for day in by_day), sum(day.cost_micros for day in by_day)
    share = f"{100 * (revenue - cost) // revenue} % of revenue" if revenue else ""
    return [
        Tile("Revenue", f"${format_usd(revenue)}", f"{sum(day.jobs for day in by_day)} videos"),
        Tile("Margin", f"${format_usd(revenue - cost)}", share, "bad" if cost > revenue else ""),
        Tile("Seconds", f"{sum(day.seconds for day in by_day):,}"),
    ]


def _now(queue: Sequence[dict[str, Any]]) -> list[Tile]:
    waiting = sum(row["queued"] for row in queue)
    running = sum(row["under_way"] for row in queue)
    since = min((row["since"] for row in queue if row["since"]), default=None)
    oldest = timezone.now() - since if since else None
    unknown = Attempt.objects.filter(status=AttemptStatus.UNKNOWN).count()
    late = Delivery.objects.filter(status=Delivery.Status.DUE, due_at__lt=timezone.now() - HOUR).count()
    return [
        Tile("Running", str(running), _waits()),
        Tile("Waiting", str(waiting), f"the oldest for {_span(oldest)}" if oldest else ""),
        Tile(
            "Outcome unknown",
            str(unknown),
            "attempts whose answer was lost",
            "bad" if unknown else "",
            f"{reverse('admin:jobs_attempt_changelist')}?status__exact={AttemptStatus.UNKNOWN}",
        ),
        _content_check(),
        *_payments(),
        Tile("Late webhooks", str(late), "due for more than an hour", "bad" if late else ""),
    ]


def _content_check() -> Tile:
    """Whether pictures and films are judged here, by what and to what end; and the jobs that it failed to judge."""
    judged = [f"{what}s" for what in (verdicts.INPUT, verdicts.OUTPUT) if verdicts.checks(what)]
    if not judged:
        return Tile("Content check", "off", "only what providers flag is shown")
    day = least_id(timezone.now() - DAY)
    failed = Job.objects.filter(pk__gte=day, error_code=verdicts.CheckFailed.code).count()
    fate = "withheld" if settings.MODERATION_FLAGGED == "withhold" else "marked"
    note = f"{' and '.join(judged)}; flagged videos are {fate}"
    if failed:
        note = f"{failed} jobs failed within a day because it did not answer"
    return Tile("Content check", "on", note, "bad" if failed else "")


def _payments() -> list[Tile]:
    """Nothing where they are collected: what is open there has pages of its own."""
    if gateway.configured():
        return []
    return [
        Tile(
            "Stripe",
            "no keys",
            "nothing is sold, credit is yours to give",
            "",
            reverse("admin:billing_proposal_add"),
        )
    ]


def _waits() -> str:
    with connection.cursor() as cursor:
        cursor.execute(WAITS, [least_id(timezone.now() - HOUR)])
        count, waits = cursor.fetchone()
    if not count:
        return "none started within the last hour"
    return f"waited {waits[0]:.1f} s in the middle, {waits[1]:.1f} s at the 95th of 100"


def _span(span: timedelta) -> str:
    minutes = int(span.total_seconds() // 60)
    return f"{minutes} min" if minutes else f"{int(span.total_seconds())} s"


# --- charts ---------------------------------------------------------------------------------------------------

# The theme's.
COLOURS = ("var(--color-primary-600)", "var(--color-base-400)", "var(--color-primary-300)")
MONEY = {"Revenue": "micros", "Paid to providers": "cost_micros", "Margin": "margin_micros"}


def _chart(names: Sequence[str], sets: Mapping[str, Sequence[float | None]]) -> str:
    coloured = [
        {"label": label, "data": list(data), "backgroundColor": colour, "borderColor": colour}
        for (label, data), colour in zip(sets.items(), COLOURS, strict=False)
    ]
    return json.dumps({"labels": list(names), "datasets": coloured})


def _dated(by_day: Sequence[rollups.Line], shown: Mapping[str, str], unit: int = 1) -> str:
    sets = {label: [getattr(day, name) / unit for day in by_day] for label, name in shown.items()}
    return _chart([day.name[5:] for day in by_day], sets)


def _margins(heading: str, lines: Sequence[rollups.Line], names: Mapping[str, Name]) -> Chart:
    title = f"Margin by {heading.lower()}, in dollars"
    figures = {f"Margin by {heading.lower()}": [line.margin_micros / MICROS for line in lines]}
    return Chart(title, _chart([names[line.name].text for line in lines], figures), options=LYING)


def _by_code(failures: Sequence[dict[str, Any]], days: int) -> Chart:
    codes: Counter[str] = Counter()
    for row in failures:
        codes[row["error_code"]] += row["n"]
    most = dict(codes.most_common(MOST_LINES))
    title = f"Failures of {days} days by code"
    return Chart(title, _chart(list(most), {"Failed jobs": list(most.values())}), options=LYING)


def _hours() -> list[Chart]:
    """The queue of the last HOURS_SHOWN hours; older than that it is not kept."""
    now = timezone.now().astimezone(UTC)
    first = now.replace(minute=0, second=0, microsecond=0) - (HOURS_SHOWN - 1) * HOUR
    with connection.cursor() as cursor:
        cursor.execute(HOURS, {"least": least_id(first), "first": first})
        rows = cursor.fetchall()
    hours = [f"{hour.astimezone(UTC):%H}h" for hour, *_ in rows]
    middle, high = ([seconds and float(seconds[n]) for *_, seconds in rows] for n in (0, 1))
    depth = {"Waiting at the end of the hour": [depth for _, depth, _ in rows]}
    waits = {"Seconds waited, in the middle": middle, "At the 95th of 100": high}
    return [
        Chart(f"Queue of {HOURS_SHOWN} hours, in UTC", _chart(hours, depth), kind="line"),
        Chart(f"Waits of {HOURS_SHOWN} hours, in UTC", _chart(hours, waits)),
    ]


# --- tables ---------------------------------------------------------------------------------------------------


def _table(heading: str, lines: Sequence[rollups.Line], names: Mapping[str, Name]) -> dict[str, Any]:
    """For the theme."""
    return {
        "headers": [heading, "Videos", "Seconds", "Revenue", "Cost", "Margin"],
        "rows": [
            [
                names[line.name].shown,
                f"{line.jobs:,}",
                f"{line.seconds:,}",
                f"${format_usd(line.micros)}",
                f"${format_usd(line.cost_micros)}",
                _margin(line),
            ]
            for line in lines
        ],
    }


def _margin(line: rollups.Line) -> str:
    share = f" ({100 * line.margin_micros // line.micros} %)" if line.micros else ""
    return f"${format_usd(line.margin_micros)}{share}"


def _plain(names: Sequence[str]) -> dict[str, Name]:
    return {name: Name(name or NOT_KNOWN, name or NOT_KNOWN) for name in names}


def _routes(ids: Sequence[str]) -> dict[str, Name]:
    routes = Route.objects.select_related("account", "organization").in_bulk(list(map(int, ids)))
    known = {
        str(pk): Name(str(route), link("providers_route_change", pk, str(route)))
        for pk, route in routes.items()
    }
    gone = {pk: f"route {pk}, which is gone" for pk in ids if pk not in known}
    return {
        **{pk: Name(text, text) for pk, text in gone.items()},
        **known,
        str(rollups.NO_ROUTE): Name(NOT_KNOWN, NOT_KNOWN),
    }


def _tenants(ids: Sequence[str]) -> dict[str, Name]:
    names = Organization.objects.filter(pk__in=ids).values_list("pk", "name")
    return {str(pk): Name(name, link("tenant", pk, name)) for pk, name in names}


NOT_KNOWN = "not known"
Names = Callable[[Sequence[str]], Mapping[str, Name]]
# What the sums are shown by: in words, of which column, and what its values are called.
COLUMNS: tuple[tuple[str, str, Names], ...] = (
    ("Model", "model", _plain),
    ("Provider", "provider", _plain),
    ("Route", "route_id", _routes),
    ("Organization", "organization_id", _tenants),
)


def _queue() -> list[dict[str, Any]]:
    """By model; the rows that are looked at are those of unfinished jobs."""
    rows: Any = (
        Job.objects.open()
        .values("model")
        .annotate(
            preparing=Count("pk", filter=Q(status=Status.PREPARING)),
            queued=Count("pk", filter=Q(status=Status.QUEUED)),
            under_way=Count("pk", filter=Q(status__in=[Status.RUNNING, Status.SAVING])),
            since=Min("queued_at", filter=Q(status=Status.QUEUED)),
        )
        .order_by("-queued", "model")
    )
    return list(rows)


def _waiting(queue: Sequence[dict[str, Any]]) -> dict[str, Any]:
    now = timezone.now()
    return {
        "headers": ["Model", "Preparing", "Waiting", "Oldest", "Running"],
        "rows": [
            [
                row["model"],
                f"{row['preparing']:,}",
                f"{row['queued']:,}",
                _span(now - row["since"]) if row["since"] else "",
                f"{row['under_way']:,}",
            ]
            for row in queue[:MOST_LINES]
        ],
    }


def _failures(days: int) -> list[dict[str, Any]]:
    """By code and model, the most frequent first; an index has both."""
    ended = Job.objects.filter(
        pk__gte=least_id(timezone.now() - timedelta(days=days)), status__in=[Status.EXPIRED, Status.FAILED]
    )
    rows: Any = ended.values("error_code", "model").annotate(n=Count("pk")).order_by("-n")
    return list(rows)


def _failed(failures: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "headers": ["Code", "Model", "Jobs"],
        "rows": [[row["error_code"], row["model"], f"{row['n']:,}"] for row in failures[:MOST_LINES]],
    }
