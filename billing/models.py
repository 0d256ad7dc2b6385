"""Prices, limits and the books. Only `billing.ledger` writes Account, Transfer, Hold and the Spend tables.

Amounts are integer micro-dollars. Times that decide anything are the database's.
"""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts.models import ApiKey, BillingMode, Organization
from accounts.tenancy import OrgQuerySet
from billing.alert_models import Alert, AlertPlan
from billing.control_models import Difference, Proposal, Reconciliation
from billing.free_models import FreeQuota, FreeUse
from billing.gateway_models import (
    AutoTopUp,
    Customer,
    Invoice,
    RateClass,
    Reversal,
    StripeEvent,
    TopUp,
    UsageLine,
    UsageReport,
)
from billing.money import format_usd

# Django finds models here.
__all__ = [
    "Alert",
    "AlertPlan",
    "AutoTopUp",
    "Customer",
    "Difference",
    "FreeQuota",
    "FreeUse",
    "Invoice",
    "Proposal",
    "RateClass",
    "Reconciliation",
    "Reversal",
    "StripeEvent",
    "TopUp",
    "UsageLine",
    "UsageReport",
]

MILLISECONDS = 1000


class Unit(models.TextChoices):
    SECOND = "second", "Second"
    IMAGE = "image", "Image"
    # The platform's fee where the customer's own account at a provider renders.
    OWN_KEY = "own_key", "Second on an own key"


class PriceQuerySet(models.QuerySet["Price"]):
    def on_sale(self, organization: Organization | None) -> PriceQuerySet:
        """Today's prices for this organization by the database's clock, its own before the public ones; None: those."""
        return self.filter(
            Q(organization=organization) | Q(organization=None),
            Q(valid_to=None) | Q(valid_to__gt=Now()),
            valid_from__lte=Now(),
        ).order_by("model", "resolution", "unit", F("organization").asc(nulls_last=True))


class Price(models.Model):
    """cost = micros_per_unit x clamp(ceil(milliseconds / step_ms), min_units, max_units).

    No two prices of one (model, resolution, unit, organization) are valid at the same time: `prices.save`
    checks it under a lock, since the exclusion constraint that could would need the btree_gist extension.
    """

    model = models.CharField(max_length=80)
    resolution = models.CharField(max_length=10, blank=True)
    unit = models.CharField(max_length=10, choices=Unit, default=Unit.SECOND)
    micros_per_unit = models.BigIntegerField(
        "micro-dollars per unit", validators=[MinValueValidator(0)], help_text="30000 is 0.03 USD."
    )
    step_ms = models.PositiveIntegerField(
        "length of one unit in milliseconds",
        default=MILLISECONDS,
        validators=[MinValueValidator(1)],
        help_text="A started unit counts as a whole one. Unused for images.",
    )
    min_units = models.PositiveIntegerField(default=1)
    max_units = models.PositiveIntegerField(help_text="What is longer is billed as this much.")
    organization = models.ForeignKey(
        Organization,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        help_text="Blank: everybody.",
    )
    valid_from = models.DateTimeField(db_default=Now())
    valid_to = models.DateTimeField(null=True, blank=True)

    objects = PriceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(micros_per_unit__gte=0), name="price_not_negative"),
            models.CheckConstraint(condition=Q(step_ms__gt=0), name="price_step_positive"),
            models.CheckConstraint(condition=Q(min_units__lte=F("max_units")), name="price_min_below_max"),
            models.CheckConstraint(
                condition=Q(valid_to=None) | Q(valid_to__gt=F("valid_from")), name="price_ends_after_start"
            ),
        ]
        indexes = [models.Index(fields=["model", "resolution", "unit", "valid_from"], name="price_lookup")]

    def __str__(self) -> str:
        return f"{self.model} {self.resolution} {format_usd(self.micros_per_unit)} USD per {self.unit}"

    def clean(self) -> None:
        if self.min_units > self.max_units:
            raise ValidationError({"min_units": "The minimum is above the maximum."})


class Kind(models.TextChoices):
    """An organization's four accounts. A balance is what came in less what went out; they add up to zero."""

    AVAILABLE = "available", "Available"
    HELD = "held", "Held for jobs"
    REVENUE = "revenue", "Revenue"
    FUNDING = "funding", "Funding"


