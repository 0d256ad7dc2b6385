"""Routes an operator edits, and the renders of our own machines."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
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
    organization = models.ForeignKey(
        Organization,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        help_text="Whose own account it is; empty: ours.",
    )
    enabled = models.BooleanField(
        default=True, help_text="Off: nothing new is ordered; what runs is still asked for."
    )
    killed_at = models.DateTimeField(
        null=True, editable=False, help_text="Since when what runs is stopped too."
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
    submits_per_minute = models.PositiveIntegerField(
        null=True, blank=True, help_text="Empty: as the README says. Both may be given; then both hold."
    )
    queries_per_second = models.PositiveIntegerField(
        null=True, blank=True, help_text="Empty: as the README says."
    )
    queries_until = models.DateTimeField(
        db_default=Now(), editable=False, help_text="The next free place for a status query."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "organization", "name"],
                name="provider_account_once",
                nulls_distinct=False,
            )
        ]
        ordering: ClassVar[list[str]] = ["provider", "name"]

    def __str__(self) -> str:
        return f"{self.provider}/{self.name}"


NARROWS = "Empty: as the provider has it."


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
    enabled = models.BooleanField(
        default=True, help_text="Off: nothing new is ordered; what runs is finished."
    )
    killed_at = models.DateTimeField(
        null=True, editable=False, help_text="Since when what runs is stopped too."
    )
    priority = models.IntegerField(default=100)
    weight = models.PositiveIntegerField(default=1)
    region = models.CharField(
        max_length=40,
        blank=True,
        help_text="Where it renders, such as eu or cn-beijing. Empty: the account's region, where its settings name one.",
    )
    max_running = models.PositiveIntegerField(
        null=True, blank=True, help_text="Attempts in flight; empty: no limit."
    )
    min_length_ms = models.PositiveIntegerField(null=True, blank=True, help_text=NARROWS)
    max_length_ms = models.PositiveIntegerField(null=True, blank=True, help_text=NARROWS)
    cut_longer = models.BooleanField(
        "cut what is longer",
        default=False,
        help_text="A longer voice is cut at its pauses, filmed part by part, and joined.",
    )
    resolutions = ArrayField(
        models.CharField(max_length=10), default=list, blank=True, help_text=f"480p,720p. {NARROWS}"
    )
    formats = ArrayField(
        models.CharField(max_length=40),
        default=list,
        blank=True,
        help_text=f"Types of files, such as image/jpeg,audio/wav. {NARROWS}",
    )
    min_side = models.PositiveIntegerField(
        null=True, blank=True, help_text=f"Pixels of a picture's side. {NARROWS}"
    )
    max_side = models.PositiveIntegerField(null=True, blank=True, help_text=NARROWS)
    max_bytes = models.BigIntegerField(null=True, blank=True, help_text=f"Of one file. {NARROWS}")
    cost_micros_per_second = models.BigIntegerField(
        default=0,
        help_text="What the provider charges us, of a detector for each picture. 0 at an account: not known.",
    )
    cost_by_resolution = models.JSONField(
        default=dict, blank=True, help_text='Where it differs: {"720p": 60000}, micro-dollars a second.'
    )
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
        if self.account is not None and self.account.organization_id not in {None, self.organization_id}:
            raise ValidationError({"account": "This account is a customer's own, for their jobs alone."})
        costs = self.cost_by_resolution
        if not isinstance(costs, dict) or not all(type(c) is int and c >= 0 for c in costs.values()):
            raise ValidationError({"cost_by_resolution": "Give whole micro-dollars by resolution."})

    def cost(self, resolution: str) -> int:
        """Micro-dollars that a second costs us there; 0 where that is not known, or nothing."""
        return int(self.cost_by_resolution.get(resolution, self.cost_micros_per_second))

    @property
    def own_key(self) -> bool:
        """It orders on an account of the customer's own."""
        return self.account is not None and self.account.organization_id is not None

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
    pace = models.FloatField(
        null=True, help_text="Seconds that a second of video took lately; empty until something succeeded."
    )

    def __str__(self) -> str:
        return f"route {self.route_id}: {'open' if self.opened_at else 'closed'}"


class RoutingPolicy(models.Model):
    """How an organization wants its jobs routed. Providers and regions are hard: they hold on fail-over too."""

    class Order(models.TextChoices):
        USUAL = "usual", "As the operator ranks them"
        CHEAPEST = "cheapest", "The cheapest first"
        FASTEST = "fastest", "The fastest of late first"
        OWN_FIRST = "own_first", "Our own machines first, then the cloud"

    organization = models.OneToOneField(
        Organization, models.CASCADE, primary_key=True, related_name="routing_policy"
    )
    order = models.CharField(max_length=16, choices=Order, default=Order.USUAL)
    own_wait_seconds = models.PositiveIntegerField(
        default=0, help_text="So long a job waits for our own machines before it goes to the cloud."
    )
    providers = ArrayField(
        models.CharField(max_length=32),
        default=list,
        blank=True,
        help_text="Nobody but these, such as local,dashscope; empty: any.",
    )
    regions = ArrayField(
        models.CharField(max_length=40),
        default=list,
        blank=True,
        help_text="Never outside these: eu allows eu-west-1 too. A route without a region is outside. Empty: anywhere.",
    )
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "routing policies"

    def __str__(self) -> str:
        return f"{self.organization}: {self.order}"


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
