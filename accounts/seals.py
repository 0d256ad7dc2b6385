"""Sealing what must be readable again: encrypted at rest with the application's key.

Each purpose has a key of its own, derived from SECRET_KEY; what was sealed under one of SECRET_KEY_FALLBACKS still
opens, so the key can be changed without losing anything.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class SealBroken(Exception):
    """Sealed under a key that is gone, or changed since."""


class Seal:
    """`purpose` keeps what one room sealed from being opened by another."""

    def __init__(self, purpose: bytes) -> None:
        self.purpose = purpose

    def close(self, text: str) -> str:
        return self._fernet().encrypt(text.encode()).decode()

    def open(self, sealed: str) -> str:
        """What `close` was given. Raises SealBroken."""
        try:
            return self._fernet().decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise SealBroken from None

    def _fernet(self) -> MultiFernet:
        secrets = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
        return MultiFernet([self._key(secret) for secret in secrets])

    def _key(self, secret: str) -> Fernet:
        return Fernet(base64.urlsafe_b64encode(hmac.digest(secret.encode(), self.purpose, hashlib.sha256)))
