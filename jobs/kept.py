"""Answers that are kept to be told again; Django finds the model by way of jobs.models."""

from __future__ import annotations

from django.db import models

from accounts.models import ApiKey, Organization
from accounts.tenancy import OrgQuerySet


class KeptAnswer(models.Model):
    """What a request with an Idempotency-Key was answered, to be told again; `status` is null while it is at work."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    key = models.ForeignKey(ApiKey, models.CASCADE, related_name="+")
    idempotency_key = models.CharField(max_length=255)
    request = models.CharField(max_length=255, help_text="method and path")
    body_hash = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    headers = models.JSONField(default=dict)
    sealed = models.TextField(blank=True, help_text="the body; some hold secrets")
    lease_until = models.DateTimeField(null=True)
    fence = models.BigIntegerField(default=1)
    expires_at = models.DateTimeField()

    objects = OrgQuerySet["KeptAnswer"].as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "idempotency_key"], name="kept_answer_once")]
        indexes = [models.Index(fields=["expires_at"], name="kept_answer_expiring")]
