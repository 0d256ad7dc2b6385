"""The price book in the operator's console: prices, what a change would have made of last month, what was changed.

The bare booleans (FBT) are Django's.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path
from django.views.decorators.http import require_POST

from accounts.console import Moment, Page, operator
from accounts.console.lists import BIGINT_DIGITS
from billing import price_preview, prices
from billing.models import Price
from billing.money import format_usd


class PriceForm(forms.ModelForm[Price]):
    valid_from = forms.SplitDateTimeField(widget=Moment, required=False, help_text="Blank: now. In UTC.")

    class Meta:
        model = Price
        fields = [
            "model",
            "resolution",
            "unit",
            "micros_per_unit",
            "step_ms",
            "min_units",
            "max_units",
            "organization",
            "valid_from",
            "valid_to",
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        alone = "No price needs a second operator, not even one organization's own; each is on record."
        self.fields["organization"].help_text = f"Blank: everybody. {alone}"


@admin.register(Price)
class PriceAdmin(Page[Price]):
    """A price is ended, never deleted: the history of the book stays readable."""

    form = PriceForm
    change_form_template = "console/price_form.html"
    list_before_template = "console/price_tools.html"
    list_display = [
        "model",
        "resolution",
        "unit",
        "usd",
        "min_units",
        "max_units",
        "organization",
        "valid_from",
        "valid_to",
    ]
    list_filter = ["model", "resolution", "unit"]
    list_select_related = ["organization"]
    raw_id_fields = ["organization"]
    ordering = ["model", "resolution", "unit", "-valid_from"]

    @admin.display(description="USD per unit", ordering="micros_per_unit")
    def usd(self, price: Price) -> str:
        return format_usd(price.micros_per_unit)

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Price, form: Any, change: bool) -> None:  # noqa: FBT001  Django's signature
        before = prices.facts(Price.objects.get(pk=obj.pk)) if change else None
        prices.save(obj, by=operator(request), before=before, request=request)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """An overlap is found under the lock, that is while saving: too late for the form to show it."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except prices.PriceOverlap as overlap:
            messages.error(request, overlap.message)
            return HttpResponseRedirect(request.get_full_path())

    # --- what a change would have made of last month, and what was changed --------------------------------------

    def get_urls(self) -> list[URLPattern]:
        preview = self.admin_site.admin_view(require_POST(self.preview_view))
        history = self.admin_site.admin_view(self.changes_view)
        return [
            path("preview/", preview, name="price_preview"),
            path("history/", history, name="price_history"),
            *super().get_urls(),
        ]

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """Takes the form as it would be saved, and saves nothing."""
        number = _number(request.GET.get("price"))
        changed = get_object_or_404(Price, pk=number) if number is not None else None
        if not (self.has_change_permission(request) if changed else self.has_add_permission(request)):
            raise PermissionDenied
        form = PriceForm(request.POST, instance=changed)
        shown = None
        if form.is_valid():
            shown = price_preview.preview(form.save(commit=False))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Preview of a price",
            "form": form,
            "preview": shown,
        }
        return render(request, "console/price_preview.html", context, status=200 if shown else 422)

    def changes_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        one, after = (_number(request.GET.get(name)) for name in ("price", "after"))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Changes of the price book",
            "price": one,
            **price_preview.history(price_id=one, after=after),
        }
        return render(request, "console/price_history.html", context)


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) < BIGINT_DIGITS else None
