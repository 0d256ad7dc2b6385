"""Routes an operator edits, and the renders of our own machines."""

from __future__ import annotations

from typing import ClassVar

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Now

from accounts.models import Organization


class ProviderAccount(models.Model):
    """An account of ours at a provider: where it is reached, who we are there (sealed), and what it allows.

    One provider may have many; a route names the one it orders on.
    """

    provider = models.CharField(max_length=32)
    name = models.CharField(max_length=64)
    enabled = models.BooleanField(
        default=True, help_text="Off: nothing new is ordered; what runs is still asked for."
    )
    base_url = models.CharField(max_length=255, blank=True, help_text="Empty: the provider's own address.")
    sealed_key = models.TextField(blank=True, editable=False)
    sealed_secret = models.TextField(blank=True, editable=False)
    settings = models.JSONField(default=dict, blank=True, help_text="As the adapter's README tells.")
    max_running = models.PositiveIntegerField(
        null=True, blank=True, help_text="Attempts of one model in flight; empty: as the README says."
    )
    submits_per_second = models.PositiveIntegerField(
        null=True, blank=True, help_text="Empty: as the README says."
    )
    queries_per_second = models.PositiveIntegerField(
        null=True, blank=True, help_text="Empty: as the README says."
    )
    queries_until = models.DateTimeField(
        db_default=Now(), editable=False, help_text="The next free place for a status query."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["provider", "name"], name="provider_account_once")]
        ordering: ClassVar[list[str]] = ["provider", "name"]

    def __str__(self) -> str:
        return f"{self.provider}/{self.name}"


class Route(models.Model):
    """A provider may serve a model, for everybody or for one organization, whose own routes then replace the common
    ones. Lower priority number first; weight shares among equals.
    """

    model = models.CharField(max_length=64)
    provider = models.CharField(max_length=32)
    account = models.ForeignKey(
        ProviderAccount,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="routes",
        help_text="Empty for our own machines.",
    )
    organization = models.ForeignKey(Organization, models.CASCADE, null=True, blank=True, related_name="+")
    enabled = models.BooleanField(default=True)
    priority = models.IntegerField(default=100)
    weight = models.PositiveIntegerField(default=1)
    max_running = models.PositiveIntegerField(
        null=True, blank=True, help_text="Attempts in flight; empty: no limit."
    )
    max_length_ms = models.PositiveIntegerField(null=True, blank=True)
    cost_micros_per_second = models.BigIntegerField(default=0)
    settings = models.JSONField(default=dict, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["model", "provider", "account", "organization"],
                name="route_once",
                nulls_distinct=False,
            )
        ]
        ordering: ClassVar[list[str]] = ["model", "priority", "id"]

    def __str__(self) -> str:
        return f"{self.model} by {self.provider}"

    def clean(self) -> None:
        if self.account is not None and self.account.provider != self.provider:
            raise ValidationError({"account": "This account belongs to another provider."})

    @property
    def preview(self) -> bool:
        """Its engine only previews the model."""
        return bool(self.settings.get("preview", False))


class Circuit(models.Model):
    """How a route fared lately. Open: nothing new is ordered on it, but for a probe from time to time.

    The counts fade with time; see `providers.circuit`, which alone writes here.
    """

    route = models.OneToOneField(Route, models.CASCADE, primary_key=True, related_name="circuit")
    attempts = models.FloatField(default=0.0)
    failures = models.FloatField(default=0.0)
    counted_at = models.DateTimeField(db_default=Now())
    opened_at = models.DateTimeField(null=True)
    probe_at = models.DateTimeField(null=True, help_text="When one attempt may try an open one.")
    failed_probes = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"route {self.route_id}: {'open' if self.opened_at else 'closed'}"


class Render(models.Model):
    """One order on our own machines. Claimed with a lease and a fence; the state is in the row alone."""

    class Status(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELED = "canceled"

    FINAL: ClassVar[tuple[str, ...]] = (Status.SUCCEEDED, Status.FAILED, Status.CANCELED)

    id = models.UUIDField(primary_key=True)
    tag = models.CharField(max_length=64, unique=True)
    engine = models.CharField(max_length=32)
    queue = models.CharField(max_length=16)
    spec = models.JSONField(help_text="What the engine child reads: options, and signed addresses of files.")
    status = models.CharField(max_length=16, choices=Status, default=Status.WAITING)
    phase = models.CharField(max_length=16, default="waiting")
    progress = models.FloatField(default=0.0)
    clips_done = models.PositiveIntegerField(default=0)
    clips = models.PositiveIntegerField(default=0)
    result = models.JSONField(default=dict)
    error = models.JSONField(default=dict)
    cancel_requested = models.BooleanField(default=False)
    runs = models.PositiveIntegerField(
        default=0, help_text="How often a worker took it up; a poison order is given up."
    )
    lease_until = models.DateTimeField(null=True)
    fence = models.BigIntegerField(default=0)
    woken_at = models.DateTimeField(db_default=Now())
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            # The queue of each kind of worker: only rows that still want one.
            models.Index(
                fields=["queue", "created_at"],
                name="render_open",
                condition=models.Q(status__in=["waiting", "running"]),
            )
        ]

    def __str__(self) -> str:
        return str(self.id)


class FakeTask(models.Model):
    """What the fake provider remembers of an order, so that every process sees the same story."""

    id = models.UUIDField(primary_key=True)
    tag = models.CharField(max_length=64, unique=True)
    script = models.JSONField()
    order = models.JSONField()
    canceled = models.BooleanField(default=False)
    polls = models.PositiveIntegerField(default=0)
    delivered = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now())
