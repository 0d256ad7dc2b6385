"""Which routes may serve an order, best first."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

from django.conf import settings

from providers.errors import NoRoute
from providers.models import Route


def open_routes(model: str) -> list[Route]:
    """The enabled routes of a model whose provider is configured here."""
    return [
        route
        for route in Route.objects.filter(model=model, enabled=True).order_by("priority", "id")
        if route.provider in settings.PROVIDERS and (route.provider != "fake" or settings.FAKE_PROVIDER)
    ]


def candidates(model: str, *, length_ms: int, running: Mapping[int, int], tried: Iterable[int] = ()) -> list[Route]:
    """Routes for one order now: long enough, with a free place, not tried before; by priority, then by weight.

    `running` counts the attempts in flight by route id. Raises NoRoute when no route could ever take it;
    an empty list means: wait.
    """
    seen = set(tried)
    fitting = [
        route
        for route in open_routes(model)
        if route.id not in seen and (route.max_length_ms is None or length_ms <= route.max_length_ms)
    ]
    if not fitting:
        raise NoRoute(f"No provider can render {model} at the moment.")
    free = [r for r in fitting if r.max_running is None or running.get(r.id, 0) < r.max_running]
    # A weighted shuffle inside each priority: the larger the weight, the likelier the earlier place.
    return sorted(free, key=lambda r: (r.priority, -(random.random() ** (1.0 / max(r.weight, 1)))))


def require_route(model: str, *, length_ms: int = 0) -> None:
    """NoRoute unless some route could take an order of this length."""
    candidates(model, length_ms=length_ms, running={})
