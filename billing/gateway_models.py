"""What is remembered of the dealings with Stripe. The books themselves are in `billing.models`.

Work that waits for Stripe is a row that is due: whoever claims it holds a lease and raises the fence, and writes
its result only while the fence is still its own.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any, Self, TypeVar

from django.db import models, transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts.models import BillingMode, Organization, User
from accounts.tenancy import OrgQuerySet
from billing.money import MICROS, format_usd

Row_co = TypeVar("Row_co", bound="Due", covariant=True)

FREE = Q(lease_until=None) | Q(lease_until__lt=Now())
# After the 1st, 2nd, ... try that got no answer; the last one repeats.
WAITS = (5, 15, 60, 300, 900, 3600)


class DueQuerySet(OrgQuerySet[Row_co]):
    def due(self) -> Self:
        """Waiting, its time has come, and nobody is at it."""
        return self.filter(FREE, waiting=True, due_at__lte=Now())

    def hint(self, pk: object) -> None:
        """Something happened to what the row is about: look again, now. Whoever is looking at this moment may have
        looked too early, so its fence is broken as well.
        """
        now = Now()
        self.filter(pk=pk).update(waiting=True, due_at=now, lease_until=None, fence=F("fence") + 1)

    def claim(self, pk: object, *, seconds: int) -> Row_co | None:
        """The row, ours for `seconds`, if it is due; rows being claimed at this moment are passed over."""
        with transaction.atomic():
            row: Any = self.due().filter(pk=pk).select_for_update(skip_locked=True, of=("self",)).first()
            if row is None:
                return None
            lease = Now() + timedelta(seconds=seconds)
            self.model._default_manager.filter(pk=pk).update(lease_until=lease, fence=F("fence") + 1)  # noqa: SLF001  Django's name
            row.fence += 1
        return row  # type: ignore[no-any-return]  # a generic row or an argument kept by Exception

    def mine(self, row: Due) -> Self:
        """The row, unless somebody has claimed it since."""
        return self.filter(pk=row.pk, fence=row.fence)

    def later(self, row: Due, problem: str) -> None:
        """Back to waiting, for longer each time."""
        wait = timedelta(seconds=WAITS[min(row.tries, len(WAITS) - 1)])
        self.mine(row).update(
            tries=F("tries") + 1, lease_until=None, due_at=Now() + wait, problem=problem[:300]
        )


class Due(models.Model):
    waiting = models.BooleanField(default=True)
    due_at = models.DateTimeField(db_default=Now())
    lease_until = models.DateTimeField(null=True, editable=False)
    fence = models.BigIntegerField(default=0, editable=False)
    tries = models.PositiveIntegerField(default=0)
    problem = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        abstract = True


# States of a subscription in which use is billed, and in which it never will be again.
PAYING = {"active", "trialing", "past_due"}
ENDED = {"canceled", "incomplete_expired"}


class Customer(Due):
    """What Stripe calls the organization, the card it may charge while nobody is there, the subscription."""

    organization = models.OneToOneField(
        Organization, on_delete=models.PROTECT, primary_key=True, related_name="+"
    )
    number = models.CharField(max_length=80, unique=True)
    # At Stripe, by hand: the next payment makes another one.
    deleted = models.BooleanField(default=False)
    card = models.CharField(max_length=80, blank=True)
    card_text = models.CharField(max_length=60, blank=True)
    subscription = models.CharField(max_length=80, blank=True)
    subscription_status = models.CharField(max_length=30, blank=True)
    # The page on which the subscription is agreed to: one, whoever opens it.
    checkout = models.CharField(max_length=120, blank=True)
    # The prices that are subscribed to.
    subscribed = models.JSONField(default=list, blank=True)
    # Less than a cent: what the last line left for the next one.
    carried_micros = models.PositiveIntegerField(default=0)

    objects = DueQuerySet["Customer"].as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["due_at"], condition=Q(waiting=True), name="customer_due"),
            models.Index(fields=["card"], condition=~Q(card=""), name="customer_card"),
            # The console's list.
            models.Index(fields=["-created_at", "-organization"], name="customer_newest"),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def billed(self) -> bool:
        return self.subscription_status in PAYING


class TopUpStatus(models.TextChoices):
    CREATED = "created", "Created"
    OPEN = "open", "Waiting for the customer"
    PROCESSING = "processing", "The bank is at it"
    PAID = "paid", "Paid"
    FAILED = "failed", "Failed"
    EXPIRED = "expired", "Not paid in time"


UNPAID = [TopUpStatus.CREATED, TopUpStatus.OPEN, TopUpStatus.PROCESSING]


class TopUp(Due):
    """Credit being bought. It is credited once, by whoever first sees at Stripe that it was paid."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    created_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, related_name="+", db_index=False
    )
    automatic = models.BooleanField(default=False)
    # An automatic one failed: its page is mailed to the people who may pay.
    mailed = models.BooleanField(default=False)
    status = models.CharField(max_length=10, choices=TopUpStatus, default=TopUpStatus.CREATED)
    amount_micros = models.BigIntegerField()
    # What was paid at Stripe, tax included, once it was.
    paid_cents = models.BigIntegerField(default=0)
    credited_micros = models.BigIntegerField(default=0)
    checkout = models.CharField(max_length=120, blank=True)
    payment = models.CharField(max_length=80, blank=True)
    paid_at = models.DateTimeField(null=True)

    objects = DueQuerySet["TopUp"].as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount_micros__gt=0), name="topup_more_than_nothing"),
            models.CheckConstraint(
                condition=~Q(status="paid") | Q(credited_micros__gt=0, paid_at__isnull=False),
                name="topup_paid_is_credited",
            ),
            models.UniqueConstraint(
                fields=["checkout"], condition=~Q(checkout=""), name="topup_checkout_once"
            ),
            models.UniqueConstraint(fields=["payment"], condition=~Q(payment=""), name="topup_payment_once"),
            # However many processes see that credit runs low: one card is charged.
            models.UniqueConstraint(
                fields=["organization"],
                condition=Q(automatic=True, status__in=["created", "open", "processing"]),
                name="topup_one_automatic",
            ),
        ]
        indexes = [
            models.Index(fields=["organization", "-created_at"], name="topup_history"),
            models.Index(fields=["due_at"], condition=Q(waiting=True), name="topup_due"),
            # The console's list and its filters.
            models.Index(fields=["-created_at", "-id"], name="topup_newest"),
            models.Index(fields=["status", "-created_at", "-id"], name="topup_by_status"),
            models.Index(fields=["automatic", "-created_at", "-id"], name="topup_by_automatic"),
        ]

    def __str__(self) -> str:
        return f"{self.status} {self.usd} USD"

    @property
    def usd(self) -> str:
        return format_usd(self.credited_micros or self.amount_micros)


