"""Endpoints that are told of an organization's jobs and money, what is on its way to them, and what came of each try."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models import Organization
from accounts.tenancy import OrgQuerySet
from billing.models import Alert
from jobs.types import new_id


class WebhookEndpointQuerySet(OrgQuerySet["WebhookEndpoint"]):
    def live(self) -> WebhookEndpointQuerySet:
        """Without those the customer deleted."""
        return self.filter(deleted_at=None)


class WebhookEndpoint(models.Model):
    """Where an organization wants to be told of its jobs. Its secrets are sealed; a replaced one is good for a while."""

    class Reason(models.TextChoices):
        CUSTOMER = "customer", "Switched off by its owner"
        GONE = "gone", "It answered 410"
        FAILING = "failing", "Nothing but failures for days"

    id = models.UUIDField(primary_key=True, default=new_id)
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="webhook_endpoints")
    url = models.CharField(max_length=2048)
    description = models.CharField(max_length=200, blank=True)
    events = ArrayField(
        models.CharField(max_length=64), help_text="Types as webhooks name them; * is every one."
    )
    enabled = models.BooleanField(default=True)
    sealed = models.TextField()
    previous_sealed = models.TextField(blank=True)
    previous_until = models.DateTimeField(null=True)
    failing_since = models.DateTimeField(null=True, help_text="The first failure since the last success.")
    disabled_at = models.DateTimeField(null=True)
    disabled_reason = models.CharField(max_length=16, choices=Reason, blank=True)
    tell_at = models.DateTimeField(null=True, help_text="When its people are to be told that we disabled it.")
    created_at = models.DateTimeField(db_default=Now())
    deleted_at = models.DateTimeField(null=True)

    objects = WebhookEndpointQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(deleted_at=None) | Q(enabled=False), name="endpoint_deleted_is_off"
            )
        ]
        indexes = [
            models.Index(fields=["tell_at"], name="endpoint_to_tell", condition=Q(tell_at__isnull=False))
        ]

    def __str__(self) -> str:
        return self.url


class DeliveryQuerySet(OrgQuerySet["Delivery"]):
    def due(self) -> DeliveryQuerySet:
        """Neither delivered nor given up."""
        return self.filter(status="due")


class Delivery(models.Model):
    """One webhook to send, inserted with what it tells of: an event or an alert to an endpoint, or a job's end to its own
    address. A test tells of nothing.

    The id is the same on every try; the body is drawn at each, so that the addresses in it are fresh. A lane is what
    fails together: an endpoint, or an organization's jobs' addresses on one server.
    """

    class Status(models.TextChoices):
        DUE = "due"
        DELIVERED = "delivered"
        FAILED = "failed"

    class Reason(models.TextChoices):
        """Why it was given up."""

        TRIES = "tries_used_up"
        GONE = "gone"
        DISABLED = "endpoint_disabled"

    id = models.UUIDField(primary_key=True, default=new_id)
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="+")
    job = models.ForeignKey("jobs.Job", models.PROTECT, null=True, related_name="deliveries")
    endpoint = models.ForeignKey(
        WebhookEndpoint, models.CASCADE, null=True, related_name="deliveries", db_index=False
    )
    event = models.ForeignKey("jobs.JobEvent", models.CASCADE, null=True, related_name="+", db_index=False)
    alert = models.ForeignKey(Alert, models.CASCADE, null=True, related_name="+", db_index=False)
    type = models.CharField(max_length=64)
    dialect = models.CharField(max_length=16)
    url = models.CharField(max_length=2048)
    lane = models.CharField(max_length=320)
    status = models.CharField(max_length=16, choices=Status, default=Status.DUE)
    reason = models.CharField(max_length=24, choices=Reason, blank=True)
    tries = models.PositiveIntegerField(default=0)
    scheduled_at = models.DateTimeField(db_default=Now(), help_text="When its schedule of tries began.")
    due_at = models.DateTimeField(db_default=Now())
    lease_until = models.DateTimeField(null=True)
    fence = models.BigIntegerField(default=0)
    last_status = models.IntegerField(null=True)
    last_answer = models.CharField(max_length=1000, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(fields=["job", "url"], name="delivery_once", condition=Q(endpoint=None)),
            models.UniqueConstraint(fields=["endpoint", "event"], name="delivery_once_an_event"),
            models.UniqueConstraint(
                fields=["alert", "endpoint"], name="delivery_once_an_alert", condition=Q(alert__isnull=False)
            ),
        ]
        # The first four know only what is still to be sent. jobs.lanes reads them: the next of a lane, what stands
        # before it, how many of the lane are on their way, and whether one of them has failed before.
        indexes = [
            models.Index(fields=["lane", "due_at", "event"], name="delivery_due", condition=Q(status="due")),
            models.Index(fields=["lane", "job", "event"], name="delivery_before", condition=Q(status="due")),
            models.Index(
                fields=["lane"], name="delivery_flying", condition=Q(status="due", lease_until__isnull=False)
            ),
            models.Index(
                fields=["lane"], name="delivery_failed_before", condition=Q(status="due", tries__gt=0)
            ),
            models.Index(fields=["endpoint", "-id"], name="delivery_of_endpoint"),
            models.Index(fields=["finished_at"], name="delivery_old", condition=Q(finished_at__isnull=False)),
            # The console's filter: nearly all are delivered.
            models.Index(
                fields=["status", "-id"], name="delivery_by_status", condition=~Q(status="delivered")
            ),
            models.Index(fields=["dialect", "-id"], name="delivery_by_dialect"),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def address(self) -> str:
        """Where it goes now: an endpoint may have moved since."""
        return self.endpoint.url if self.endpoint else self.url


class DeliveryTry(models.Model):
    """One request and what came of it. `status` is None where no answer came; `answer` then says why."""

    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="log")
    at = models.DateTimeField(db_default=Now())
    status = models.IntegerField(null=True)
    answer = models.CharField(max_length=1000, blank=True)
    duration_ms = models.PositiveIntegerField()

    class Meta:
        ordering: ClassVar[list[str]] = ["id"]

    def __str__(self) -> str:
        return f"{self.delivery_id}: {self.status}"
