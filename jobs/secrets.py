"""The signing secrets of organizations, sealed."""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction

from accounts.models import Organization
from accounts.seals import Seal, SealBroken
from jobs.sealed import SigningSecret

__all__ = ["SealBroken", "kept_secret", "seal", "unseal"]

_seal = Seal(b"jobs.secrets")
seal, unseal = _seal.close, _seal.open


def kept_secret(organization: Organization, dialect: str, make: Callable[[], str]) -> str:
    """The organization's signing secret in a dialect; `make` makes it when it is first asked for."""
    kept = SigningSecret.objects.for_org(organization).filter(dialect=dialect).first()
    if kept is None:
        with transaction.atomic():  # a loser of the race reads the winner's
            kept, _ = SigningSecret.objects.get_or_create(
                organization=organization, dialect=dialect, defaults={"sealed": seal(make())}
            )
    return unseal(kept.sealed)
