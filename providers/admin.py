"""Console pages of provider accounts, routes and renders."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest

from accounts import audit
from accounts.console import Audited, LongList, Page, ReadOnly, one_of, operator
from providers import catalogue, vault
from providers.models import ProviderAccount, Render, Route

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
class ProviderAccountAdmin(Page[ProviderAccount]):
    form = AccountForm
    list_display = ["provider", "name", "enabled", "base_url", "max_running", "submits_per_second"]
    list_filter = [one_of("provider", lambda: settings.PROVIDERS), "enabled"]

    def save_model(self, request: HttpRequest, obj: ProviderAccount, form: Any, change: Any) -> None:
        """Audited: the names of what changed, never a key."""
        vault.keep(obj, key=form.cleaned_data["key"], secret=form.cleaned_data["secret"])
        super().save_model(request, obj, form, change)
        audit.record(
            "provider_account.change" if change else "provider_account.add",
            by=operator(request),
            target=obj,
            after={"name": str(obj), "changed": sorted(form.changed_data)},
            request=request,
        )


@admin.register(Route)
class RouteAdmin(Audited[Route]):
    list_display = [
        "model",
        "provider",
        "account",
        "enabled",
        "priority",
        "weight",
        "max_running",
        "cost_micros_per_second",
    ]
    list_filter = [
        "enabled",
        one_of("provider", lambda: settings.PROVIDERS),
        one_of("model", catalogue.models),
    ]
    list_select_related = ["account"]


@admin.register(Render)
class RenderAdmin(LongList, ReadOnly, Page[Render]):
    list_display = ["id", "engine", "queue", "status", "phase", "clips_done", "clips", "runs", "created_at"]
    list_filter = ["status", one_of("queue", lambda: ("cpu", "gpu"))]
    named_by = ("tag",)
    organization_path = ""
