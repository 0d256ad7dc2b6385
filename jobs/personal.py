"""What is owed to persons: copies of data, deletions, letters. Django finds the models by way of jobs.models."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models import Organization, User
from accounts.tenancy import OrgQuerySet
from jobs.types import new_id

ONE_SUBJECT = Q(organization=None, user__isnull=False) | Q(organization__isnull=False, user=None)


class Personal(models.Model):
    """Something to be done about an organization or a person, by whoever claims it: lease and fence."""

    id = models.UUIDField(primary_key=True, default=new_id)
    organization = models.ForeignKey(Organization, models.PROTECT, null=True, related_name="+")
    user = models.ForeignKey(
        User, models.PROTECT, null=True, related_name="+", help_text="Of a person's own."
    )
    requested_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    due_at = models.DateTimeField(db_default=Now())
    lease_until = models.DateTimeField(null=True)
    fence = models.BigIntegerField(default=0)
    tries = models.PositiveIntegerField(default=0)
    tell_at = models.DateTimeField(null=True, help_text="When a letter about it is to be sent.")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        abstract = True


class DataExport(Personal):
    """A copy of all data as one archive, which its owner fetches until it ends."""

    class Status(models.TextChoices):
        WAITING = "waiting", "Being made"
        READY = "ready", "Ready"
        FAILED = "failed", "Failed"
        OVER = "over", "Over"

    status = models.CharField(max_length=8, choices=Status, default=Status.WAITING)
    key = models.CharField(max_length=255, blank=True)
    bytes = models.BigIntegerField(default=0)
    expires_at = models.DateTimeField(null=True)

    objects = OrgQuerySet["DataExport"].as_manager()

    class Meta:
        constraints = [models.CheckConstraint(condition=ONE_SUBJECT, name="export_of_one")]
        indexes = [
            models.Index(fields=["due_at"], name="export_due", condition=Q(status="waiting")),
            models.Index(fields=["expires_at"], name="export_expiring", condition=Q(status="ready")),
            models.Index(fields=["tell_at"], name="export_to_tell", condition=Q(tell_at__isnull=False)),
        ]


class Erasure(Personal):
    """A deletion: it may be called off until it has begun. `letters` are the addresses to tell of its end."""

    class Status(models.TextChoices):
        SCHEDULED = "scheduled"
        ERASING = "erasing"
        DONE = "done"
        CALLED_OFF = "called_off"

    OPEN = ("scheduled", "erasing")

    status = models.CharField(max_length=12, choices=Status, default=Status.SCHEDULED)
    suspended = models.BooleanField(
        default=False, help_text="By this deletion, not by an operator before it."
    )
    letters = ArrayField(models.EmailField(), default=list)
    files = models.PositiveIntegerField(default=0)
    done_at = models.DateTimeField(null=True)

    objects = OrgQuerySet["Erasure"].as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=ONE_SUBJECT, name="erasure_of_one"),
            models.UniqueConstraint(
                fields=["organization"], name="erasure_once", condition=Q(status__in=["scheduled", "erasing"])
            ),
            models.UniqueConstraint(
                fields=["user"],
                name="erasure_of_person_once",
                condition=Q(status__in=["scheduled", "erasing"]),
            ),
        ]
        indexes = [
            models.Index(
                fields=["due_at"], name="erasure_due", condition=Q(status__in=["scheduled", "erasing"])
            ),
            models.Index(fields=["tell_at"], name="erasure_to_tell", condition=Q(tell_at__isnull=False)),
        ]


class JobLetter(models.Model):
    """A letter that is owed to whoever started a job; gone once it is sent."""

    job = models.OneToOneField("Job", models.CASCADE, primary_key=True, related_name="+")
    tell_at = models.DateTimeField(db_default=Now(), db_index=True)

    def __str__(self) -> str:
        return str(self.job_id)
