"""Which routes may serve an order, best first."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection, Mapping
from uuid import UUID

from django.conf import settings
from django.db.models import Q

from providers.errors import NoRoute
from providers.models import Route


def open_routes(model: str, organization_id: UUID) -> list[Route]:
    """The enabled routes of a model whose provider is configured here: the organization's own, else the common ones."""
    rows = Route.objects.filter(
        Q(organization=None) | Q(organization=organization_id), model=model, enabled=True
    )
    routes = [route for route in rows.order_by("priority", "id") if _configured(route.provider)]
    own = [route for route in routes if route.organization_id is not None]
    return own or routes


def _configured(provider: str) -> bool:
    return provider in settings.PROVIDERS and (provider != "fake" or settings.FAKE_PROVIDER)


def candidates(
    model: str,
    organization_id: UUID,
    *,
    length_ms: int,
    running: Mapping[int, int],
    tried: Collection[int] = (),
) -> list[Route]:
    """Routes for one order now: long enough, with a free place, not tried before; by priority, then by weight.

    `running` counts the attempts in flight by route id. Raises NoRoute when no route could ever take it;
    an empty list means: wait.
    """
    fitting = [
        route
        for route in open_routes(model, organization_id)
        if route.id not in tried and (route.max_length_ms is None or length_ms <= route.max_length_ms)
    ]
    if not fitting:
        raise NoRoute(f"No provider can render {model} at the moment.")
    free = [r for r in fitting if r.max_running is None or running.get(r.id, 0) < r.max_running]
    # A weighted shuffle inside each priority: the larger the weight, the likelier the earlier place.
    return sorted(free, key=lambda r: (r.priority, -(random.random() ** (1.0 / max(r.weight, 1)))))


def only_previews(organization_id: UUID) -> frozenset[str]:
    """The models that nothing but preview engines serve for this organization now; one statement."""
    rows = Route.objects.filter(Q(organization=None) | Q(organization=organization_id), enabled=True)
    by_model: dict[str, list[Route]] = defaultdict(list)
    for route in rows:
        if _configured(route.provider):
            by_model[route.model].append(route)
    chosen = {model: [r for r in routes if r.organization_id] or routes for model, routes in by_model.items()}
    return frozenset(model for model, routes in chosen.items() if all(route.preview for route in routes))


def require_route(model: str, organization_id: UUID, *, length_ms: int = 0) -> None:
    """NoRoute unless some route could take an order of this length."""
    candidates(model, organization_id, length_ms=length_ms, running={})
