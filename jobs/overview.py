"""The first page of the operator's console: money and seconds by day, who makes them, what fails, what waits."""

from __future__ import annotations

import json
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
from billing.money import format_usd
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


# For Chart.js: the theme's own hide the scale.
CHART = json.dumps(
    {
        "maintainAspectRatio": False,
        "animation": False,
        "plugins": {"legend": {"align": "start", "labels": {"boxWidth": 12, "boxHeight": 12}}},
        "scales": {
            "x": {"grid": {"display": False}},
            "y": {"beginAtZero": True, "border": {"display": False}},
        },
    }
)


@dataclass(frozen=True)
class Tile:
    """One figure with what it means; `tone` is "bad" where somebody should look."""

    label: str
    figure: str
    note: str = ""
    tone: str = ""
    link: str = ""


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
    return {
        "tiles": [*_money(by_day), *_now()],
        "money_chart": _chart(
            by_day,
            {"Revenue": "micros", "Paid to providers": "cost_micros", "Margin": "margin_micros"},
            unit=1_000_000,
        ),
        "chart_options": CHART,
        "seconds_chart": _chart(by_day, {"Seconds": "seconds"}),
        "tables": [
            {"title": "By model", "table": _table("Model", sums["model"][:MOST_LINES])},
            {"title": "By provider", "table": _table("Provider", sums["provider"][:MOST_LINES])},
            {"title": "By route", "table": _table("Route", sums["route_id"][:MOST_LINES], _routes)},
            {
                "title": "By organization",
                "table": _table("Organization", sums["organization_id"][:MOST_LINES], _tenants),
            },
            {"title": "In the queue now", "table": _queue()},
            {"title": f"Failures of {days} days", "table": _failures(days)},
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


def _now() -> list[Tile]:
    waiting = Job.objects.filter(status=Status.QUEUED).aggregate(n=Count("pk"), since=Min("queued_at"))
    running = Job.objects.filter(status__in=[Status.RUNNING, Status.SAVING]).count()
    oldest = timezone.now() - waiting["since"] if waiting["since"] else None
    unknown = Attempt.objects.filter(status=AttemptStatus.UNKNOWN).count()
    late = Delivery.objects.filter(status=Delivery.Status.DUE, due_at__lt=timezone.now() - HOUR).count()
    return [
        Tile("Running", str(running), _waits()),
        Tile("Waiting", str(waiting["n"]), f"the oldest for {_span(oldest)}" if oldest else ""),
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


def _chart(by_day: Sequence[rollups.Line], shown: dict[str, str], unit: int = 1) -> str:
    """For Chart.js; colours are the theme's."""
    colours = ("var(--color-primary-600)", "var(--color-base-400)", "var(--color-primary-300)")
    sets = [
        {"label": label, "data": [getattr(day, name) / unit for day in by_day], "backgroundColor": colour}
        for (label, name), colour in zip(shown.items(), colours, strict=False)
    ]
    return json.dumps({"labels": [day.name[5:] for day in by_day], "datasets": sets})


Names = Callable[[Sequence[str]], Mapping[str, str]]


def _table(heading: str, lines: Sequence[rollups.Line], named: Names | None = None) -> dict[str, Any]:
    """For the theme. `named` says what the operator reads for the names of the lines, where those are numbers."""
    names = named([line.name for line in lines]) if named else {}
    return {
        "headers": [heading, "Videos", "Seconds", "Revenue", "Cost", "Margin"],
        "rows": [
            [
                names.get(line.name) or line.name or "not known",
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


def _routes(ids: Sequence[str]) -> dict[str, str]:
    routes = Route.objects.select_related("account", "organization").in_bulk(list(map(int, ids)))
    links = {str(pk): link("providers_route_change", pk, str(route)) for pk, route in routes.items()}
    gone = {pk: f"route {pk}, which is gone" for pk in ids if pk not in links}
    return {**gone, **links, str(rollups.NO_ROUTE): "not known"}


def _tenants(ids: Sequence[str]) -> dict[str, str]:
    names = Organization.objects.filter(pk__in=ids).values_list("pk", "name")
    return {str(pk): link("tenant", pk, name) for pk, name in names}


def _queue() -> dict[str, Any]:
    """By model; the rows that are looked at are those of unfinished jobs."""
    rows = (
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
            for row in rows[:MOST_LINES]
        ],
    }


def _failures(days: int) -> dict[str, Any]:
    ended = Job.objects.filter(
        pk__gte=least_id(timezone.now() - timedelta(days=days)), status__in=[Status.EXPIRED, Status.FAILED]
    )
    rows = ended.values("error_code", "model").annotate(n=Count("pk")).order_by("-n")[:MOST_LINES]
    return {
        "headers": ["Code", "Model", "Jobs"],
        "rows": [[row["error_code"], row["model"], f"{row['n']:,}"] for row in rows],
    }
