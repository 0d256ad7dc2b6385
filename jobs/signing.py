"""The installation's own Ed25519 keys: they sign webhooks, and anybody may check with the published public half."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from jobs.sealed import PlatformKey
from jobs.secrets import SealBroken, seal, unseal

log = logging.getLogger(__name__)


def sign(content: bytes) -> list[bytes]:
    """A signature by the key in force, then by those replaced a short while ago."""
    signatures = []
    for key in _in_force():
        try:
            seed = base64.b64decode(unseal(key.sealed))
        except SealBroken:
            log.exception("the signing key %s was sealed under another SECRET_KEY; rotate it", key.kid)
            continue
        signatures.append(Ed25519PrivateKey.from_private_bytes(seed).sign(content))
    return signatures


def jwks() -> dict[str, Any]:
    """The public keys as a JSON Web Key Set (RFC 7517, RFC 8037)."""
    shared = {"alg": "EdDSA", "use": "sig"}
    return {"keys": [{**_jwk(bytes(key.public)), **shared, "kid": key.kid} for key in _in_force()]}


def rotate(overlap: timedelta) -> PlatformKey:
    """A new key in force; the one before signs beside it, and stays published, for as long as `overlap`."""
    with transaction.atomic():
        PlatformKey.objects.filter(until=None).update(until=Now() + overlap)
        return _made()


def _in_force() -> list[PlatformKey]:
    """The newest key first; it is made when it is first asked for."""
    rows = PlatformKey.objects.filter(Q(until=None) | Q(until__gt=Now())).order_by("-created_at", "kid")
    found = list(rows)
    if any(key.until is None for key in found):
        return found
    _made()
    return list(rows.all())


def _made() -> PlatformKey:
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    sealed = seal(base64.b64encode(private.private_bytes_raw()).decode())
    key = PlatformKey(kid=_thumbprint(public), sealed=sealed, public=public)
    PlatformKey.objects.bulk_create([key], ignore_conflicts=True)  # a loser of the race reads the winner's
    return key


def _jwk(public: bytes) -> dict[str, str]:
    return {"crv": "Ed25519", "kty": "OKP", "x": _base64url(public)}


def _thumbprint(public: bytes) -> str:
    """RFC 7638."""
    canonical = json.dumps(_jwk(public), sort_keys=True, separators=(",", ":"))
    return _base64url(hashlib.sha256(canonical.encode()).digest())


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