class Account(models.Model):
    """A projection of the transfers, changed in their transaction under the lock of the `available` row."""

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=10, choices=Kind)
    balance_micros = models.BigIntegerField(default=0)

    objects = OrgQuerySet["Account"].as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "kind"], name="account_once"),
            # `available` has no such floor: a dispute or a credit limit may take it below zero.
            models.CheckConstraint(
                condition=~Q(kind="held") | Q(balance_micros__gte=0), name="held_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {format_usd(self.balance_micros)} USD"


class HoldStatus(models.TextChoices):
    OPEN = "open", "Open"
    CAPTURED = "captured", "Captured"
    RELEASED = "released", "Released"


class HoldQuerySet(OrgQuerySet["Hold"]):
    def open(self) -> HoldQuerySet:
        return self.filter(status=HoldStatus.OPEN)


class Hold(models.Model):
    """Money set aside for one job. It may be raised while open and is resolved once."""

    job_id = models.UUIDField(unique=True)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    # The catalogue's slug, so that usage by model needs nothing of the jobs.
    model = models.CharField(max_length=80, blank=True)
    # What is to be paid; what is free stands beside it, and the price is both. A capture keeps what was used of it.
    amount_micros = models.BigIntegerField()
    free = models.BigIntegerField("thousandths of free units", default=0, db_default=0)
    free_micros = models.BigIntegerField("what those would have cost", default=0, db_default=0)
    captured_micros = models.BigIntegerField(default=0)
    # How much video the capture was for, free or paid; nothing for what is not billed by the second.
    billed_ms = models.BigIntegerField(default=0, db_default=0)
    status = models.CharField(max_length=10, choices=HoldStatus, default=HoldStatus.OPEN)
    # How the job is paid is fixed here: changing the organization's mode changes later jobs only.
    funding = models.CharField(max_length=10, choices=BillingMode)
    # How often the amount was changed: the number in the references of its raises.
    raises = models.PositiveSmallIntegerField(default=0)
    # The first day of the month, in UTC, whose budget this counts in, however late it is resolved.
    month = models.DateField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    resolved_at = models.DateTimeField(null=True)

    objects = HoldQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(captured_micros__gte=0, captured_micros__lte=F("amount_micros")),
                name="hold_captured_within",
            ),
            models.CheckConstraint(
                condition=Q(status="captured") | Q(captured_micros=0), name="hold_captured_only_by_capture"
            ),
            models.CheckConstraint(
                condition=Q(free__gte=0, free_micros__gte=0), name="hold_free_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(status="open", resolved_at=None)
                | Q(status__in=["captured", "released"], resolved_at__isnull=False),
                name="hold_resolved_has_time",
            ),
        ]
        indexes = [
            # Usage pages: what an organization captured in a span of time.
            models.Index(
                fields=["organization", "resolved_at"],
                condition=Q(status="captured"),
                name="hold_captured_by_time",
            ),
            # The console's list of one organization, of which there may be few rows or none among millions.
            models.Index(fields=["organization", "-id"], name="hold_newest"),
            # The console's filter where hardly anybody pays later.
            models.Index(fields=["-id"], condition=Q(funding="postpaid"), name="hold_postpaid"),
            # Open ones are few beside the resolved; age is asked of them only.
            models.Index(fields=["created_at"], condition=Q(status="open"), name="hold_open_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.status} {format_usd(self.amount_micros)} USD"

    @property
    def price_micros(self) -> int:
        """With what is free of it."""
        return self.amount_micros + self.free_micros


class TransferKind(models.TextChoices):
    GRANT = "grant", "Grant"
    TOPUP = "topup", "Top-up"
    HOLD = "hold", "Hold"
    HOLD_RAISE = "hold_raise", "Hold raised"
    CAPTURE = "capture", "Capture"
    RELEASE = "release", "Release"
    REFUND = "refund", "Refund"
    DISPUTE = "dispute", "Dispute"
    WRITE_OFF = "write_off", "Write-off"
    ADJUSTMENT = "adjustment", "Adjustment"


# What no job moves.
BY_HAND = [
    *(TransferKind.GRANT, TransferKind.TOPUP, TransferKind.REFUND),
    *(TransferKind.DISPUTE, TransferKind.WRITE_OFF, TransferKind.ADJUSTMENT),
]


class Transfer(models.Model):
    """Money moved from the debited to the credited account. Append-only: a trigger refuses every change.

    Those of one organization are written under its lock, so their ids rise in commit order and page stably.
    """

    # Made by the caller from what is paid for: the same thing cannot be posted twice, whoever races.
    reference = models.CharField(max_length=120, unique=True)
    kind = models.CharField(max_length=10, choices=TransferKind)
    debit = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+", db_index=False)
    credit = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+", db_index=False)
    amount_micros = models.BigIntegerField()
    hold = models.ForeignKey(
        Hold, on_delete=models.PROTECT, null=True, related_name="transfers", db_index=False
    )
    job_id = models.UUIDField(null=True)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    note = models.CharField(max_length=300, blank=True)
    # "user:<id>", blank for the platform itself. Text: a row that never changes cannot follow a foreign key.
    actor = models.CharField(max_length=40, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    # There on a row of the ledger browser: the balances after it, by kind of account.
    left: dict[str, int] | None = None

    objects = OrgQuerySet["Transfer"].as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount_micros__gt=0), name="transfer_amount_positive"),
            models.CheckConstraint(condition=~Q(debit=F("credit")), name="transfer_between_two"),
        ]
        indexes = [
            # With all that a balance in the past is worked out of.
            models.Index(
                fields=["organization", "-id"],
                include=["debit", "credit", "amount_micros"],
                name="transfer_running",
            ),
            models.Index(fields=["organization", "created_at"], name="transfer_by_time"),
            models.Index(fields=["job_id"], condition=Q(job_id__isnull=False), name="transfer_by_job"),
            # The tier follows the sum of these; they are a handful among millions.
            models.Index(fields=["organization"], condition=Q(kind="topup"), name="transfer_topups"),
            # The console asks for one kind over all organizations; these are few and lie far apart.
            models.Index(fields=["kind", "-id"], condition=Q(kind__in=BY_HAND), name="transfer_by_hand"),
        ]

    def __str__(self) -> str:
        return f"{self.reference} {format_usd(self.amount_micros)} USD"


