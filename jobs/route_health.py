"""How each route does, for the console: errors and times of the last hour, its circuit, what is in flight, its margin."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any

from django.core.cache import cache
from django.db import connection
from django.utils import timezone

from accounts.console import link
from billing import rollups
from billing.money import format_usd
from billing.rollups import Line
from jobs.dispatch import NOBODYS
from jobs.models import Attempt
from jobs.states import ATTEMPT_OPEN, AttemptStatus
from jobs.types import least_id

HOUR = timedelta(hours=1)
MOST = 200
MOST_UNKNOWN = 20
MARGIN_DAYS = 30
MARGIN_SECONDS = 60

# Ids begin with their time, so the primary key bounds the hour; a partial index holds what is open. An end that a retry
# could better is the route's error, and a lost answer as well: as jobs.dispatch counts them for the circuit.
FIGURES = """
WITH lately AS (
    SELECT route_id, count(*) FILTER (WHERE status NOT IN ('created', 'submitted', 'running')) AS ended,
           count(*) FILTER (WHERE status = 'unknown'
               OR status IN ('failed', 'canceled') AND error_retryable AND error_code <> ALL(%(nobodys)s)) AS errors,
           percentile_cont(array[0.5, 0.95]) WITHIN GROUP (ORDER BY extract(epoch FROM finished_at - created_at))
               FILTER (WHERE status = 'succeeded') AS seconds
    FROM jobs_attempt WHERE id >= %(since)s GROUP BY route_id
), flying AS (
    SELECT route_id, count(*) AS n, extract(epoch FROM now() - min(created_at)) AS oldest
    FROM jobs_attempt WHERE status = ANY(%(open)s) GROUP BY route_id
)
SELECT r.id, r.model, r.provider, a.id, coalesce(a.name, ''), coalesce(o.name, ''), coalesce(a.enabled, true),
       CASE WHEN r.enabled THEN 'open' WHEN r.killed_at IS NULL THEN 'drained' ELSE 'killed' END,
       coalesce(l.ended, 0), coalesce(l.errors, 0), l.seconds, coalesce(f.n, 0), coalesce(f.oldest, 0),
       CASE WHEN c.opened_at IS NULL THEN 'closed' WHEN c.probe_at <= now() THEN 'half-open' ELSE 'open' END
FROM providers_route r
LEFT JOIN providers_provideraccount a ON a.id = r.account_id
LEFT JOIN accounts_organization o ON o.id = r.organization_id
LEFT JOIN providers_circuit c ON c.route_id = r.id
LEFT JOIN lately l ON l.route_id = r.id
LEFT JOIN flying f ON f.route_id = r.id
ORDER BY c.opened_at IS NULL, coalesce(l.ended, 0) + coalesce(f.n, 0) DESC, r.model, r.priority, r.id LIMIT %(most)s
"""


@dataclass(frozen=True)
class Health:
    """One route. Seconds are of what succeeded, from order to result; None where nothing did."""

    route_id: int
    model: str
    provider: str
    account_id: int | None
    account: str
    organization: str
    account_open: bool
    switch: str
    ended: int
    errors: int
    seconds: tuple[float, float] | None
    in_flight: int
    oldest_seconds: float
    circuit: str


def health() -> list[Health]:
    """Routes with an open circuit first, then the busiest."""
    values: dict[str, Any] = {
        "nobodys": sorted(NOBODYS),
        "since": least_id(timezone.now() - HOUR),
        "open": sorted(ATTEMPT_OPEN),
        "most": MOST,
    }
    with connection.cursor() as cursor:
        cursor.execute(FIGURES, values)
        return [Health(*row) for row in cursor.fetchall()]


HEADERS = (
    "Route",
    "For",
    "Circuit",
    "Ended",
    "Errors",
    "Middle",
    "95th of 100",
    "In flight",
    "Oldest",
    "Margin",
)


def cells(route: Health, use: Line | None) -> list[str]:
    """For the theme's table; `use` is what the route took in and cost in the last MARGIN_DAYS."""
    share = f"{100 * route.errors / route.ended:.0f} % ({route.errors})" if route.ended else ""
    middle, high = (f"{value:.1f} s" for value in route.seconds) if route.seconds else ("", "")
    on = route.account_open and route.switch == "open"
    return [
        link("providers_route_change", route.route_id, f"{route.model} by {place(route)}"),
        route.organization or "everybody",
        route.circuit if on else f"{route.circuit}, switched off",
        f"{route.ended:,}",
        share,
        middle,
        high,
        f"{route.in_flight:,}",
        f"{route.oldest_seconds:.0f} s" if route.in_flight else "",
        f"${format_usd(use.margin_micros)} of ${format_usd(use.micros)}" if use else "",
    ]


def place(route: Health) -> str:
    return "/".join(filter(None, (route.provider, route.account)))


def margins() -> dict[int, Line]:
    """By route, of the last MARGIN_DAYS with today, as they were some seconds ago: a month of use is many rows."""
    return dict(cache.get_or_set("console.margins", _margins, MARGIN_SECONDS) or {})


def _margins() -> dict[int, Line]:
    today = timezone.now().astimezone(UTC).date()
    lines = rollups.by("route_id", today - timedelta(days=MARGIN_DAYS - 1), today, most=MOST)
    return {int(line.name): line for line in lines}


def unknown() -> list[Attempt]:
    """Whose answers were lost, the newest first, MOST_UNKNOWN at most and one more."""
    lost = Attempt.objects.filter(status=AttemptStatus.UNKNOWN).order_by("-pk")
    return list(lost.only("job_id", "number", "provider", "tag", "created_at")[: MOST_UNKNOWN + 1])
