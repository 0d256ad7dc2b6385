"""What may be done, and which role may do it. Keys carry scopes, people roles; both are asked by scope."""

from __future__ import annotations

from typing import Final

SCOPES: Final[dict[str, str]] = {
    "jobs:read": "See jobs and download their videos",
    "jobs:write": "Start, cancel and delete jobs",
    "files:write": "Upload files",
    "billing:read": "See the balance, prices paid and invoices",
    "billing:write": "Buy credit and change how it is paid",
    "keys:write": "Create and revoke API keys",
    "webhooks:write": "Change webhooks",
    "members:write": "Invite and remove members",
    "organization:write": "Change the organization's settings",
}
ALL_SCOPES: Final = frozenset(SCOPES)
# What an ordinary programme needs; the key form ticks these.
DEFAULT_KEY_SCOPES: Final = ("jobs:read", "jobs:write", "files:write", "billing:read")

ROLE_SCOPES: Final[dict[str, frozenset[str]]] = {
    "owner": ALL_SCOPES,
    "admin": ALL_SCOPES - {"billing:write"},
    "developer": frozenset(
        {"jobs:read", "jobs:write", "files:write", "billing:read", "keys:write", "webhooks:write"}
    ),
    "billing": frozenset({"jobs:read", "billing:read", "billing:write"}),
    "viewer": frozenset({"jobs:read"}),
}
# A suspended organization may look at what it has and take it home, and nothing else.
SUSPENDED_SCOPES: Final = frozenset({"jobs:read", "billing:read"})
