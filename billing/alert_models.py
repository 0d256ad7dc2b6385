"""What an organization wants to be told of its money, and what it was told."""

from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models import Organization
from accounts.tenancy import OrgQuerySet
from billing.money import format_usd


class AlertPlan(models.Model):
    """An organization's wishes. Without a row it hears of its monthly budget, where an operator set one."""

    organization = models.OneToOneField(
        Organization, on_delete=models.CASCADE, primary_key=True, related_name="+"
    )
    budget_micros = models.BigIntegerField(
        null=True, validators=[MinValueValidator(1)], help_text="Blank: the monthly budget, if there is one."
    )
    low_balance_micros = models.BigIntegerField(null=True, help_text="Blank: nothing is told.")

    objects = OrgQuerySet["AlertPlan"].as_manager()

    def __str__(self) -> str:
        return f"alerts of {self.organization_id}"


class AlertKind(models.TextChoices):
    BUDGET = "budget", "Share of the budget used"
    BALANCE = "balance", "Balance is low"


class AlertQuerySet(OrgQuerySet["Alert"]):
    def untold(self) -> AlertQuerySet:
        return self.filter(told_at=None, tell_at__lte=Now())


class Alert(models.Model):
    """Something that was reached, once: a share of a month's budget, or the low balance until it is left again."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+", db_index=False)
    kind = models.CharField(max_length=10, choices=AlertKind)
    month = models.DateField(null=True, help_text="Of a budget: the first day, in UTC.")
    percent = models.PositiveSmallIntegerField(default=0)
    # What it was measured against, and what was found.
    limit_micros = models.BigIntegerField()
    found_micros = models.BigIntegerField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    tell_at = models.DateTimeField(db_default=Now())
    told_at = models.DateTimeField(null=True)
    # Of a low balance: when there was enough again, so that the next time is told anew.
    over_at = models.DateTimeField(null=True)

    objects = AlertQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "month", "percent", "limit_micros"],
                condition=Q(kind="budget"),
                name="alert_once_a_budget",
            ),
            models.UniqueConstraint(
                fields=["organization"],
                condition=Q(kind="balance", over_at=None),
                name="alert_one_low_balance",
            ),
        ]
        indexes = [models.Index(fields=["tell_at"], condition=Q(told_at=None), name="alert_untold")]

    def __str__(self) -> str:
        return f"{self.kind} {self.percent} %" if self.percent else self.kind

    @property
    def limit_usd(self) -> str:
        return format_usd(self.limit_micros)

    @property
    def found_usd(self) -> str:
        return format_usd(self.found_micros)
