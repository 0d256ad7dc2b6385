"""The operator's pages: the books to read, prices, tiers and limits to change.

Every write goes through a verb or leaves an audit entry of its own. The bare booleans (FBT) are Django's.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin

from accounts.console import Audited
from billing import free, gateway_admin, price_admin, proposal_admin, quotas, reconcile_admin
from billing.free_models import THOUSANDTHS
from billing.ledger_admin import BooksAdmin
from billing.models import Account, DayUse, FreeQuota, FreeUse, Hold, Limits, Tier
from billing.money import format_usd, parse_usd

__all__ = [
    "gateway_admin",
    "price_admin",
    "proposal_admin",
    "reconcile_admin",
]  # Django looks for registrations here


# --- the books ----------------------------------------------------------------------------------------------


@admin.register(Account)
class AccountAdmin(BooksAdmin):
    list_display = ["organization", "kind", "balance"]
    list_filter = ["kind"]

    @admin.display(description="USD")
    def balance(self, account: Account) -> str:
        return format_usd(account.balance_micros)


@admin.register(Hold)
class HoldAdmin(BooksAdmin):
    list_display = [
        *("job_id", "organization", "model", "status"),
        *("held", "given", "captured", "funding", "created_at"),
    ]
    list_filter = ["status", "funding"]
    found_by = ("pk", "job_id")

    @admin.display(description="held USD")
    def held(self, hold: Hold) -> str:
        return format_usd(hold.amount_micros)

    @admin.display(description="captured USD")
    def captured(self, hold: Hold) -> str:
        return format_usd(hold.captured_micros)

    @admin.display(description="free USD")
    def given(self, hold: Hold) -> str:
        return format_usd(hold.free_micros) if hold.free_micros else ""


@admin.register(FreeUse)
class FreeUseAdmin(BooksAdmin):
    list_display = ["organization", "model", "held_units", "used_units"]

    @admin.display(description="held units")
    def held_units(self, use: FreeUse) -> str:
        return f"{use.held / THOUSANDTHS:g}"

    @admin.display(description="used units")
    def used_units(self, use: FreeUse) -> str:
        return f"{use.used / THOUSANDTHS:g}"


@admin.register(DayUse)
class DayUseAdmin(BooksAdmin):
    list_display = [
        "day",
        "organization",
        "model",
        "resolution",
        "provider",
        "route_id",
        "jobs",
        "seconds",
        "paid",
        "cost",
    ]

    @admin.display(description="seconds")
    def seconds(self, use: DayUse) -> int:
        return use.billed_ms // 1000

    @admin.display(description="paid USD")
    def paid(self, use: DayUse) -> str:
        return format_usd(use.micros)

    @admin.display(description="cost USD")
    def cost(self, use: DayUse) -> str:
        return format_usd(use.cost_micros)


# --- free units ---------------------------------------------------------------------------------------------


class FreeQuotaForm(forms.ModelForm[FreeQuota]):
    class Meta:
        model = FreeQuota
        fields = ["model", "unit", "units", "organization"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["organization"].help_text = (
            f"Blank: everybody. All quotas of one organization may be worth {settings.TWO_PERSON_USD} USD more than "
            "everybody's; what is beyond is a gift of credit, by a proposal."
        )

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if self.errors or given.get("organization") is None:
            return given
        worth = free.worth(FreeQuota(**given))
        if worth > parse_usd(settings.TWO_PERSON_USD):
            self.add_error(
                "units",
                f"With its other quotas this is worth up to {format_usd(worth)} USD, more than the "
                f"{settings.TWO_PERSON_USD} USD that one operator gives away. Give credit by a proposal instead.",
            )
        return given


@admin.register(FreeQuota)
class FreeQuotaAdmin(Audited[FreeQuota]):
    """What is free holds from the next job on; jobs under way keep what they took."""

    form = FreeQuotaForm
    list_display = ["model", "unit", "units", "organization"]
    list_filter = ["unit"]
    list_select_related = ["organization"]
    raw_id_fields = ["organization"]
    ordering = ["model", "organization"]


# --- limits -------------------------------------------------------------------------------------------------


class LimitsOf(Audited[Any]):
    def written(self) -> None:
        quotas.forget()


@admin.register(Tier)
class TierAdmin(LimitsOf):
    list_display = ["slug", "from_usd", "submits_per_minute", "running", "queued", "reads_per_second"]

    @admin.display(description="lifetime top-ups in USD", ordering="threshold_micros")
    def from_usd(self, tier: Tier) -> str:
        return format_usd(tier.threshold_micros)


class LimitsForm(forms.ModelForm[Limits]):
    """Everything but a higher credit limit, which is money: a proposal raises it."""

    class Meta:
        model = Limits
        exclude: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["credit_limit_micros"].help_text = "Lowered here, raised by a proposal."

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        organization, wanted = given.get("organization"), given.get("credit_limit_micros")
        if organization and wanted and wanted > quotas.credit_limit(organization):
            self.add_error(
                "credit_limit_micros",
                "Raise it by a proposal of that kind: a second operator has to approve what is more than "
                f"{settings.TWO_PERSON_USD} USD.",
            )
        return given


@admin.register(Limits)
class LimitsAdmin(LimitsOf):
    form = LimitsForm
    list_display = ["organization", "budget", "submits_per_minute", "running", "queued"]
    list_select_related = ["organization"]
    raw_id_fields = ["organization"]
    search_fields = ["organization__name", "=organization__id"]

    @admin.display(description="monthly budget in USD")
    def budget(self, limits: Limits) -> str:
        return "" if limits.monthly_budget_micros is None else format_usd(limits.monthly_budget_micros)
