"""Which routes may serve an order, best first."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from django.conf import settings
from django.db.models import Q

from providers.errors import NoRoute
from providers.models import Route
from providers.registry import adapter_class


@dataclass(frozen=True)
class Load:
    """What is in flight now, as the dispatcher counts it under its lock."""

    by_route: Mapping[int, int] = field(default_factory=dict)
    # by account and model: that is how providers count what runs
    by_account: Mapping[tuple[int, str], int] = field(default_factory=dict)
    # by account: attempts begun within the last second
    recent: Mapping[int, int] = field(default_factory=dict)
    # routes whose circuit is open: those that wait, and those that may be tried by one attempt now
    shut: Collection[int] = ()
    probed: Collection[int] = ()


def open_routes(model: str, organization_id: UUID) -> list[Route]:
    """The enabled routes of a model whose provider is configured here and whose account is in use: the organization's
    own, else the common ones.
    """
    rows = Route.objects.filter(
        Q(organization=None) | Q(organization=organization_id), model=model, enabled=True
    ).exclude(account__enabled=False)
    routes = [
        route
        for route in rows.select_related("account").order_by("priority", "id")
        if _configured(route.provider)
    ]
    own = [route for route in routes if route.organization_id is not None]
    return own or routes


def _configured(provider: str) -> bool:
    return provider in settings.PROVIDERS and (provider != "fake" or settings.FAKE_PROVIDER)


def candidates(
    model: str,
    organization_id: UUID,
    *,
    length_ms: int,
    load: Load,
    tried: Collection[int] = (),
) -> list[Route]:
    """Routes for one order now: long enough, with a free place, not tried before; by priority, then by weight.

    Raises NoRoute when no route could ever take it; an empty list means: wait.
    """
    fitting = [
        route
        for route in open_routes(model, organization_id)
        if route.id not in tried and (route.max_length_ms is None or length_ms <= route.max_length_ms)
    ]
    if not fitting:
        raise NoRoute(f"No provider can render {model} at the moment.")
    # Where every circuit is open none counts: there is nothing better to wait for.
    sound = [route for route in fitting if route.id not in load.shut] or fitting
    free = [route for route in sound if _free(route, load)]
    # A weighted shuffle inside each priority: the larger the weight, the likelier the earlier place.
    return sorted(free, key=lambda r: (r.priority, -(random.random() ** (1.0 / max(r.weight, 1)))))


def _free(route: Route, load: Load) -> bool:
    """Room on the route and at its account: running there, and begun within the last second."""
    if route.max_running is not None and load.by_route.get(route.id, 0) >= route.max_running:
        return False
    account = route.account
    if account is None:
        return True
    usual = adapter_class(route.provider).limits
    running = usual.max_running if account.max_running is None else account.max_running
    if running is not None and load.by_account.get((account.id, route.model), 0) >= running:
        return False
    pace = usual.submits_per_second if account.submits_per_second is None else account.submits_per_second
    return pace is None or load.recent.get(account.id, 0) < pace


def only_previews(organization_id: UUID) -> frozenset[str]:
    """The models that nothing but preview engines serve for this organization now; one statement."""
    rows = Route.objects.filter(Q(organization=None) | Q(organization=organization_id), enabled=True)
    rows = rows.exclude(account__enabled=False)
    by_model: dict[str, list[Route]] = defaultdict(list)
    for route in rows:
        if _configured(route.provider):
            by_model[route.model].append(route)
    chosen = {model: [r for r in routes if r.organization_id] or routes for model, routes in by_model.items()}
    return frozenset(model for model, routes in chosen.items() if all(route.preview for route in routes))


def require_route(model: str, organization_id: UUID, *, length_ms: int = 0) -> None:
    """NoRoute unless some route could take an order of this length."""
    candidates(model, organization_id, length_ms=length_ms, load=Load())
