"""Which routes may serve an order, best first."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Q, QuerySet, Subquery
from django.db.models.functions import JSONObject

from providers import circuit
from providers.bounds import ANYTHING, Asked, bounds_of, complaint
from providers.errors import NoRoute, Resting
from providers.models import Route, RoutingPolicy
from providers.policy import allows
from providers.registry import adapter_class

Order = RoutingPolicy.Order


@dataclass(frozen=True)
class Load:
    """What is in flight now, as the dispatcher counts it under its lock."""

    by_route: Mapping[int, int] = field(default_factory=dict)
    # by account and model: that is how providers count what runs
    by_account: Mapping[tuple[int, str], int] = field(default_factory=dict)
    # by account: attempts begun within the last second; and within the last minute, which few accounts limit
    recent: Mapping[int, int] = field(default_factory=dict)
    in_minute: Callable[[int], int] = lambda _: 0
    # routes whose circuit is open: those that wait, and those that may be tried by one attempt now
    shut: Collection[int] = ()
    probed: Collection[int] = ()
    # routes at which as many orders as may are being placed at this moment
    full: Collection[int] = ()


def open_routes(model: str, organization_id: UUID) -> list[Route]:
    """The enabled routes of a model whose provider is configured here and whose account is in use, as far as the
    organization's policy allows them: its own, else the common ones.
    """
    return _serving(model, organization_id)[0]


def _serving(model: str, organization_id: UUID) -> tuple[list[Route], RoutingPolicy]:
    """The open routes and the policy; one statement, and always what the rows say now."""
    rows = _all(organization_id).filter(model=model).annotate(policy=_policy_of(organization_id))
    routes = list(rows.select_related("account").order_by("priority", "id"))
    policy = _policy(organization_id, routes[0].policy if routes else None)
    return _chosen(routes, policy), policy


def _all(organization_id: UUID) -> QuerySet[Route]:
    rows = Route.objects.filter(Q(organization=None) | Q(organization=organization_id), enabled=True)
    return rows.exclude(account__enabled=False)


def _policy_of(organization_id: UUID) -> Subquery:
    names = ("order", "own_wait_seconds", "providers", "regions")
    fields = JSONObject(**{name: name for name in names})
    return Subquery(RoutingPolicy.objects.filter(pk=organization_id).values(json=fields))


def _policy(organization_id: UUID, fields: Mapping[str, Any] | None) -> RoutingPolicy:
    return RoutingPolicy(organization_id=organization_id, **(fields or {}))


def _chosen(routes: Sequence[Route], policy: RoutingPolicy) -> list[Route]:
    found = [route for route in routes if _configured(route.provider) and allows(policy, route)]
    own = [route for route in found if route.organization_id is not None]
    return own or found


def _configured(provider: str) -> bool:
    return provider in settings.PROVIDERS and (provider != "fake" or settings.FAKE_PROVIDER)


def candidates(
    asked: Asked,
    organization_id: UUID,
    *,
    load: Load,
    tried: Collection[int] = (),
    resting: Collection[int] = (),
) -> list[Route]:
    """Routes for one order now: that take it, with a free place, neither tried before nor resting; the best first.

    Raises NoRoute when no route could ever take it, Resting when one must be waited for; an empty list means: wait for a
    place.
    """
    routes, policy = _serving(asked.model, organization_id)
    fitting = [route for route in _taking(asked, routes) if route.id not in tried]
    if not fitting:
        raise _none(asked, routes)
    # Where every circuit is open none counts: there is nothing better to wait for.
    sound = [route for route in fitting if route.id not in load.shut] or fitting
    sound = [route for route in sound if route.id not in resting]
    if not sound:
        raise Resting
    if policy.order == Order.OWN_FIRST and asked.waited_seconds < policy.own_wait_seconds:
        sound = [route for route in sound if own_machines(route)] or sound
    return sorted((route for route in sound if _free(route, load)), key=_rank(policy, asked, sound))


def staying(route_id: int, organization_id: UUID, *, load: Load) -> list[Route] | None:
    """The route, for the next part of what it has begun: drained it still finishes that. None where it may not; an empty
    list means: wait.
    """
    rows = Route.objects.filter(pk=route_id).annotate(policy=_policy_of(organization_id))
    route = rows.select_related("account").first()
    if route is None or not _configured(route.provider):
        return None
    switched = (route, route.account) if route.account else (route,)
    killed = any(not target.enabled and target.killed_at for target in switched)
    if killed or not allows(_policy(organization_id, route.policy), route):
        return None
    return [route] if _free(route, load) else []


def _taking(asked: Asked, routes: list[Route]) -> list[Route]:
    """A price that was agreed holds for the accounts it was agreed for, and for no others."""
    paid = [route for route in routes if asked.own_key in {None, route.own_key}]
    return [route for route in paid if complaint(route, asked) is None]


def _none(asked: Asked, routes: list[Route]) -> NoRoute:
    """Why there is none, in the words of the route that takes the longest."""
    why = [found for route in _by_length(routes) if (found := complaint(route, asked))]
    best = next((found for found in why if found.code != NoRoute.code), None)
    if best is None and asked.own_key:
        return NoRoute("Your own account at the provider takes no orders now.", code="own_account_gone")
    if best is None:
        return NoRoute(f"No provider can render {asked.model} at the moment.")
    return NoRoute(best.message, code=best.code, field=best.field)


def _by_length(routes: list[Route]) -> list[Route]:
    longest = {route.id: (bounds_of(route) or ANYTHING).longest_ms or math.inf for route in routes}
    return sorted(routes, key=lambda route: -longest[route.id])


def own_machines(route: Route) -> bool:
    """It films on the operator's machines: the model itself, no preview of it."""
    return adapter_class(route.provider).ours and not route.preview


