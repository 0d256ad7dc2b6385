"""How an organization wants its jobs routed: the verb that says so, and what it allows."""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from django.http import HttpRequest

from accounts import audit
from accounts.models import Organization
from providers.models import Route, RoutingPolicy
from providers.registry import adapter_class

MOST_WAIT_SECONDS = 3600
MOST_NAMES = 20
MOST_LETTERS = 40


class PolicyRefused(ValueError):
    """`field`, and a sentence that says what would be accepted."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


def set_policy(
    organization: Organization,
    *,
    by: audit.Actor,
    order: str = RoutingPolicy.Order.USUAL,
    own_wait_seconds: int = 0,
    providers: Sequence[str] = (),
    regions: Sequence[str] = (),
    request: HttpRequest | None = None,
) -> RoutingPolicy:
    """From the next dispatch on. Jobs that wait obey it too; what runs is finished. Raises PolicyRefused."""
    policy = RoutingPolicy(
        organization=organization,
        order=order,
        own_wait_seconds=own_wait_seconds,
        providers=[name.strip() for name in providers],
        regions=[name.strip().lower() for name in regions],
    )
    check(policy)
    stored = RoutingPolicy.objects.filter(pk=organization.pk).first()
    policy.save(force_insert=stored is None)
    audit.record(
        "routing_policy.set",
        by=by,
        target=policy,
        organization=organization,
        before=facts(stored) if stored else None,
        after=facts(policy),
        request=request,
    )
    return policy


def check(policy: RoutingPolicy) -> None:
    """Raises PolicyRefused."""
    if policy.order not in RoutingPolicy.Order.values:
        raise PolicyRefused("order", f"Choose one of {', '.join(RoutingPolicy.Order.values)}.")
    if not 0 <= policy.own_wait_seconds <= MOST_WAIT_SECONDS:
        raise PolicyRefused("own_wait_seconds", f"Wait from 0 to {MOST_WAIT_SECONDS} seconds.")
    for name in policy.providers:
        if name not in settings.PROVIDERS:
            known = ", ".join(settings.PROVIDERS)
            raise PolicyRefused("providers", f"There is no provider {name!r}; known are {known}.")
    if len(policy.regions) > MOST_NAMES or not all(0 < len(name) <= MOST_LETTERS for name in policy.regions):
        raise PolicyRefused("regions", f"Name at most {MOST_NAMES} regions, such as eu or cn-beijing.")


def facts(policy: RoutingPolicy) -> dict[str, object]:
    """What the audit record keeps."""
    names = ("order", "own_wait_seconds", "providers", "regions")
    return {name: getattr(policy, name) for name in names}


def allows(policy: RoutingPolicy, route: Route) -> bool:
    """The hard part: nothing outside it is ever asked, whatever else fails."""
    if policy.providers and route.provider not in policy.providers:
        return False
    place = region_of(route)
    inside = (place == name or place.startswith(f"{name}-") for name in policy.regions)
    return not policy.regions or (bool(place) and any(inside))


def region_of(route: Route) -> str:
    """Where it renders; "" where nobody said. A provider that makes the model in one region names it itself."""
    if route.region:
        return route.region.lower()
    if route.account is None:
        return ""
    if named := route.account.settings.get("region"):
        return str(named).lower()
    bounds = (adapter_class(route.provider).bounds or {}).get(route.model)
    return bounds.regions[0] if bounds and bounds.regions else ""
