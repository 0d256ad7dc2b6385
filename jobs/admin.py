"""Console pages of jobs, attempts, files and deliveries: to look at; what may be done to a job has a verb."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from unfold.widgets import UnfoldAdminRadioSelectWidget, UnfoldAdminTextInputWidget

from accounts import audit
from accounts.console import LongList, Page, ReadOnly, Table, one_of, operator
from jobs import own_keys, switches, tenant_admin, unknown
from jobs.cancel import cancel_by_operator
from jobs.errors import Conflict, Invalid
from jobs.models import Asset, Attempt, Delivery, DeliveryTry, Job, WebhookEndpoint
from jobs.providers_admin import providers_view, switch_view
from jobs.states import AttemptStatus
from jobs.webhooks import replay
from providers import catalogue
from providers.admin import ProviderAccountAdmin, RouteAdmin
from providers.models import ProviderAccount, Route

__all__ = ["tenant_admin"]  # Django looks for registrations here

DIALECTS = ("rest", "wavespeed", "dashscope", "inferencesh")
KINDS = ("image", "audio", "video")


class AttemptInline(ReadOnly, Table[Attempt, Job]):
    model = Attempt
    readonly_fields = [
        "number",
        "provider",
        "external_id",
        "status",
        "error_code",
        "note",
        "cost_micros",
        "submitted_at",
    ]
    fields = [*readonly_fields]


@admin.register(Job)
class JobAdmin(LongList, ReadOnly, Page[Job]):
    list_display = [
        "id",
        "organization",
        "model",
        "dialect",
        "status",
        "error_code",
        "charged_micros",
        "created_at",
    ]
    list_filter = ["status", one_of("model", catalogue.models), one_of("dialect", lambda: DIALECTS)]
    list_select_related = ["organization"]
    inlines = [AttemptInline]
    actions = ["cancel_jobs"]

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.change_job")

    @admin.action(description="Cancel the selected jobs (free)", permissions=["cancel"])
    def cancel_jobs(self, request: HttpRequest, chosen: QuerySet[Job]) -> None:
        for job in chosen.select_related("organization"):
            try:
                cancel_by_operator(job, by=operator(request), request=request)
            except Conflict as refusal:
                self.message_user(request, f"{job.pk}: {refusal.message}", messages.WARNING)


class ResolveForm(forms.Form):
    """What an operator found out about an order whose answer was lost."""

    PLACED, NEVER = "placed", "never"

    outcome = forms.ChoiceField(
        label="What became of it?",
        choices=[
            (PLACED, "It was placed: ask the provider about it from now on"),
            (NEVER, "It was never placed: another route may take the job"),
        ],
        widget=UnfoldAdminRadioSelectWidget,
    )
    external_id = forms.CharField(
        label="The provider's id of it",
        required=False,
        max_length=255,
        widget=UnfoldAdminTextInputWidget,
        help_text="Only where it was placed; the provider is asked whether it knows it.",
    )
    reason = forms.CharField(
        label="How you know", max_length=300, widget=UnfoldAdminTextInputWidget, help_text="Kept on record."
    )


@admin.register(Attempt)
class AttemptAdmin(LongList, ReadOnly, Page[Attempt]):
    """What became of an unknown one an operator may say, on a page of its own."""

    list_display = ["id", "job_id", "number", "provider", "status", "error_code", "due_at", "resolve"]
    found_by = ("pk", "job_id")
    named_by = ("tag", "external_id")
    organization_path = "job__organization"
    list_filter = ["status", one_of("provider", lambda: settings.PROVIDERS)]

    @admin.display(description="what to do")
    def resolve(self, attempt: Attempt) -> str:
        if attempt.status != AttemptStatus.UNKNOWN:
            return ""
        address = reverse("admin:jobs_attempt_resolve", args=[attempt.pk])
        return format_html('<a class="font-medium text-primary-600" href="{}">Resolve</a>', address)

    def get_urls(self) -> list[URLPattern]:
        resolve = self.admin_site.admin_view(self.resolve_view)
        health, switch = map(self.admin_site.admin_view, (providers_view, switch_view))
        return [
            path("<uuid:pk>/resolve/", resolve, name="jobs_attempt_resolve"),
            path("routes/", health, name="jobs_route_health"),
            path("routes/switch/", switch, name="jobs_switch"),
            *super().get_urls(),
        ]

    def resolve_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        if not request.user.has_perm("jobs.change_attempt"):
            raise PermissionDenied
        attempt = get_object_or_404(Attempt.objects.select_related("job"), pk=pk)
        form = ResolveForm(request.POST or None)
        if request.method == "POST" and form.is_valid() and self._resolved(request, attempt, form):
            return HttpResponseRedirect(reverse("admin:jobs_attempt_change", args=[pk]))
        context: dict[str, Any] = {**self.admin_site.each_context(request), "opts": self.opts}
        return render(
            request,
            "console/resolve_attempt.html",
            {**context, "title": "Outcome unknown", "attempt": attempt, "form": form},
        )

    def _resolved(self, request: HttpRequest, attempt: Attempt, form: ResolveForm) -> bool:
        given, by = form.cleaned_data, operator(request)
        try:
            if given["outcome"] == ResolveForm.PLACED:
                unknown.placed(attempt, given["external_id"], reason=given["reason"], by=by, request=request)
            else:
                unknown.never_placed(attempt, reason=given["reason"], by=by, request=request)
        except (Conflict, Invalid) as refusal:
            form.add_error(refusal.field or None, refusal.message)
            return False
        self.message_user(request, "Your word is on record, and the job goes on by it.")
        return True


@admin.register(Asset)
class AssetAdmin(LongList, ReadOnly, Page[Asset]):
    found_by = ("pk", "job_id")
    list_display = ["id", "organization", "kind", "role", "status", "bytes", "created_at", "deleted_at"]
    list_filter = [one_of("kind", lambda: KINDS), "status", "origin"]
    list_select_related = ["organization"]


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(LongList, ReadOnly, Page[WebhookEndpoint]):
    list_display = ["id", "organization", "url", "enabled", "disabled_reason", "failing_since", "deleted_at"]
    list_filter = ["enabled", "disabled_reason"]
    list_select_related = ["organization"]
    exclude = ["sealed", "previous_sealed"]


class TryInline(ReadOnly, Table[DeliveryTry, Delivery]):
    model = DeliveryTry
    readonly_fields = ["at", "status", "answer", "duration_ms"]
    fields = [*readonly_fields]


@admin.register(Delivery)
class DeliveryAdmin(LongList, ReadOnly, Page[Delivery]):
    found_by = ("pk", "job_id")
    inlines = [TryInline]
    actions = ["replay_deliveries"]
    list_display = ["id", "job_id", "type", "url", "status", "reason", "tries", "last_status", "due_at"]
    list_filter = ["status", one_of("dialect", lambda: DIALECTS)]

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.change_delivery")

    @admin.action(description="Send the selected deliveries again", permissions=["replay"])
    def replay_deliveries(self, request: HttpRequest, chosen: QuerySet[Delivery]) -> None:
        for delivery in chosen.select_related("organization"):
            try:
                replay(operator(request), delivery, request=request)
            except Conflict as refusal:
                self.message_user(request, f"{delivery.pk}: {refusal.message}", messages.WARNING)


class Switches:
    """For all that is chosen: each takes hold at the next dispatch."""

    @admin.action(description="Drain: nothing new, what runs is finished", permissions=["change"])
    def drain(self, request: HttpRequest, chosen: QuerySet[Any]) -> None:
        for target in chosen:
            switches.drain(target, by=operator(request), request=request)

    @admin.action(
        description="Kill: nothing new, what runs is stopped and goes elsewhere", permissions=["change"]
    )
    def kill(self, request: HttpRequest, chosen: QuerySet[Any]) -> None:
        for target in chosen:
            switches.kill(target, by=operator(request), request=request)

    @admin.action(description="Reopen", permissions=["change"])
    def reopen(self, request: HttpRequest, chosen: QuerySet[Any]) -> None:
        for target in chosen:
            switches.reopen(target, by=operator(request), request=request)


# Their pages are the providers' room's; what the switches stop are jobs.
admin.site.unregister([Route, ProviderAccount])


@admin.register(Route)
class SwitchedRouteAdmin(Switches, RouteAdmin):
    actions = ["drain", "kill", "reopen"]


@admin.register(ProviderAccount)
class SwitchedAccountAdmin(Switches, ProviderAccountAdmin):
    actions = ["drain", "kill", "reopen", "test"]

    @admin.action(description="Test: does the provider take the key?", permissions=["change"])
    def test(self, request: HttpRequest, chosen: QuerySet[ProviderAccount]) -> None:
        for account in chosen:
            trouble = own_keys.test(account)
            audit.record(
                "provider_account.test",
                by=operator(request),
                target=account,
                organization=account.organization,
                after={"name": str(account), "trouble": trouble},
                request=request,
            )
            level = messages.WARNING if trouble else messages.SUCCESS
            self.message_user(request, f"{account}: {trouble or 'the provider takes the key.'}", level)