def _rank(policy: RoutingPolicy, asked: Asked, routes: list[Route]) -> Callable[[Route], tuple[float, ...]]:
    """What the organization wants first, then by priority. A preview is never better than the model itself."""
    paces = circuit.paces([route.id for route in routes]) if policy.order == Order.FASTEST else {}

    def wanted(route: Route) -> float:
        match policy.order:
            case Order.CHEAPEST:
                cost = route.cost(asked.resolution)
                known = cost or adapter_class(route.provider).ours or route.account is None
                return cost if known else math.inf
            case Order.FASTEST:
                return paces.get(route.id, 0.0)  # what nobody has timed yet is tried
            case Order.OWN_FIRST:
                return 0.0 if own_machines(route) else 1.0
        return 0.0

    def rank(route: Route) -> tuple[float, ...]:
        # A weighted shuffle inside each priority: the larger the weight, the likelier the earlier place.
        share = -(random.random() ** (1.0 / max(route.weight, 1)))
        behind = policy.order != Order.USUAL and route.preview
        return float(behind), wanted(route), route.priority, share

    return rank


def _free(route: Route, load: Load) -> bool:
    """Room on the route and at its account: being placed, running there, and begun within the last second or minute."""
    if route.id in load.full:
        return False
    if route.max_running is not None and load.by_route.get(route.id, 0) >= route.max_running:
        return False
    account = route.account
    if account is None:
        return True
    usual = adapter_class(route.provider).limits
    running = usual.max_running if account.max_running is None else account.max_running
    if running is not None and load.by_account.get((account.id, route.model), 0) >= running:
        return False
    second = usual.submits_per_second if account.submits_per_second is None else account.submits_per_second
    if second is not None and load.recent.get(account.id, 0) >= second:
        return False
    minute = usual.submits_per_minute if account.submits_per_minute is None else account.submits_per_minute
    return minute is None or load.in_minute(account.id) < minute


def only_previews(organization_id: UUID) -> frozenset[str]:
    """The models that nothing but preview engines serve for this organization now; one statement."""
    by_model: dict[str, list[Route]] = defaultdict(list)
    rows = _all(organization_id).annotate(policy=_policy_of(organization_id)).select_related("account")
    for route in rows:
        by_model[route.model].append(route)
    chosen = {
        model: _chosen(routes, _policy(organization_id, routes[0].policy))  # type: ignore[attr-defined]  # annotated above
        for model, routes in by_model.items()
    }
    return frozenset(
        model for model, routes in chosen.items() if routes and all(route.preview for route in routes)
    )


def require_route(asked: Asked, organization_id: UUID) -> bool:
    """NoRoute unless some route could take the order. True: it goes to the customer's own account there."""
    routes, _ = _serving(asked.model, organization_id)
    fitting = _taking(asked, routes)
    if not fitting:
        raise _none(asked, routes)
    return any(route.own_key for route in fitting)
