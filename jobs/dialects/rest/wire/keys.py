"""API keys."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError

from accounts.keys import normal_network
from accounts.models import ApiKey
from billing.models import KeySpend
from jobs.errors import Invalid

# A time that no calendar of ours can show is refused.
LATEST = timedelta(days=100 * 365)


def settings(body: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """What a body says of a key, as the verbs take it. Raises Invalid."""
    wanted = dict(body)
    if "name" in wanted and not wanted["name"].strip():
        raise Invalid("parameter_invalid", "name must be a text of 1 to 120 characters.", field="name")
    if wanted.get("expires_at") is not None:
        wanted["expires_at"] = _end(wanted["expires_at"], now)
    if "allowed_networks" in wanted:
        wanted["allowed_networks"] = [_network(text) for text in wanted["allowed_networks"]]
    return wanted


def _end(text: str, now: datetime) -> datetime:
    end = datetime.fromisoformat(text.upper())
    if not now < end < now + LATEST:
        message = "expires_at must be a time to come, within a hundred years."
        raise Invalid("parameter_invalid", message, field="expires_at")
    return end.astimezone(UTC)  # PostgreSQL takes no offset of 16 hours or more


def _network(text: str) -> str:
    try:
        return normal_network(text)
    except ValidationError as refusal:
        raise Invalid("parameter_invalid", refusal.messages[0], field="allowed_networks") from None


def key(row: ApiKey, spend: KeySpend | None, successor: ApiKey | None, *, current: bool) -> dict[str, Any]:
    """A row that came through with_clock()."""
    return {
        "id": str(row.pk),
        "object": "api_key",
        "name": row.name,
        "last4": row.last4,
        "status": "revoked" if row.revoked_at else "expired" if row.expired else "active",
        "scopes": row.scopes,
        "expires_at": _moment(row.expires_at),
        "allowed_networks": row.allowed_networks,
        "spend_cap_micros": row.spend_cap_micros,
        "spent_micros": spend.spent_micros if spend else 0,
        "held_micros": spend.held_micros if spend else 0,
        "replaces": str(row.replaces_id) if row.replaces_id else None,
        "replaced_by": str(successor.pk) if successor else None,
        "current": current,
        "created_at": row.created_at.isoformat(),
        "last_used_at": _moment(row.last_used_at),
        "revoked_at": _moment(row.revoked_at),
    }


def _moment(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
