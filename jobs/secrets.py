"""Secrets that must be readable again, sealed with the application's key.

Fernet keys are derived from SECRET_KEY; what was sealed under one of SECRET_KEY_FALLBACKS still opens, so the
key can be changed without losing anything.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import transaction

from accounts.models import Organization
from jobs.models import SigningSecret

PURPOSE = b"jobs.secrets"


class SealBroken(Exception):
    """Sealed under a key that is gone, or changed since."""


def seal(text: str) -> str:
    return _fernet().encrypt(text.encode()).decode()


def unseal(sealed: str) -> str:
    """What `seal` was given. Raises SealBroken."""
    try:
        return _fernet().decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise SealBroken from None


def kept_secret(organization: Organization, dialect: str, make: Callable[[], str]) -> str:
    """The organization's signing secret in a dialect; `make` makes it when it is first asked for."""
    kept = SigningSecret.objects.for_org(organization).filter(dialect=dialect).first()
    if kept is None:
        with transaction.atomic():  # a loser of the race reads the winner's
            kept, _ = SigningSecret.objects.get_or_create(
                organization=organization, dialect=dialect, defaults={"sealed": seal(make())}
            )
    return unseal(kept.sealed)


def _fernet() -> MultiFernet:
    return MultiFernet([_key(secret) for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)])


def _key(secret: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hmac.digest(secret.encode(), PURPOSE, hashlib.sha256)))
