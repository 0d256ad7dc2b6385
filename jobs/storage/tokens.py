"""Signed pieces of addresses: who holds one may do the one thing it names, until it expires."""

from __future__ import annotations

import time
from typing import Any

from django.core import signing
from django.utils.http import base36_to_int, int_to_base36

STORAGE_SALT = "jobs.storage"
FILES_SALT = "jobs.files"


class TokenInvalid(Exception):
    """Not signed by us, or signed for something else."""


class TokenExpired(Exception):
    """Signed by us, but its time is over."""


def seal(content: dict[str, Any], *, seconds: int) -> str:
    """An address-safe token holding `content`, good for `seconds`."""
    signer = signing.Signer(salt=STORAGE_SALT)
    return signer.sign_object({**content, "x": int(time.time()) + seconds})


def unseal(token: str) -> dict[str, Any]:
    """What `seal` was given. Raises TokenInvalid or TokenExpired."""
    try:
        content = signing.Signer(salt=STORAGE_SALT).unsign_object(token)
    except (signing.BadSignature, ValueError):
        raise TokenInvalid from None
    if not isinstance(content, dict):
        raise TokenInvalid
    if content["x"] < time.time():
        raise TokenExpired
    return content


def file_token(asset_id: object, *, seconds: int) -> str:
    """Expiry and signature of one asset's address.

    The expiry is rounded up to the next eighth of `seconds`, so that polling again gives the same address for
    a while: players keep their cache and clients may compare addresses.
    """
    step = max(1, seconds // 8)
    expires = -(-(int(time.time()) + seconds) // step) * step
    moment = int_to_base36(max(0, expires))
    return f"{moment}-{signing.Signer(salt=FILES_SALT).signature(f'{asset_id}:{moment}')}"


def check_file_token(asset_id: object, token: str) -> int:
    """The seconds a token has left. Raises TokenInvalid or TokenExpired."""
    moment, _, signature = token.partition("-")
    try:
        signing.Signer(salt=FILES_SALT).unsign(f"{asset_id}:{moment}:{signature}")
        left = base36_to_int(moment) - int(time.time())
    except (signing.BadSignature, ValueError):
        raise TokenInvalid from None
    if left < 0:
        raise TokenExpired
    return left