class KeySpend(models.Model):
    """What an API key and those that replaced it hold and have spent, ever: the projection the spend cap is checked
    against. The row is the first key's.
    """

    key = models.OneToOneField(ApiKey, on_delete=models.PROTECT, primary_key=True, related_name="+")
    held_micros = models.BigIntegerField(default=0)
    spent_micros = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(held_micros__gte=0, spent_micros__gte=0), name="key_spend_not_negative"
            )
        ]

    def __str__(self) -> str:
        return f"{format_usd(self.spent_micros)} USD"


class MonthSpend(models.Model):
    """What the jobs placed in a month hold and have cost: what the monthly budget is checked against."""

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    month = models.DateField(help_text="Its first day, in UTC.")
    held_micros = models.BigIntegerField(default=0)
    spent_micros = models.BigIntegerField(default=0)

    objects = OrgQuerySet["MonthSpend"].as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "month"], name="month_spend_once"),
            models.CheckConstraint(
                condition=Q(held_micros__gte=0, spent_micros__gte=0), name="month_spend_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.month:%Y-%m} {format_usd(self.spent_micros)} USD"


class DayUse(models.Model):
    """What was captured on a day, folded: one row for each mixture of what it may be asked for. Written by the capture
    itself, under its organization's lock, so it is never behind. Blank: not known then; no key: the dashboard.
    A row without jobs is a cost of ours alone: what providers took for such as were not captured.
    """

    day = models.DateField(help_text="In UTC.")
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    model = models.CharField(max_length=80)
    resolution = models.CharField(max_length=10, blank=True)
    provider = models.CharField(max_length=32, blank=True)
    # No foreign key: routes are another room's, and one that is gone was used all the same. 0: not known then.
    route_id = models.BigIntegerField("route", default=0, db_default=0)
    unit = models.CharField(max_length=10, blank=True, default="", db_default="", help_text="Of its price.")
    jobs = models.PositiveIntegerField()
    billed_ms = models.BigIntegerField(help_text="Free ones too.")
    free = models.BigIntegerField("thousandths of free units", default=0, db_default=0)
    micros = models.BigIntegerField(help_text="What customers paid, in micro-dollars.")
    cost_micros = models.BigIntegerField(help_text="What providers were paid, in micro-dollars.")

    objects = OrgQuerySet["DayUse"].as_manager()

    class Meta:
        verbose_name_plural = "days of use"
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "day", "key", "model", "resolution", "provider", "route_id", "unit"],
                name="day_use_once",
                nulls_distinct=False,
            )
        ]
        # The operator's pages ask for all organizations at once.
        indexes = [
            models.Index(fields=["day"], name="day_use_by_day"),
            # The console's list of one organization, as for holds.
            models.Index(fields=["organization", "-id"], name="day_use_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.model}"


class Tier(models.Model):
    """The limits that come with money: an organization has the highest tier its top-ups have ever reached."""

    slug = models.SlugField(max_length=30, primary_key=True)
    threshold_micros = models.BigIntegerField("lifetime top-ups in micro-dollars", unique=True)
    submits_per_minute = models.PositiveIntegerField()
    running = models.PositiveIntegerField("running jobs")
    queued = models.PositiveIntegerField("queued jobs")
    weight = models.PositiveIntegerField(
        "weight among those that wait",
        validators=[MinValueValidator(1)],
        help_text="Of free places an organization with 3 gets three for one of an organization with 1.",
    )
    reads_per_second = models.PositiveIntegerField("requests a second by one key")
    requests_per_second = models.PositiveIntegerField("requests a second in all")
    storage_bytes = models.BigIntegerField("bytes of kept files", validators=[MinValueValidator(0)])
    longest_seconds = models.PositiveIntegerField(
        null=True, blank=True, help_text="Blank: what the model allows."
    )
    allowed_models = models.JSONField(
        null=True, blank=True, help_text="A list of model slugs. Blank: every model."
    )

    class Meta:
        ordering = ["threshold_micros"]

    def __str__(self) -> str:
        return self.slug


class Limits(models.Model):
    """One organization's own limits. A blank one follows the tier, and so do all from `until` on, but for the budget and
    the credit limit: what a customer may owe does not change by the clock alone.
    """

    organization = models.OneToOneField(
        Organization, on_delete=models.CASCADE, primary_key=True, related_name="+"
    )
    monthly_budget_micros = models.BigIntegerField(null=True, blank=True, validators=[MinValueValidator(0)])
    # How far below zero a postpaid organization's available balance may go.
    credit_limit_micros = models.BigIntegerField(default=0, validators=[MinValueValidator(0)])
    submits_per_minute = models.PositiveIntegerField(null=True, blank=True)
    running = models.PositiveIntegerField("running jobs", null=True, blank=True)
    queued = models.PositiveIntegerField("queued jobs", null=True, blank=True)
    weight = models.PositiveIntegerField(
        "weight among those that wait", null=True, blank=True, validators=[MinValueValidator(1)]
    )
    reads_per_second = models.PositiveIntegerField("requests a second by one key", null=True, blank=True)
    requests_per_second = models.PositiveIntegerField("requests a second in all", null=True, blank=True)
    storage_bytes = models.BigIntegerField(
        "bytes of kept files", null=True, blank=True, validators=[MinValueValidator(0)]
    )
    longest_seconds = models.PositiveIntegerField(null=True, blank=True)
    allowed_models = models.JSONField(null=True, blank=True)
    until = models.DateTimeField(
        "own limits hold until",
        null=True,
        blank=True,
        help_text="In UTC; blank: until they are changed. Budget and credit limit stay.",
    )

    class Meta:
        verbose_name_plural = "limits"
        constraints = [
            models.CheckConstraint(
                condition=Q(credit_limit_micros__gte=0)
                & (Q(monthly_budget_micros=None) | Q(monthly_budget_micros__gte=0)),
                name="limits_not_negative",
            )
        ]

    def __str__(self) -> str:
        return f"limits of {self.organization}"
