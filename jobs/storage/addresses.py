"""Addresses of files as customers see them: signed, stable for a while, recognised when they come back."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit
from uuid import UUID

from django.conf import settings

from jobs.storage.keys import safe_name
from jobs.storage.tokens import TokenExpired, TokenInvalid, check_file_token, file_token

PATH = re.compile(r"/files/(?P<id>[0-9a-fA-F-]{36})/(?P<token>[A-Za-z0-9_-]+)/[^/]*")
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
DEFAULT_PORTS = {"http": 80, "https": 443}


class AddressExpired(Exception):
    """One of our own file addresses whose time is over."""

    code = "file_address_expired"
    message = "This file address has expired; ask for a new one."


def asset_url(asset_id: UUID, filename: str, *, seconds: int | None = None) -> str:
    """The address we hand to customers. It outlives a change of storage and never shows the key."""
    life = settings.OUTPUT_URL_SECONDS if seconds is None else seconds
    token = file_token(asset_id, seconds=life)
    return f"{settings.PUBLIC_URL}/files/{asset_id}/{token}/{quote(safe_name(filename))}"


def asset_id_of(url: str) -> UUID | None:
    """The asset one of our own addresses names; None for all others, forged ones too.

    Raises AddressExpired.
    """
    try:
        parts = urlsplit(url.strip())
        ours = _place(url.strip()) == _place(settings.PUBLIC_URL)
    except ValueError:
        return None
    match = PATH.fullmatch(parts.path.removeprefix(urlsplit(settings.PUBLIC_URL).path))
    if not ours or match is None:
        return None
    try:
        asset_id = UUID(match["id"])
        check_file_token(asset_id, match["token"])
    except (ValueError, TokenInvalid):
        return None
    except TokenExpired:
        raise AddressExpired from None
    return asset_id


def _place(url: str) -> tuple[str, int] | None:
    """Host and port, the scheme aside: a proxy may end TLS. All names of this machine are one."""
    parts = urlsplit(url)
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        return None
    host = "loopback" if parts.hostname in LOOPBACK else parts.hostname.rstrip(".")
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    return host, 80 if port == DEFAULT_PORTS["https"] else port
