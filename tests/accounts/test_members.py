"""Who may bring whom into an organization, and that it never loses its last owner."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from accounts import audit, members
from accounts.errors import AlreadyMember, InvitationInvalid, LastOwner, ScopeMissing
from accounts.models import AuditEntry, Invitation, Member, Role
from tests.world import caller_for, make_member, make_user


def test_an_owner_invites_and_the_invited_person_joins(caller, org):
    _, token = members.invite(caller, " Dana@Acme.example ", Role.VIEWER)
    dana = make_user("dana@acme.example")
    member = members.accept(token, dana)
    assert (member.organization, member.role) == (org, "viewer")


def test_an_invitation_works_once(caller):
    _, token = members.invite(caller, "dana@acme.example", Role.VIEWER)
    dana = make_user("dana@acme.example")
    members.accept(token, dana)
    with pytest.raises(InvitationInvalid):
        members.accept(token, dana)


def test_an_invitation_works_only_for_the_person_it_was_sent_to(caller, charlie):
    _, token = members.invite(caller, "dana@acme.example", Role.VIEWER)
    with pytest.raises(InvitationInvalid):
        members.accept(token, charlie)


def test_an_invitation_ends_after_a_week(caller):
    invitation, token = members.invite(caller, "dana@acme.example", Role.VIEWER)
    Invitation.objects.filter(pk=invitation.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(InvitationInvalid):
        members.accept(token, make_user("dana@acme.example"))


def test_inviting_again_replaces_the_first_invitation(caller):
    _, first = members.invite(caller, "dana@acme.example", Role.VIEWER)
    _, second = members.invite(caller, "dana@acme.example", Role.ADMIN)
    dana = make_user("dana@acme.example")
    with pytest.raises(InvitationInvalid):
        members.accept(first, dana)
    assert members.accept(second, dana).role == "admin"


def test_a_member_is_not_invited_again(caller, bob):
    with pytest.raises(AlreadyMember):
        members.invite(caller, bob.email, Role.ADMIN)


def test_a_developer_invites_nobody(org, bob):
    with pytest.raises(ScopeMissing):
        members.invite(caller_for(org, bob), "dana@acme.example", Role.VIEWER)


def test_an_administrator_makes_no_owners_and_unmakes_none(org, alice):
    admin = caller_for(org, make_member(org, "erin@acme.example", Role.ADMIN))
    owner = Member.objects.get(user=alice)
    with pytest.raises(ScopeMissing):
        members.invite(admin, "dana@acme.example", Role.OWNER)
    with pytest.raises(ScopeMissing):
        members.change_role(admin, owner, Role.VIEWER)
    with pytest.raises(ScopeMissing):
        members.remove(admin, owner)
    with pytest.raises(ScopeMissing):
        members.change_role(admin, Member.objects.get(user=admin.user), Role.OWNER)


def test_the_last_owner_can_neither_leave_nor_step_down(caller, alice):
    owner = Member.objects.get(user=alice)
    with pytest.raises(LastOwner):
        members.remove(caller, owner)
    with pytest.raises(LastOwner):
        members.change_role(caller, owner, Role.ADMIN)


def test_one_of_two_owners_can_leave(caller, org, alice):
    make_member(org, "erin@acme.example", Role.OWNER)
    members.remove(caller, Member.objects.get(user=alice))
    assert not Member.objects.filter(user=alice).exists()


def test_anybody_can_leave_by_themselves(org, bob):
    members.remove(caller_for(org, bob), Member.objects.get(user=bob))
    assert not Member.objects.filter(user=bob).exists()


def test_nobody_touches_the_members_of_another_organization(caller, other_org, charlie):
    stranger = Member.objects.get(user=charlie)
    with pytest.raises(Member.DoesNotExist):
        members.remove(caller, stranger)
    with pytest.raises(Member.DoesNotExist):
        members.change_role(caller, stranger, Role.VIEWER)


def test_a_change_of_role_is_on_record(caller, bob):
    members.change_role(caller, Member.objects.get(user=bob), Role.VIEWER)
    entry = AuditEntry.objects.get(action="member.change_role")
    assert (entry.before, entry.after) == ({"role": "developer"}, {"role": "viewer"})
    assert entry.actor_user == caller.user


@pytest.mark.parametrize("change", [lambda rows: rows.update(action="nothing"), lambda rows: rows.delete()])
def test_the_audit_record_cannot_be_changed(caller, org, change):
    audit.record(
        "organization.rename", by=caller, target=org, before={"name": "Acme"}, after={"name": "Acme 2"}
    )
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        change(AuditEntry.objects.for_org(org))
    assert AuditEntry.objects.for_org(org).filter(action="organization.rename").exists()
