"""API keys: made, read, checked, replaced and revoked.

A key is `vr_` + 43 random base62 characters (256 bits) + 6 base62 characters of the CRC32 of all before them.
The checksum lets a typo be refused without a database read, and lets scanners recognise leaked keys.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
import zlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Least, Now
from django.http import HttpRequest

from accounts import audit, key_cache
from accounts.address import within
from accounts.audit import Actor
from accounts.delegation import SETTINGS, checked_scopes, key_of, within_own
from accounts.errors import (
    AddressNotAllowed,
    KeyEnded,
    KeyExpired,
    KeyRevoked,
    MalformedKey,
    OrganizationSuspended,
    UnknownKey,
)
from accounts.models import ApiKey, Organization
from accounts.tenancy import Caller

PREFIX = "vr_"
RANDOM_CHARACTERS = 43
CHECKSUM_CHARACTERS = 6
SHAPE = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{RANDOM_CHARACTERS + CHECKSUM_CHARACTERS}}}", re.ASCII)
BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
# How often a busy key's last use is written down.
LAST_USED_EVERY = timedelta(minutes=1)


def parse(text: str) -> bytes:
    """The digest to look the key up by. Raises MalformedKey without asking the database.

    White space around a key is dropped: it comes with pasting and shows in no error message.
    """
    text = text.strip()
    if not SHAPE.fullmatch(text):
        raise MalformedKey
    body, checksum = text[:-CHECKSUM_CHARACTERS], text[-CHECKSUM_CHARACTERS:]
    if not hmac.compare_digest(_checksum(body), checksum):
        raise MalformedKey
    return hashlib.sha256(text.encode()).digest()


def issue(
    organization: Organization,
    *,
    name: str,
    by: Actor,
    scopes: Iterable[str],
    expires_at: datetime | None = None,
    allowed_networks: Iterable[str] = (),
    spend_cap_micros: int | None = None,
    replaces: ApiKey | None = None,
) -> tuple[ApiKey, str]:
    """A new key and its text, which exists nowhere else.

    Callers give away only scopes they have. A key that issues another passes on its own end and its networks where
    none are named, and refuses wider ones. Raises ValidationError, ScopeMissing, LimitEscaped.
    """
    # A key that replaces another has its settings or is refused; only a new one inherits.
    issuer = None if replaces else key_of(by)
    networks = [normal_network(network) for network in allowed_networks]
    text = _new_text()
    key = ApiKey(
        organization=organization,
        created_by=by.user if isinstance(by, Caller) else by,
        name=name,
        digest=parse(text),
        last4=text[-4:],
        scopes=checked_scopes(scopes),
        expires_at=expires_at or (issuer.expires_at if issuer else None),
        allowed_networks=networks or (issuer.allowed_networks if issuer else []),
        spend_cap_micros=spend_cap_micros,
        replaces=replaces,
        first_id=replaces.chain_id if replaces else None,
    )
    within_own(by, key, SETTINGS)
    with transaction.atomic():
        key.save(force_insert=True)
        after = {"name": name, "scopes": key.scopes, "last4": key.last4}
        audit.record("key.issue", by=by, organization=organization, target=key, after=after)
    return key, text


def change(key: ApiKey, by: Actor, changes: Mapping[str, Any]) -> ApiKey:
    """Gives a key other settings: name, and any of SETTINGS. Raises as `issue` does, and KeyEnded."""
    with transaction.atomic():
        row = ApiKey.objects.select_for_update().get(pk=key.pk)
        if row.revoked_at:
            raise KeyEnded("This API key was revoked; it cannot be changed any more.")
        wanted = dict(changes)
        if "scopes" in wanted:
            wanted["scopes"] = checked_scopes(wanted["scopes"])
        if "allowed_networks" in wanted:
            wanted["allowed_networks"] = [normal_network(text) for text in wanted["allowed_networks"]]
        changed = sorted(name for name, value in wanted.items() if getattr(row, name) != value)
        if not changed:
            return row
        before = {name: _plain(getattr(row, name)) for name in changed}
        held = set(row.scopes)
        for name in changed:
            setattr(row, name, wanted[name])
        within_own(by, row, changed, but=held)
        row.save(update_fields=changed)
        key_cache.forget(ApiKey.objects.filter(pk=row.pk))
        after = {name: _plain(getattr(row, name)) for name in changed}
        audit.record(
            "key.change", by=by, organization=row.organization, target=row, before=before, after=after
        )
    return row


def authenticate(text: str, address: str | None) -> Caller:
    """The caller a key's text stands for: one query, or none if it was asked a moment ago. Raises a leaf of
    accounts.errors.
    """
    digest = parse(text)
    key = key_cache.find(digest)
    if key is None:
        key = _accepted(digest, address)
        key_cache.keep(key)
    elif key.allowed_networks and not within(address, key.allowed_networks):
        raise AddressNotAllowed
    return Caller(organization=key.organization, key=key, user=key.created_by, address=address)


def _accepted(digest: bytes, address: str | None) -> ApiKey:
    rows = ApiKey.objects.select_related("organization", "created_by").with_clock()
    key = rows.filter(digest=digest).first()
    if key is None or not hmac.compare_digest(bytes(key.digest), digest):
        raise UnknownKey
    if key.revoked_at:
        raise KeyRevoked
    if key.expired:
        raise KeyExpired
    if key.allowed_networks and not within(address, key.allowed_networks):
        raise AddressNotAllowed
    if key.organization.suspended_at:
        raise OrganizationSuspended
    if key.last_used_at is None or key.now - key.last_used_at >= LAST_USED_EVERY:
        _write_last_use(key, address)
    return key


def holds(caller: Caller, scope: str) -> bool:
    """Whether whoever was let in by a key would still be: asked by connections that stay open. One query."""
    if caller.key is None:
        return False
    key = ApiKey.objects.select_related("organization").with_clock().filter(pk=caller.key.pk).first()
    if key is None or key.revoked_at or key.expired or key.organization.suspended_at:
        return False
    return scope in key.scopes


def rotate(key: ApiKey, overlap: timedelta, *, by: Actor) -> tuple[ApiKey, str]:
    """A new key with the old one's settings; the old one works on for the overlap, if it would have.

    Both spend from one cap, with what the old one has spent already. Raises as `issue` does, and KeyEnded.
    """
    with transaction.atomic():
        key = ApiKey.objects.select_for_update().get(pk=key.pk)
        _may_be_rotated(key)
        new, text = issue(
            key.organization,
            name=key.name,
            by=by,
            scopes=key.scopes,
            expires_at=key.expires_at,
            allowed_networks=key.allowed_networks,
            spend_cap_micros=key.spend_cap_micros,
            replaces=key,
        )
        # PostgreSQL's LEAST passes over nulls: a key without an end gets one here.
        ApiKey.objects.filter(pk=key.pk).update(expires_at=Least("expires_at", Now() + overlap))
        key_cache.forget(ApiKey.objects.filter(pk=key.pk))
        audit.record(
            "key.rotate", by=by, organization=key.organization, target=key, after={"new": str(new.pk)}
        )
    return new, text


def revoke(key: ApiKey, by: Actor, *, request: HttpRequest | None = None) -> None:
    """From now on the key is refused. Revoking twice changes nothing."""
    with transaction.atomic():
        changed = ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=Now())
        key.refresh_from_db(fields=["revoked_at"])
        key_cache.forget(ApiKey.objects.filter(pk=key.pk))
        if changed:
            audit.record(
                "key.revoke",
                by=by,
                organization=key.organization,
                target=key,
                before={"name": key.name, "revoked": False},
                after={"revoked": True},
                request=request,
            )


def _may_be_rotated(key: ApiKey) -> None:
    if key.revoked_at:
        raise KeyEnded("This API key was revoked; issue a new one instead.")
    newer = ApiKey.objects.filter(replaces=key).first()
    if newer:
        raise KeyEnded(f"This API key was replaced by {newer.pk} already; rotate that one.")


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _new_text() -> str:
    body = PREFIX + "".join(secrets.choice(BASE62) for _ in range(RANDOM_CHARACTERS))
    return body + _checksum(body)


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(CHECKSUM_CHARACTERS):
        number, digit = divmod(number, len(BASE62))
        digits = BASE62[digit] + digits
    return digits


def normal_network(text: str) -> str:
    try:
        return str(ip_network(text.strip(), strict=False))
    except ValueError:
        raise ValidationError(f"{text!r} is not a network such as 203.0.113.0/24.", code="network") from None


def _write_last_use(key: ApiKey, address: str | None) -> None:
    """Conditional, so that of many parallel calls one writes."""
    stale = Q(last_used_at=None) | Q(last_used_at__lte=Now() - LAST_USED_EVERY)
    ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=Now(), last_used_address=address)
