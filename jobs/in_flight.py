"""What is before providers now, as the dispatcher counts it under its lock."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection
from functools import cache
from uuid import UUID

from django.db.models import Count, QuerySet

from jobs.models import Attempt
from jobs.states import ATTEMPT_OPEN
from providers import circuit, routing


def load(full: Collection[int]) -> routing.Load:
    """`full` are the routes at which as many orders as may are being placed."""
    rows = Attempt.objects.filter(status__in=ATTEMPT_OPEN).values_list("route_id", "account_id", "job__model")
    by_route: Counter[int] = Counter()
    by_account: Counter[tuple[int, str]] = Counter()
    for route_id, account_id, model, count in rows.annotate(n=Count("id")):
        by_route[route_id] += count
        if account_id is not None:
            by_account[account_id, model] += count
    begun = _begun_within(1).filter(account_id__isnull=False).values_list("account_id")
    shut, probed = circuit.opened()
    return routing.Load(
        by_route,
        by_account,
        recent=dict(begun.annotate(n=Count("id"))),
        in_minute=cache(_begun_in_minute),
        shut=shut,
        probed=probed,
        full=full,
    )


def _begun_in_minute(account_id: int) -> int:
    return _begun_within(60).filter(account_id=account_id).count()


def _begun_within(seconds: int) -> QuerySet[Attempt]:
    """Ids begin with their time, so the primary key finds the newest."""
    return Attempt.objects.filter(pk__gte=UUID(int=(time.time_ns() // 1_000_000 - seconds * 1000) << 80))
