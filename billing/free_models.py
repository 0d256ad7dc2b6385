"""What is free of a model for everybody who begins, and how much of it each organization has used."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from accounts.models import Organization
from accounts.tenancy import OrgQuerySet

THOUSANDTHS = 1000


class FreeUnit(models.TextChoices):
    """The units of prices that can be free. The fee for an own key cannot: nothing is rendered for us to give away."""

    SECOND = "second", "Second"
    IMAGE = "image", "Image"


class FreeQuota(models.Model):
    """So many units of a model are free, once, before anything of it is paid. An organization's own row wins."""

    model = models.CharField(max_length=80, help_text="As in the price book.")
    unit = models.CharField(max_length=10, choices=FreeUnit, default=FreeUnit.SECOND)
    units = models.PositiveIntegerField(
        "free units", help_text="Once for each organization, new ones too. Zero: nothing of it is free."
    )
    organization = models.ForeignKey(
        Organization,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        help_text="Blank: everybody.",
    )

    class Meta:
        verbose_name_plural = "free quotas"
        constraints = [
            models.UniqueConstraint(
                fields=["model", "organization"],
                name="free_quota_once",
                nulls_distinct=False,
                violation_error_message="There is a quota of this model for the same; change that one.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.units} x {self.unit} of {self.model}"


class FreeUse(models.Model):
    """What an organization's jobs hold and have used of a model's free units, ever: the projection the quota is checked
    against, under the lock of its account. In thousandths of a unit, since a price may count in less than seconds.
    """

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    model = models.CharField(max_length=80)
    held = models.BigIntegerField(default=0)
    used = models.BigIntegerField(default=0)

    objects = OrgQuerySet["FreeUse"].as_manager()

    class Meta:
        verbose_name_plural = "free use"
        constraints = [
            models.UniqueConstraint(fields=["organization", "model"], name="free_use_once"),
            models.CheckConstraint(condition=Q(held__gte=0, used__gte=0), name="free_use_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.used / THOUSANDTHS:g} of {self.model}"
