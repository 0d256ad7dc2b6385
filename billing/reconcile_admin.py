"""The page of the reconciliation: what differs, each difference with its job."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html

from accounts import audit
from accounts.console import LongList, Page, ReadOnly, one_of, operator
from billing import gateway, reconcile
from billing.control_models import Difference, Reconciliation

# Of these the books' own side needs no Stripe.
HALF = {"R4"}


class StillThere(admin.SimpleListFilter):
    """What is open, unless asked otherwise."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("resolved", "Resolved"), ("all", "All")]

    def choices(self, changelist: Any) -> Iterator[Any]:
        first, *others = super().choices(changelist)
        yield {**first, "display": "Open"}
        yield from others

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset if self.value() == "all" else queryset.filter(resolved_at__isnull=not self.value())


@admin.register(Difference)
class DifferenceAdmin(LongList, ReadOnly, Page[Difference]):
    list_display = [
        "rule",
        "what",
        "subject",
        "expected",
        "found",
        "job",
        "first_seen_at",
        "last_seen_at",
        "resolved_at",
    ]
    list_filter = [StillThere, one_of("rule", lambda: reconcile.RULES)]
    found_by = ("pk", "job_id")
    named_by = ("subject",)
    organization_path = ""
    list_before_template = "console/rules.html"
    actions = ["resolve"]

    @admin.display(description="job")
    def job(self, difference: Difference) -> str:
        if difference.job_id is None:
            return ""
        page = reverse("admin:jobs_job_change", args=[difference.job_id])
        return format_html('<a href="{}">{}</a>', page, difference.job_id)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        shown = dict(extra_context or {})
        if request.method == "GET":
            _tell_of_last_run(request)
            shown["rules"] = _rules()
        return super().changelist_view(request, shown)

    def has_resolve_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("billing.change_difference")

    @admin.action(description="Mark as resolved", permissions=["resolve"])
    def resolve(self, request: HttpRequest, queryset: Any) -> None:
        for row in queryset.filter(resolved_at=None):
            with transaction.atomic():
                reconcile.settle(row)
                audit.record(
                    "difference.resolve",
                    by=operator(request),
                    target=row,
                    before={"difference": str(row), "resolved": False},
                    after={"resolved": True},
                    request=request,
                )


def _tell_of_last_run(request: HttpRequest) -> None:
    if not gateway.configured():
        messages.info(
            request, "There are no keys for Stripe: only the rules that need none are gone through."
        )
    last = Reconciliation.objects.order_by("-pk").first()
    if last is None:
        messages.info(
            request, "Nothing has been compared yet: it is done each night, or by manage.py reconcile."
        )
        return
    if last.ended_at is None:
        messages.warning(request, f"The run of {last} has not ended: it is under way, or broke off.")


def _rules() -> dict[str, Any]:
    """For the theme's table."""
    return {
        "headers": ["Rule", "What it compares", "Last gone through", "State", "Open differences"],
        "rows": [
            [
                state.rule,
                state.compares,
                f"{state.gone_through:%Y-%m-%d %H:%M} UTC" if state.gone_through else "not lately",
                _word(state),
                f"{state.differences:,}",
            ]
            for state in reconcile.states()
        ],
    }


def _word(state: reconcile.State) -> str:
    if state.left_out:
        part = "only the books' own side" if state.rule in HALF else "left out"
        return f"{part}: {state.left_out}"
    if state.gone_through is None:
        return "not yet"
    return "differs" if state.differences else "agrees"
