"""The organization's own accounts at providers."""

from __future__ import annotations

from typing import Any

from providers.models import ProviderAccount


def account(row: ProviderAccount) -> dict[str, Any]:
    return {
        "id": row.pk,
        "object": "provider_account",
        "provider": row.provider,
        "name": row.name,
        "region": row.settings.get("region"),
        "created_at": row.created_at.isoformat(),
    }


def checked(trouble: str) -> dict[str, Any]:
    return {"object": "provider_account_check", "accepted": not trouble, "message": trouble}
