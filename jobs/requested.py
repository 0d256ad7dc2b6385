"""What programmes asked, as it is kept; jobs.request_log writes it."""

from __future__ import annotations

from django.db import models

from accounts.models import ApiKey, Organization
from accounts.tenancy import OrgQuerySet
from jobs.types import new_id


class ApiRequestQuerySet(OrgQuerySet["ApiRequest"]):
    def newest_first(self) -> ApiRequestQuerySet:
        return self.order_by("-id")


class ApiRequest(models.Model):
    """One request that a key made, and what became of it. Written in batches; `jobs.request_log` says how.

    Without constraints to other tables: a batch of a thousand must not be checked two thousand times, nor fail because
    an organization has gone meanwhile.
    """

    id = models.UUIDField(primary_key=True, default=new_id)
    organization = models.ForeignKey(
        Organization, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    key = models.ForeignKey(
        ApiKey, models.DO_NOTHING, null=True, related_name="+", db_constraint=False, db_index=False
    )
    request_id = models.CharField(max_length=64)
    method = models.CharField(max_length=10)
    path = models.CharField(max_length=200, help_text="The address with names in the place of ids.")
    status = models.PositiveSmallIntegerField()
    code = models.CharField(max_length=64, blank=True, help_text="Of a refusal, in the words of its dialect.")
    duration_ms = models.PositiveIntegerField()
    address = models.GenericIPAddressField(null=True)
    at = models.DateTimeField(help_text="By the clock of the process that answered.")

    objects = ApiRequestQuerySet.as_manager()

    class Meta:
        # Filters look through one organization's rows, which are bounded; each further index would cost every request.
        indexes = [
            models.Index(fields=["organization", "-id"], name="api_request_newest"),
            models.Index(fields=["organization", "request_id"], name="api_request_by_request"),
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.path}: {self.status}"

    @property
    def tone(self) -> str:
        if self.status >= 500:  # noqa: PLR2004  HTTP's classes
            return "bad"
        return "busy" if self.status >= 400 else "good"  # noqa: PLR2004  HTTP's classes
