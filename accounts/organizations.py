"""Organizations begin here, whoever starts them: a sign-up, a command, an operator."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import cast

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils.module_loading import import_string
from django.utils.text import slugify

from accounts import audit, key_cache
from accounts.audit import Actor
from accounts.errors import TooManyOrganizations
from accounts.models import ApiKey, Member, Note, Organization, Role, User
from accounts.tenancy import Caller, require

SLUG_LENGTH = 60
FALLBACK_SLUG = "organization"
MOST_OWNED = 10


def create_organization(
    name: str, owner: User, *, tier: str = "", by: Actor = None, welcome: bool = True
) -> Organization:
    """A new organization with its first owner.

    Whatever other rooms do to welcome one (a credit) is named in ORGANIZATION_CREATED and runs inside the same
    transaction: an organization exists with all of it or not at all.
    """
    name = name.strip()[:120] or f"{owner.get_short_name()}'s workspace"
    with transaction.atomic():
        organization = Organization.objects.create(name=name, slug=_free_slug(name), tier=tier)
        Member.objects.create(organization=organization, user=owner, role=Role.OWNER)
        audit.record(
            "organization.create",
            by=by or owner,
            organization=organization,
            target=organization,
            after={"name": name, "owner": owner.email},
        )
        for path in settings.ORGANIZATION_CREATED if welcome else ():
            cast(Callable[[Organization], None], import_string(path))(organization)
    return organization


def create_another(name: str, owner: User) -> Organization:
    """One more for somebody who has one. It gets no welcome: else credit could be had by making organizations."""
    with transaction.atomic():
        User.objects.select_for_update().get(pk=owner.pk)
        if Member.objects.of_user(owner).owners().count() >= MOST_OWNED:
            raise TooManyOrganizations
        return create_organization(name, owner, welcome=False)


def change(caller: Caller, *, name: str, retention_days: int) -> None:
    """The settings that are its own to change. `retention_days` counts for files that come from now on."""
    require(caller, "organization:write")
    organization = caller.organization
    wanted = {"name": name, "retention_days": retention_days}
    with transaction.atomic():
        row = Organization.objects.select_for_update().get(pk=organization.pk)
        before = {field: getattr(row, field) for field in wanted}
        changed = {field: value for field, value in wanted.items() if value != before[field]}
        if changed:
            Organization.objects.filter(pk=row.pk).update(**changed)
            key_cache.forget(ApiKey.objects.for_org(row))
            old = {field: before[field] for field in changed}
            audit.record("organization.change", by=caller, target=row, before=old, after=changed)
    organization.refresh_from_db(fields=list(wanted))


def _free_slug(name: str) -> str:
    """The name in a URL's letters; taken ones get a random tail instead of a guessable count."""
    slug = slugify(name)[:SLUG_LENGTH].strip("-") or FALLBACK_SLUG
    if not Organization.objects.filter(slug=slug).exists():
        return slug
    return f"{slug[: SLUG_LENGTH - 9]}-{secrets.token_hex(4)}"


def suspend(
    organization: Organization, by: Actor, *, reason: str = "", request: HttpRequest | None = None
) -> None:
    """From now on its keys are refused and its members can only look. Jobs under way go on to their end."""
    _set_suspended(organization, Now(), "organization.suspend", by, reason, request)


def resume(
    organization: Organization, by: Actor, *, reason: str = "", request: HttpRequest | None = None
) -> None:
    _set_suspended(organization, None, "organization.resume", by, reason, request)


def _set_suspended(
    organization: Organization,
    to: Now | None,
    action: str,
    by: Actor,
    reason: str,
    request: HttpRequest | None,
) -> None:
    """Doing it twice changes nothing, so that the first time stays on record."""
    rows = Organization.objects.filter(pk=organization.pk, suspended_at__isnull=to is not None)
    with transaction.atomic():
        if rows.update(suspended_at=to):
            key_cache.forget(ApiKey.objects.for_org(organization))
            audit.record(
                action,
                by=by,
                organization=organization,
                target=organization,
                before={"suspended": to is None},
                after={"suspended": to is not None, "reason": reason},
                request=request,
            )
    organization.refresh_from_db(fields=["suspended_at"])


def note(organization: Organization, text: str, by: User, *, request: HttpRequest | None = None) -> Note:
    """Written down for operators; it is never changed."""
    with transaction.atomic():
        written = Note.objects.create(organization=organization, author=by, text=text)
        audit.record(
            "organization.note",
            by=by,
            organization=organization,
            target=written,
            after={"text": text},
            request=request,
        )
    return written
