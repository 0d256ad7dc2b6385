"""The console's page of providers: their accounts and routes, how those do, and the switches that stop them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.template.loader import render_to_string
from django.urls import reverse

from accounts.console import link, operator
from jobs import route_health, switches
from jobs.models import Attempt
from jobs.route_health import Health
from providers.admin import switch_of
from providers.models import ProviderAccount, Route

SWITCHED: dict[str, type[Route | ProviderAccount]] = {"route": Route, "account": ProviderAccount}
VERBS = {"drain": switches.drain, "kill": switches.kill, "reopen": switches.reopen}
# What may be asked of one that stands so.
MAY = {"open": ("drain", "kill"), "drained": ("reopen", "kill"), "killed": ("reopen",)}
MOST_ACCOUNTS = 200
MOST_DIGITS = 18


def providers_view(request: HttpRequest) -> HttpResponse:
    if not request.user.has_perm("providers.view_route"):
        raise PermissionDenied
    lost = route_health.unknown()
    cards = _cards(request)
    context = {
        **admin.site.each_context(request),
        "title": "Providers",
        "cards": cards,
        "idle": [slug for slug in settings.PROVIDERS if slug not in {card["provider"] for card in cards}],
        "unknown": _unknown(lost[: route_health.MOST_UNKNOWN]) if lost else None,
        "more_unknown": len(lost) > route_health.MOST_UNKNOWN,
        "days": route_health.MARGIN_DAYS,
    }
    return render(request, "console/providers.html", context)


def _cards(request: HttpRequest) -> list[dict[str, Any]]:
    """A card for each provider that has an account or a route."""
    routes, uses = route_health.health(), route_health.margins()
    accounts = ProviderAccount.objects.filter(organization=None).order_by("provider", "name")[:MOST_ACCOUNTS]
    flying: Counter[int | None] = Counter()
    for route in routes:
        flying[route.account_id] += route.in_flight
    used = {route.provider for route in routes} | {account.provider for account in accounts}
    cards = []
    for slug in [*settings.PROVIDERS, *sorted(used - set(settings.PROVIDERS))]:
        own = [route for route in routes if route.provider == slug]
        mine = [account for account in accounts if account.provider == slug]
        if not own and not mine:
            continue
        rows = [
            [
                *route_health.cells(route, uses.get(route.route_id)),
                _switches(request, "route", route.route_id, route.switch, f"{route.model} by {slug}"),
            ]
            for route in own
        ]
        cards.append(
            {
                "provider": slug,
                "told": _told(own),
                "routes": {"headers": [*route_health.HEADERS, "Switch"], "rows": rows},
                "accounts": _accounts(request, mine, flying) if mine else None,
            }
        )
    return cards


def _told(routes: list[Health]) -> str:
    ended, errors = sum(route.ended for route in routes), sum(route.errors for route in routes)
    flying = sum(route.in_flight for route in routes)
    share = f", {100 * errors / ended:.0f} % of them errors" if ended else ""
    return f"{ended:,} attempts ended within the last hour{share}; {flying:,} in flight."


def _accounts(
    request: HttpRequest, accounts: list[ProviderAccount], flying: Counter[int | None]
) -> dict[str, Any]:
    rows = [
        [
            link("providers_provideraccount_change", account.pk, account.name),
            account.base_url or "the provider's own address",
            f"{flying[account.pk]:,}",
            "" if account.max_running is None else f"{account.max_running:,}",
            _pace(account),
            _switches(request, "account", account.pk, switch_of(account), str(account)),
        ]
        for account in accounts
    ]
    headers = ["Account", "Address", "In flight", "Most of one model", "Submits", "Switch"]
    return {"headers": headers, "rows": rows}


def _pace(account: ProviderAccount) -> str:
    limits = ((account.submits_per_second, "second"), (account.submits_per_minute, "minute"))
    return ", ".join(f"{most:,} a {unit}" for most, unit in limits if most is not None)


def _switches(request: HttpRequest, kind: str, pk: int, state: str, name: str) -> str:
    """Its state, and buttons for who may press them."""
    may = MAY[state] if request.user.has_perm(_right(kind)) else ()
    context = {"kind": kind, "pk": pk, "state": state, "may": may, "name": name}
    return render_to_string("console/_switches.html", context, request=request)


def _unknown(attempts: list[Attempt]) -> dict[str, Any]:
    rows = [
        [
            link("jobs_job_change", attempt.job_id, str(attempt.job_id)),
            str(attempt.number),
            attempt.provider,
            attempt.tag,
            f"{attempt.created_at:%Y-%m-%d %H:%M}",
            link("jobs_attempt_resolve", attempt.pk, "Resolve"),
        ]
        for attempt in attempts
    ]
    return {"headers": ["Job", "Attempt", "Provider", "Tag", "Sent", ""], "rows": rows}


def switch_view(request: HttpRequest) -> HttpResponse:
    """What stops what runs is asked for once more; the others act at once."""
    given = request.POST if request.method == "POST" else request.GET
    kind, what, pk = given.get("kind", ""), given.get("what", ""), given.get("pk", "")
    if kind not in SWITCHED or what not in VERBS or not pk.isdecimal() or len(pk) > MOST_DIGITS:
        raise Http404
    if not request.user.has_perm(_right(kind)):
        raise PermissionDenied
    target = _target(kind, int(pk))
    if request.method == "POST":
        VERBS[what](target, by=operator(request), request=request)
        messages.success(request, f"{target}: {switch_of(target)}. The next dispatch obeys.")
        return HttpResponseRedirect(reverse("admin:jobs_route_health"))
    context = {
        **admin.site.each_context(request),
        "title": f"{what.capitalize()} {target}?",
        "kind": kind,
        "pk": pk,
        "what": what,
        "target": target,
    }
    return render(request, "console/switch.html", context)


def _target(kind: str, pk: int) -> Route | ProviderAccount:
    return get_object_or_404(Route, pk=pk) if kind == "route" else get_object_or_404(ProviderAccount, pk=pk)


def _right(kind: str) -> str:
    return f"providers.change_{SWITCHED[kind]._meta.model_name}"  # noqa: SLF001  Django's documented name
