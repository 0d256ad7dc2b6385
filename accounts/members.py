"""Who belongs to an organization, and as what. An organization always keeps an owner."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Final

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from accounts import audit
from accounts.audit import Actor
from accounts.errors import AlreadyMember, InvitationInvalid, LastOwner, ScopeMissing
from accounts.models import Invitation, Member, Organization, Role, User
from accounts.tenancy import Caller, require

INVITATION_LASTS: Final = timedelta(days=7)


def invite(caller: Caller, email: str, role: Role) -> tuple[Invitation, str]:
    """A place for the address, and the token that its owner must bring. Sending it is the view's work."""
    _may_give(caller, role)
    email = email.strip().lower()
    if Member.objects.for_org(caller.organization).filter(user__email=email).exists():
        raise AlreadyMember
    token = secrets.token_urlsafe(32)
    with transaction.atomic():
        Invitation.objects.for_org(caller.organization).filter(email=email, accepted_at=None).delete()
        invitation = Invitation.objects.create(
            organization=caller.organization,
            email=email,
            role=role,
            digest=_digest(token),
            invited_by=caller.user,
            expires_at=Now() + INVITATION_LASTS,
        )
        audit.record("member.invite", by=caller, target=invitation, after={"email": email, "role": role})
    return invitation, token


def renew(caller: Caller, invitation: Invitation) -> tuple[Invitation, str]:
    """The invitation once more, with a new token and a new week; the old link ends."""
    return invite(caller, invitation.email, Role(invitation.role))


def revoke(caller: Caller, invitation: Invitation) -> None:
    """Its link ends at once. One that was accepted or has been revoked already is left alone."""
    _may_give(caller, Role(invitation.role))
    with transaction.atomic():
        rows = Invitation.objects.for_org(caller.organization).filter(pk=invitation.pk, accepted_at=None)
        before = {"email": invitation.email, "role": invitation.role}
        if rows.delete()[0]:
            audit.record("member.revoke_invitation", by=caller, target=invitation, before=before)


def holds(caller: Caller, scope: str) -> bool:
    """Whether the person who was let in would still be: asked by connections that stay open. One query."""
    rows = Member.objects.for_org(caller.organization).filter(user=caller.user, user__is_active=True)
    member = rows.select_related("organization").first()
    return member is not None and Caller(member.organization, user=caller.user, role=member.role).can(scope)


def invitation_for(token: str) -> Invitation:
    """The open invitation behind a mailed token; raises InvitationInvalid."""
    invitations = Invitation.objects.pending().select_related("organization")
    invitation = invitations.filter(digest=_digest(token)).first()
    if invitation is None:
        raise InvitationInvalid
    return invitation


def accept(token: str, user: User) -> Member:
    """Takes the place. The token alone is not enough: it must be the person whom it was sent to."""
    with transaction.atomic():
        invitation = invitation_for(token)
        if invitation.email != user.email:
            raise InvitationInvalid
        # Conditional, so that of two clicks one makes the member.
        if not Invitation.objects.pending().filter(pk=invitation.pk).update(accepted_at=Now()):
            raise InvitationInvalid
        return add(invitation.organization, user, Role(invitation.role), by=user)


def add(organization: Organization, user: User, role: Role, *, by: Actor) -> Member:
    if isinstance(by, Caller):
        _may_give(by, role)
    try:
        with transaction.atomic():
            member = Member.objects.create(organization=organization, user=user, role=role)
            after = {"email": user.email, "role": role}
            audit.record("member.add", by=by, organization=organization, target=member, after=after)
    except IntegrityError:
        raise AlreadyMember from None
    return member


def remove(caller: Caller, member: Member) -> None:
    """Takes a person out; anybody may leave. Their keys stay: they belong to the organization."""
    member = Member.objects.for_org(caller.organization).get(pk=member.pk)
    if caller.user is None or caller.key or caller.user.pk != member.user_id:
        _may_give(caller, Role(member.role))
    with transaction.atomic():
        _keep_an_owner(caller.organization, member)
        before = {"email": member.user.email, "role": member.role}
        audit.record("member.remove", by=caller, target=member, before=before)
        member.delete()


def change_role(caller: Caller, member: Member, role: Role) -> None:
    member = Member.objects.for_org(caller.organization).get(pk=member.pk)
    _may_give(caller, role)
    _may_give(caller, Role(member.role))
    with transaction.atomic():
        if role != Role.OWNER:
            _keep_an_owner(caller.organization, member)
        before = {"role": member.role}
        member.role = role
        member.save(update_fields=["role"])
        audit.record("member.change_role", by=caller, target=member, before=before, after={"role": role})


def _may_give(caller: Caller, role: Role) -> None:
    """Only an owner touches owners: an administrator could otherwise take the organization over."""
    require(caller, "members:write")
    if role == Role.OWNER and caller.role != Role.OWNER:
        raise ScopeMissing("owner")


def _keep_an_owner(organization: Organization, leaving: Member) -> None:
    """Locks the owners' rows first: two owners who leave at the same moment would each see the other."""
    owners = list(Member.objects.for_org(organization).owners().select_for_update().order_by("pk"))
    if [owner.pk for owner in owners] == [leaving.pk]:
        raise LastOwner


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