class AutoTopUpQuerySet(OrgQuerySet["AutoTopUp"]):
    def in_force(self) -> Self:
        """Switched on, by an organization that pays before and is not suspended."""
        return self.filter(
            enabled=True, organization__billing_mode=BillingMode.PREPAID, organization__suspended_at=None
        )


class AutoTopUp(models.Model):
    """An organization's wish to have credit bought by itself, and who agreed to it."""

    organization = models.OneToOneField(
        Organization, on_delete=models.PROTECT, primary_key=True, related_name="+"
    )
    enabled = models.BooleanField(default=False)
    threshold_micros = models.BigIntegerField()
    amount_micros = models.BigIntegerField()
    daily_cap_micros = models.BigIntegerField()
    consent_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    consent_at = models.DateTimeField(db_default=Now())
    next_at = models.DateTimeField(db_default=Now())
    problem = models.CharField(max_length=300, blank=True)

    objects = AutoTopUpQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(threshold_micros__gt=0, amount_micros__gt=0)
                & Q(daily_cap_micros__gte=F("amount_micros")),
                name="auto_topup_sensible",
            )
        ]
        # Asked every few seconds; those that are on are few.
        indexes = [models.Index(fields=["next_at"], condition=Q(enabled=True), name="auto_topup_on")]

    def __str__(self) -> str:
        return "on" if self.enabled else "off"

    def facts(self) -> dict[str, object]:
        return {
            "threshold_usd": format_usd(self.threshold_micros),
            "amount_usd": format_usd(self.amount_micros),
            "daily_cap_usd": format_usd(self.daily_cap_micros),
        }


