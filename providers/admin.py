"""Console pages of provider accounts, routes and renders."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest

from accounts import audit
from accounts.console import Audited, LongList, Page, ReadOnly, facts, one_of, operator
from providers import catalogue, policy, vault
from providers.bounds import bounds_of
from providers.models import ProviderAccount, Render, Route, RoutingPolicy

KEEPS = "Kept sealed and never shown again; empty keeps what is there."


class AccountForm(forms.ModelForm[ProviderAccount]):
    provider = forms.ChoiceField(choices=lambda: [(slug, slug) for slug in settings.PROVIDERS])
    key = forms.CharField(required=False, widget=forms.PasswordInput, help_text=KEEPS)
    secret = forms.CharField(
        required=False, widget=forms.PasswordInput, help_text=f"What checks the provider's callbacks. {KEEPS}"
    )

    class Meta:
        model = ProviderAccount
        exclude: tuple[str, ...] = ()


@admin.register(ProviderAccount)
class ProviderAccountAdmin(Audited[ProviderAccount]):
    form = AccountForm
    list_display = [
        "provider",
        "name",
        "organization",
        "switch",
        "base_url",
        "max_running",
        "submits_per_second",
        "submits_per_minute",
    ]
    list_filter = [one_of("provider", lambda: settings.PROVIDERS), "enabled"]
    list_select_related = ["organization"]

    @admin.display(description="switch", ordering="enabled")
    def switch(self, account: ProviderAccount) -> str:
        return switch_of(account)

    def save_model(self, request: HttpRequest, obj: ProviderAccount, form: Any, change: Any) -> None:
        """Audited: what changed, of a key only that it did."""
        stored = ProviderAccount.objects.filter(pk=obj.pk).first()
        _unkilled(obj, form)
        vault.keep(obj, key=form.cleaned_data["key"], secret=form.cleaned_data["secret"])
        Page.save_model(self, request, obj, form, change)
        audit.record(
            "provider_account.change" if change else "provider_account.add",
            by=operator(request),
            target=obj,
            organization=obj.organization,
            before=facts(stored) if stored else None,
            after={**facts(obj), "changed": sorted(form.changed_data)},
            request=request,
        )


class PolicyForm(forms.ModelForm[RoutingPolicy]):
    class Meta:
        model = RoutingPolicy
        exclude: tuple[str, ...] = ()

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if not self.errors:
            try:
                policy.check(RoutingPolicy(**given))
            except policy.PolicyRefused as refusal:
                self.add_error(refusal.field, refusal.message)
        return given


def switch_of(target: Route | ProviderAccount) -> str:
    return "open" if target.enabled else "killed" if target.killed_at else "drained"


def _unkilled(target: Route | ProviderAccount, form: Any) -> None:
    """Who switches it by the form means no more than the form says."""
    if "enabled" in form.changed_data:
        target.killed_at = None


@admin.register(Route)
class RouteAdmin(Audited[Route]):
    list_display = [
        "model",
        "provider",
        "account",
        "organization",
        "switch",
        "priority",
        "weight",
        "region",
        "longest",
        "max_running",
        "cost_micros_per_second",
    ]
    fieldsets = [
        (None, {"fields": ["model", "provider", "account", "organization", "enabled", "settings"]}),
        ("Choice", {"fields": ["priority", "weight", "region"]}),
        ("Price", {"fields": ["cost_micros_per_second", "cost_by_resolution"]}),
        (
            "Limits",
            {
                "fields": [
                    *("max_running", "min_length_ms", "max_length_ms", "cut_longer", "resolutions"),
                    *("formats", "min_side", "max_side", "max_bytes"),
                ]
            },
        ),
    ]
    list_filter = [
        "enabled",
        one_of("provider", lambda: settings.PROVIDERS),
        one_of("model", catalogue.models),
    ]
    list_select_related = ["account", "organization"]

    @admin.display(description="switch", ordering="enabled")
    def switch(self, route: Route) -> str:
        return switch_of(route)

    def save_model(self, request: HttpRequest, obj: Route, form: Any, change: bool) -> None:  # noqa: FBT001  Django's
        _unkilled(obj, form)
        super().save_model(request, obj, form, change)

    @admin.display(description="longest")
    def longest(self, route: Route) -> str:
        """As the provider has it, or narrower; a star where longer ones are cut."""
        bounds = bounds_of(route) if route.provider in settings.PROVIDERS else None
        if bounds is None:
            return "not made there"
        return (
            f"{bounds.longest_ms / 1000:g} s{' *' if route.cut_longer else ''}" if bounds.longest_ms else ""
        )


@admin.register(RoutingPolicy)
class RoutingPolicyAdmin(Audited[RoutingPolicy]):
    list_display = ["organization", "order", "own_wait_seconds", "providers", "regions", "changed_at"]
    list_select_related = ["organization"]
    form = PolicyForm


@admin.register(Render)
class RenderAdmin(LongList, ReadOnly, Page[Render]):
    list_display = ["id", "engine", "queue", "status", "phase", "clips_done", "clips", "runs", "created_at"]
    list_filter = ["status", one_of("queue", lambda: ("cpu", "gpu"))]
    named_by = ("tag",)
    organization_path = ""
