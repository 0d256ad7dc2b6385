"""Writes the record of changes. Called by verbs inside the transaction of the change itself."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.http import HttpRequest

from accounts.address import client_address
from accounts.models import AuditEntry, Organization, User
from accounts.tenancy import Caller

# Who did it: a caller, an operator or a command acting for a person, or the system itself.
Actor = Caller | User | None


def record(
    action: str,
    *,
    by: Actor,
    target: models.Model,
    organization: Organization | None = None,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    request: HttpRequest | None = None,
) -> AuditEntry:
    """One entry. `before` and `after` are JSON without secrets; organization defaults to the caller's."""
    caller = by if isinstance(by, Caller) else None
    return AuditEntry.objects.create(
        organization=organization or (caller.organization if caller else None),
        actor_user=user_of(by),
        actor_key=caller.key if caller else None,
        action=action,
        target_type=target._meta.label_lower,  # noqa: SLF001  Django's documented way to a model's name
        target_id=str(target.pk),
        before=before,
        after=after,
        address=client_address(request) if request else (caller.address if caller else None),
    )


def user_of(by: Actor) -> User | None:
    """The person behind an actor; None for a key, whose entry carries the key itself, and for the system."""
    if isinstance(by, Caller):
        return None if by.key else by.user
    return by
