"""Console pages of jobs, attempts, files and deliveries: to look at; what may be done to a job has a verb."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts import audit
from accounts.models import User
from accounts.tenancy import Caller
from jobs.cancel import cancel
from jobs.errors import Conflict
from jobs.models import Asset, Attempt, Delivery, Job


def _operator(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # the console lets in nobody else
    return request.user


class ReadOnly:
    """Nothing is added, changed or deleted by hand."""

    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class AttemptInline(ReadOnly, admin.TabularInline[Attempt, Job]):
    model = Attempt
    readonly_fields = [
        "number",
        "provider",
        "external_id",
        "status",
        "error_code",
        "cost_micros",
        "submitted_at",
    ]
    fields = [*readonly_fields]
    extra = 0


@admin.register(Job)
class JobAdmin(ReadOnly, admin.ModelAdmin[Job]):
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
    list_filter = ["status", "model", "dialect"]
    list_select_related = ["organization"]
    search_fields = ["=id", "=organization__slug"]
    ordering = ["-id"]
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
                    by=_operator(request),
                    target=job,
                    organization=job.organization,
                    request=request,
                )


@admin.register(Attempt)
class AttemptAdmin(ReadOnly, admin.ModelAdmin[Attempt]):
    list_display = ["id", "job_id", "number", "provider", "status", "error_code", "due_at"]
    list_filter = ["status", "provider"]
    ordering = ["-id"]


@admin.register(Asset)
class AssetAdmin(ReadOnly, admin.ModelAdmin[Asset]):
    list_display = ["id", "organization", "kind", "role", "status", "bytes", "created_at", "deleted_at"]
    list_filter = ["kind", "status", "origin"]
    list_select_related = ["organization"]
    ordering = ["-id"]


@admin.register(Delivery)
class DeliveryAdmin(ReadOnly, admin.ModelAdmin[Delivery]):
    list_display = ["id", "job_id", "url", "status", "tries", "last_status", "due_at"]
    list_filter = ["status", "dialect"]
    ordering = ["-id"]
