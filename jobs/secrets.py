"""Secrets that must be readable again, sealed with the application's key.

Fernet keys are derived from SECRET_KEY; what was sealed under one of SECRET_KEY_FALLBACKS still opens, so the
key can be changed without losing anything.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

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


def _fernet() -> MultiFernet:
    return MultiFernet([_key(secret) for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)])


def _key(secret: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hmac.digest(secret.encode(), PURPOSE, hashlib.sha256)))
