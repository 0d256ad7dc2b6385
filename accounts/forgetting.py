"""What stays of a person or an organization that is erased: rows that others refer to, and nothing that says who it was.

Both run inside their caller's transaction and may run twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.db.models import Q
from django.db.models.functions import Coalesce, Now

from accounts import key_cache
from accounts.models import ApiKey, AuditEntry, Invitation, Member, Note, Organization, User

NAMELESS = "Deleted organization"
BLANK = {"before": None, "after": None, "address": None}


def forget_organization(organization: Organization) -> None:
    """Its keys stay as numbers (the books name them), its audit entries as what happened when, without details."""
    keys = ApiKey.objects.for_org(organization)
    key_cache.forget(keys)
    keys.update(
        name="deleted",
        allowed_networks=[],
        last_used_address=None,
        created_by=None,
        revoked_at=Coalesce("revoked_at", Now()),
    )
    Invitation.objects.for_org(organization).delete()
    Member.objects.for_org(organization).delete()
    with forgetting():
        Note.objects.for_org(organization).delete()
        AuditEntry.objects.for_org(organization).update(**BLANK)
    slug = f"deleted-{organization.pk.hex[:12]}"
    Organization.objects.filter(pk=organization.pk).update(name=NAMELESS, slug=slug)


def forget_person(user: User) -> None:
    """The row stays nameless: what they did in organizations that go on is still somebody's doing."""
    email = user.email
    for session in UserSession.objects.filter(user=user):
        session.end()
    for own in (EmailAddress, Authenticator, SocialAccount):
        own.objects.filter(user=user).delete()
    LogEntry.objects.filter(user=user).delete()
    Member.objects.filter(user=user).delete()
    Invitation.objects.filter(email=email).delete()
    ApiKey.objects.filter(created_by=user).update(created_by=None)
    with forgetting():
        AuditEntry.objects.filter(actor_user=user).update(address=None)
        # They are named in entries about people alone.
        about = AuditEntry.objects.filter(target_type__in=["accounts.member", "accounts.invitation"])
        about.filter(Q(before__email=email) | Q(after__email=email)).update(**BLANK)
        AuditEntry.objects.filter(target_type="accounts.user", target_id=str(user.pk)).update(**BLANK)
    user.email, user.name = f"deleted-{user.pk}@deleted.invalid", ""
    user.is_active = user.is_staff = user.is_superuser = user.letters_when_finished = False
    user.set_unusable_password()
    user.save()


@contextmanager
def forgetting() -> Iterator[None]:
    """The records' triggers let nothing through but this, and this only where it is asked for by name."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL voicereel.forgetting = 'on'")
        yield
        cursor.execute("SET LOCAL voicereel.forgetting = 'off'")