class ReversalKind(models.TextChoices):
    REFUND = "refund", "Refund"
    DISPUTE = "dispute", "Dispute"


class Reversal(Due):
    """Money of a top-up or an invoice that goes back, and may come again: a refund may fail, a dispute may be won."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    topup = models.ForeignKey(TopUp, on_delete=models.PROTECT, null=True, related_name="reversals")
    invoice = models.ForeignKey("Invoice", on_delete=models.PROTECT, null=True, related_name="reversals")
    kind = models.CharField(max_length=10, choices=ReversalKind)
    # Stripe's; blank while a refund of ours is still to be asked for.
    number = models.CharField(max_length=80, blank=True)
    status = models.CharField(max_length=30, blank=True)
    cents = models.BigIntegerField(default=0)
    # What the books have taken back for it as of now, and how many transfers that took.
    taken_micros = models.BigIntegerField(default=0)
    stages = models.PositiveIntegerField(default=0)
    reason = models.CharField(max_length=300, blank=True)
    requested_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )

    objects = DueQuerySet["Reversal"].as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["number"], condition=~Q(number=""), name="reversal_once"),
            models.CheckConstraint(condition=Q(taken_micros__gte=0), name="reversal_not_negative"),
            models.CheckConstraint(
                condition=Q(topup__isnull=False, invoice=None) | Q(topup=None, invoice__isnull=False),
                name="reversal_of_one",
            ),
        ]
        indexes = [
            models.Index(fields=["organization", "-created_at"], name="reversal_history"),
            models.Index(fields=["due_at"], condition=Q(waiting=True), name="reversal_due"),
            # The console's list and its filters.
            models.Index(fields=["-created_at", "-id"], name="reversal_newest"),
            models.Index(fields=["kind", "-created_at", "-id"], name="reversal_by_kind"),
            models.Index(fields=["status", "-created_at", "-id"], name="reversal_by_status"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.number} {self.status}"

    @property
    def source(self) -> TopUp | Invoice:
        """What had been paid."""
        found = self.topup or self.invoice
        assert found is not None
        return found


class ReportState(models.TextChoices):
    WAITING = "waiting", "Waiting"
    SENT = "sent", "Counted by the meter"
    LINED = "lined", "On a line"
    STOPPED = "stopped", "Nobody knows"
    FAILED = "failed", "Refused"


class RateClass(models.Model):
    """What one unit costs, and the meter and price at Stripe that count and rate such units."""

    # Counts micro-dollars: for whatever has no meter of its own.
    MICRO_EVENT = "voicereel_micros"

    unit = models.CharField(max_length=10)
    micros_per_unit = models.BigIntegerField()
    event_name = models.CharField(max_length=80, unique=True)
    meter = models.CharField(max_length=80)
    price = models.CharField(max_length=80)

    class Meta:
        verbose_name_plural = "rate classes"
        constraints = [models.UniqueConstraint(fields=["unit", "micros_per_unit"], name="rate_class_once")]

    def __str__(self) -> str:
        return self.event_name


class UsageLine(Due):
    """Use on the customer's next invoice as one line. One is open for an organization, and closed when its day ends."""

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    amount_micros = models.BigIntegerField(default=0)
    cents = models.BigIntegerField(default=0)
    closed_at = models.DateTimeField(null=True)
    # Stripe's; blank until it is there, and for a line of less than a cent.
    number = models.CharField(max_length=80, blank=True)

    objects = DueQuerySet["UsageLine"].as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization"], condition=Q(closed_at=None), name="usage_line_one_open"
            )
        ]
        indexes = [
            models.Index(fields=["organization", "-created_at"], name="usage_line_history"),
            models.Index(fields=["due_at"], condition=Q(waiting=True), name="usage_line_due"),
            models.Index(fields=["number"], name="usage_line_by_number"),
        ]

    def __str__(self) -> str:
        return f"{format_usd(self.amount_micros)} USD"


