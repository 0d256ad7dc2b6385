"""Console pages of jobs, attempts, files and deliveries: to look at; what may be done to a job has a verb."""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts import audit
from accounts.console import LongList, Page, ReadOnly, Table, one_of, operator
from accounts.tenancy import Caller
from jobs.cancel import cancel
from jobs.errors import Conflict
from jobs.models import Asset, Attempt, Delivery, DeliveryTry, Job, WebhookEndpoint
from jobs.webhooks import replay
from providers import catalogue

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

    @admin.action(description="Cancel the selected jobs (free)")
    def cancel_jobs(self, request: HttpRequest, chosen: QuerySet[Job]) -> None:
        for job in chosen.select_related("organization"):
            try:
                cancel(Caller(organization=job.organization), job)
            except Conflict as refusal:
                self.message_user(request, f"{job.pk}: {refusal.message}", messages.WARNING)
            else:
                audit.record(
                    "job.cancel",
                    by=operator(request),
                    target=job,
                    organization=job.organization,
                    request=request,
                )


@admin.register(Attempt)
class AttemptAdmin(LongList, ReadOnly, Page[Attempt]):
    list_display = ["id", "job_id", "number", "provider", "status", "error_code", "due_at"]
    found_by = ("pk", "job_id")
    named_by = ("tag",)
    organization_path = "job__organization"
    list_filter = ["status", one_of("provider", lambda: settings.PROVIDERS)]


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

    @admin.action(description="Send the selected deliveries again")
    def replay_deliveries(self, request: HttpRequest, chosen: QuerySet[Delivery]) -> None:
        for delivery in chosen.select_related("organization"):
            try:
                replay(operator(request), delivery)
            except Conflict as refusal:
                self.message_user(request, f"{delivery.pk}: {refusal.message}", messages.WARNING)
