"""What signs what we send, sealed with the application's key; Django finds the models by way of jobs.models."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models import Organization
from accounts.tenancy import OrgQuerySet


class SigningSecret(models.Model):
    """The secret that signs an organization's webhooks in one dialect, sealed with the application's key."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    dialect = models.CharField(max_length=16)
    sealed = models.TextField()
    created_at = models.DateTimeField(db_default=Now())

    objects = OrgQuerySet["SigningSecret"].as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "dialect"], name="signing_secret_once")
        ]


class PlatformKey(models.Model):
    """An Ed25519 key of this installation that signs webhooks; published in the JWKS page until `until`."""

    kid = models.CharField(max_length=43, primary_key=True, help_text="The RFC 7638 thumbprint.")
    sealed = models.TextField()
    public = models.BinaryField(max_length=32)
    created_at = models.DateTimeField(db_default=Now())
    until = models.DateTimeField(
        null=True, help_text="Of a key that was replaced: it signs beside its successor."
    )

    class Meta:
        # One key is the newest: two processes that make the first one agree on it.
        constraints = [
            models.UniqueConstraint(models.Value(1), name="platform_key_one", condition=Q(until=None))
        ]

    def __str__(self) -> str:
        return self.kid