class UsageReport(Due):
    """The outbox: what one postpaid job cost, written in the transaction of its capture."""

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    job_id = models.UUIDField(unique=True)
    model = models.CharField(max_length=80, blank=True)
    unit = models.CharField(max_length=10)
    units = models.BigIntegerField()
    micros_per_unit = models.BigIntegerField()
    amount_micros = models.BigIntegerField()
    collector = models.CharField(max_length=20)
    state = models.CharField(max_length=10, choices=ReportState, default=ReportState.WAITING)
    # What is sent, decided before the first try: every later try says the same.
    event_name = models.CharField(max_length=80, blank=True)
    value = models.BigIntegerField(default=0)
    customer = models.CharField(max_length=80, blank=True)
    first_tried_at = models.DateTimeField(null=True)
    line = models.ForeignKey(
        UsageLine, on_delete=models.PROTECT, null=True, related_name="reports", db_index=False
    )

    objects = DueQuerySet["UsageReport"].as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["organization", "created_at"], name="usage_report_by_time"),
            models.Index(fields=["due_at"], condition=Q(waiting=True), name="usage_report_due"),
            models.Index(fields=["line"], condition=Q(line__isnull=False), name="usage_report_by_line"),
            models.Index(fields=["state", "-id"], name="usage_report_by_state"),
        ]

    def __str__(self) -> str:
        return f"{self.state} {format_usd(self.amount_micros)} USD"

    @property
    def identifier(self) -> str:
        return f"job:{self.job_id}"


class Invoice(Due):
    """An invoice that Stripe made, as it was when it was last looked at."""

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    number = models.CharField(max_length=80, unique=True)
    title = models.CharField(max_length=80, blank=True)
    status = models.CharField(max_length=20, blank=True)
    total_cents = models.BigIntegerField(default=0)
    page = models.URLField(max_length=500, blank=True)
    pdf = models.URLField(max_length=500, blank=True)
    # What was paid at Stripe, tax included, by which payment, and what the books have taken in for it.
    payment = models.CharField(max_length=80, blank=True)
    paid_cents = models.BigIntegerField(default=0)
    credited_micros = models.BigIntegerField(default=0)
    issued_at = models.DateTimeField(null=True)

    objects = DueQuerySet["Invoice"].as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["organization", "-created_at"], name="invoice_history"),
            models.Index(fields=["due_at"], condition=Q(waiting=True), name="invoice_due"),
            models.Index(fields=["status", "-id"], name="invoice_by_status"),
            models.Index(fields=["title"], name="invoice_by_title"),
            models.Index(fields=["payment"], condition=~Q(payment=""), name="invoice_by_payment"),
        ]

    def __str__(self) -> str:
        return f"{self.title or self.number} {self.status}"

    @property
    def usd(self) -> str:
        return format_usd(self.total_cents * MICROS // 100)


class EventState(models.TextChoices):
    WAITING = "waiting", "Waiting"
    DONE = "done", "Applied"
    IGNORED = "ignored", "Ignored"
    FAILED = "failed", "Given up"


class StripeEvent(Due):
    """The inbox: each event is stored once and answered, then its subject is fetched and applied as it is now."""

    number = models.CharField(max_length=120, unique=True)
    kind = models.CharField(max_length=80)
    subject = models.CharField(max_length=120, blank=True)
    body = models.JSONField()
    state = models.CharField(max_length=10, choices=EventState, default=EventState.WAITING)
    done_at = models.DateTimeField(null=True)

    objects = DueQuerySet["StripeEvent"].as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["due_at"], condition=Q(waiting=True), name="stripe_event_due"),
            models.Index(fields=["state", "-id"], name="stripe_event_by_state"),
            models.Index(fields=["subject", "-id"], name="stripe_event_by_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.number}"
