"""The operator's view of the dealings with Stripe: read, and look again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.db import models, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html

from accounts import audit
from accounts.console import LongList, Page, ReadOnly, one_of, operator, values_of
from billing import gateway, inbox, outbox
from billing.gateway_models import (
    AutoTopUp,
    Customer,
    Invoice,
    RateClass,
    Reversal,
    StripeEvent,
    TopUp,
    TopUpStatus,
    UsageLine,
    UsageReport,
)

NO_KEYS = "There are no keys for Stripe (STRIPE_SECRET_KEY): nothing is sold, and what waits here goes on once there are."


class RecordAdmin(ReadOnly, Page[Any]):
    """Rows that only the verbs write."""

    show_full_result_count = False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method == "GET" and not gateway.configured():
            messages.info(request, NO_KEYS)
        return super().changelist_view(request, extra_context)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(f"billing.change_{self.opts.model_name}")

    def retry_each(
        self, request: HttpRequest, rows: models.QuerySet[Any], verb: Callable[[Any], None]
    ) -> None:
        """Those that there is nothing to try again of stay as they are, and leave no record."""
        tried = 0
        for row in rows:
            with transaction.atomic():
                before = progress(row)
                verb(row)
                row.refresh_from_db()
                if progress(row) == before:
                    continue
                tried += 1
                audit.record(
                    f"{self.opts.model_name}.retry",
                    by=operator(request),
                    target=row,
                    organization=getattr(row, "organization", None),
                    before=before,
                    after=progress(row),
                    request=request,
                )
        self.message_user(request, f"{tried} will be tried again.")

    def look_again(self, request: HttpRequest, rows: models.QuerySet[Any]) -> None:
        """Of those that wait; what has come to its end is looked at when Stripe says that it changed."""
        self.retry_each(request, rows.filter(waiting=True), lambda row: type(row).objects.hint(row.pk))


def progress(row: Any) -> dict[str, Any]:
    """How far a row that waits for Stripe has come, for the audit record."""
    state = getattr(row, "state", "") or getattr(row, "status", "")
    due = {"waiting": row.waiting, "due_at": row.due_at.isoformat()}
    return {"state": state, **due, "tries": row.tries, "problem": row.problem}


@admin.register(StripeEvent)
class StripeEventAdmin(LongList, RecordAdmin):
    list_display = ["number", "kind", "subject", "state", "tries", "problem", "created_at"]
    list_filter = ["state"]
    named_by = ("number", "subject")
    organization_path = ""
    actions = ["retry"]

    @admin.action(description="Look into them again", permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: models.QuerySet[StripeEvent]) -> None:
        self.retry_each(request, queryset, inbox.retry)


@admin.register(TopUp)
class TopUpAdmin(LongList, RecordAdmin):
    list_display = [
        "id",
        "organization",
        "usd",
        "status",
        "automatic",
        "payment",
        "problem",
        "created_at",
        "refund",
    ]
    list_filter = ["status", "automatic"]
    list_select_related = ["organization"]
    named_by = ("payment", "checkout")
    newest_by = "created_at"
    actions = ["retry"]

    @admin.action(description="Look again what became of them", permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: models.QuerySet[TopUp]) -> None:
        self.look_again(request, queryset)

    @admin.display(description="what to do")
    def refund(self, topup: TopUp) -> str:
        if topup.status != TopUpStatus.PAID:
            return ""
        facts = urlencode({"kind": "refund", "topup": topup.pk, "amount_usd": topup.usd})
        return format_html('<a href="{}?{}">Refund</a>', reverse("admin:billing_proposal_add"), facts)


@admin.register(Customer)
class CustomerAdmin(LongList, RecordAdmin):
    list_display = ["organization", "number", "card_text", "subscription_status", "problem"]
    list_select_related = ["organization"]
    named_by = ("number",)
    newest_by = "created_at"


@admin.register(Reversal)
class ReversalAdmin(LongList, RecordAdmin):
    list_display = ["id", "organization", "kind", "number", "status", "taken_micros", "problem", "created_at"]
    list_filter = ["kind", one_of("status", lambda: values_of(Reversal, "status"))]
    list_select_related = ["organization"]
    found_by = ("pk", "topup")
    named_by = ("number",)
    newest_by = "created_at"
    actions = ["retry"]

    @admin.action(description="Look again what became of them", permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: models.QuerySet[Reversal]) -> None:
        self.look_again(request, queryset)


@admin.register(UsageReport)
class UsageReportAdmin(LongList, RecordAdmin):
    list_display = [
        "job_id",
        "organization",
        "state",
        "units",
        "unit",
        "amount_micros",
        "tries",
        "problem",
        "created_at",
    ]
    list_filter = ["state"]
    list_select_related = ["organization"]
    found_by = ("pk", "job_id")
    actions = ["retry"]

    @admin.action(description="Try them again", permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: models.QuerySet[UsageReport]) -> None:
        self.retry_each(request, queryset, outbox.retry)


@admin.register(UsageLine)
class UsageLineAdmin(LongList, RecordAdmin):
    list_display = ["id", "organization", "amount_micros", "cents", "number", "closed_at", "problem"]
    list_select_related = ["organization"]
    named_by = ("number",)


@admin.register(RateClass)
class RateClassAdmin(RecordAdmin):
    list_display = ["event_name", "unit", "micros_per_unit", "meter", "price"]


@admin.register(Invoice)
class InvoiceAdmin(LongList, RecordAdmin):
    list_display = ["number", "organization", "title", "status", "total_cents", "issued_at"]
    list_filter = [one_of("status", lambda: values_of(Invoice, "status"))]
    list_select_related = ["organization"]
    named_by = ("number", "title")


@admin.register(AutoTopUp)
class AutoTopUpAdmin(RecordAdmin):
    list_display = ["organization", "enabled", "threshold_micros", "amount_micros", "problem", "consent_at"]
    list_filter = ["enabled"]
    list_select_related = ["organization"]
    search_fields = ["=organization__id", "organization__name"]
