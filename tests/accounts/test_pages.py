"""The pages for keys, members and the choice of organization; and whom each of them turns away."""

from __future__ import annotations

import re
import uuid

import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import keys, members
from accounts.models import ApiKey, AuditEntry, Invitation, Member, Role
from accounts.scopes import ROLE_SCOPES
from tests.world import make_key, make_member, make_user, signed_in

NEW_KEY = {"name": "render farm", "scopes": ["jobs:read", "jobs:write"]}


def shown_key(response) -> str:
    return re.search(r"vr_[0-9A-Za-z]{49}", response.content.decode())[0]


def test_a_new_key_is_shown_once_and_works(alice_browser, org):
    response = alice_browser.post("/keys", NEW_KEY)
    text = shown_key(response)
    assert keys.authenticate(text, None).organization == org
    assert "no-store" in response["Cache-Control"]
    assert text not in alice_browser.get("/keys").content.decode()


def test_a_key_takes_its_limits_from_the_form(alice_browser):
    limits = {
        "expires_in_days": "30",
        "allowed_networks": "203.0.113.0/24, 2001:db8::1",
        "spend_cap_usd": "0.000001",
    }
    alice_browser.post("/keys", NEW_KEY | limits)
    key = ApiKey.objects.get()
    assert (key.expires_at - timezone.now()).days == 29
    assert key.allowed_networks == ["203.0.113.0/24", "2001:db8::1/128"]
    assert key.spend_cap_micros == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"scopes": []},
        {"scopes": ["everything"]},
        {"allowed_networks": "the office"},
        {"spend_cap_usd": "-1"},
        {"spend_cap_usd": "0.0000001"},
        {"spend_cap_usd": "NaN"},
        {"expires_in_days": "9999"},
    ],
)
def test_a_wrong_form_makes_no_key_and_says_why(alice_browser, wrong):
    response = alice_browser.post("/keys", NEW_KEY | wrong)
    assert b"errorlist" in response.content
    assert not ApiKey.objects.exists()


def test_a_developer_can_make_only_keys_as_small_as_themselves(bob):
    response = signed_in(bob).post("/keys", NEW_KEY | {"scopes": ["members:write"]})
    assert b"errorlist" in response.content
    assert not ApiKey.objects.exists()


def test_a_key_is_revoked_from_its_page(alice_browser, key):
    row = ApiKey.objects.get()
    response = alice_browser.post(f"/keys/{row.pk}/revoke", follow=True)
    assert b"no longer works" in response.content
    row.refresh_from_db()
    assert row.revoked_at


@pytest.mark.parametrize("path", ["/keys", "/members"])
def test_a_list_costs_the_same_however_long_it_is(alice_browser, org, alice, bob, key, path):
    with CaptureQueriesContext(connection) as short:
        alice_browser.get(path)
    for number in range(8):
        make_key(org, by=make_member(org, f"erin-{number}@acme.example", Role.DEVELOPER))
    with CaptureQueriesContext(connection) as long:
        alice_browser.get(path)
    assert len(long) == len(short)


def test_a_new_role_is_saved(alice_browser, bob):
    member = Member.objects.get(user=bob)
    page = alice_browser.post(f"/members/{member.pk}/role", {"role": "viewer"}, follow=True)
    assert b"bob@acme.example is viewer now" in page.content
    member.refresh_from_db()
    assert member.role == "viewer"


def test_a_removed_member_is_outside_at_once(alice_browser, bob):
    browser = signed_in(bob)
    assert browser.get("/keys").status_code == 200
    page = alice_browser.post(f"/members/{Member.objects.get(user=bob).pk}/remove", follow=True)
    assert b"bob@acme.example does not belong to Acme any more" in page.content
    assert browser.get("/keys").status_code == 403


def test_somebody_without_an_organization_can_at_least_sign_out(alice):
    page = signed_in(alice).get("/")
    assert page.status_code == 403
    assert b"not a member of any organization" in page.content
    assert b"/accounts/logout/" in page.content


def test_a_forged_form_is_refused_on_a_page_of_ours(alice, org):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
    response = browser.post("/keys", NEW_KEY)
    assert response.status_code == 403
    assert b"Please try again" in response.content
    assert b"<style" not in response.content


def test_the_last_owner_cannot_be_removed_by_the_page(alice_browser, alice):
    response = alice_browser.post(f"/members/{Member.objects.get(user=alice).pk}/remove", follow=True)
    assert b"keeps at least one owner" in response.content
    assert Member.objects.filter(user=alice).exists()


def test_somebody_in_two_organizations_chooses_between_them(alice_browser, alice, org, other_org):
    members.add(other_org, alice, Role.VIEWER, by=None)
    assert alice_browser.get("/keys").status_code == 200  # owner of Acme
    alice_browser.post(f"/organization/{other_org.pk}/choose")
    assert alice_browser.get("/keys").status_code == 403  # viewer of Umbra


def test_a_strangers_organization_cannot_be_chosen(alice_browser, other_org):
    assert alice_browser.post(f"/organization/{other_org.pk}/choose").status_code == 404
    assert alice_browser.post(f"/organization/{uuid.uuid4()}/choose").status_code == 404


def test_things_of_another_organization_do_not_exist(charlie_browser, key, bob):
    row, member = ApiKey.objects.get(), Member.objects.get(user=bob)
    assert charlie_browser.post(f"/keys/{row.pk}/revoke").status_code == 404
    assert charlie_browser.post(f"/members/{member.pk}/role", {"role": "viewer"}).status_code == 404
    assert charlie_browser.post(f"/members/{member.pk}/remove").status_code == 404
    row.refresh_from_db()
    member.refresh_from_db()
    assert (row.revoked_at, member.role) == (None, "developer")


@pytest.mark.parametrize("path", ["/keys", "/members"])
def test_without_sign_in_the_pages_send_one_there(db, path):
    response = Client().get(path)
    assert response.status_code == 302
    assert response["Location"] == f"/accounts/login/?next={path}"


def test_a_fragment_without_sign_in_moves_the_whole_page(db):
    here = {"HX-Request": "true", "HX-Current-URL": "http://testserver/keys?before=1#new"}
    response = Client().get("/keys", headers=here)
    assert (response.status_code, response["HX-Redirect"]) == (
        401,
        "/accounts/login/?next=/keys%3Fbefore%3D1",
    )


@pytest.mark.parametrize(
    ("address", "page", "then"),
    [
        ("/billing/alerts", "http://testserver/billing/plan", "/billing/plan"),
        ("/organizations", "http://testserver/settings/profile", "/settings/profile"),
        ("/settings/privacy/copy", "http://testserver/settings/privacy", "/settings/privacy"),
        ("/billing/alerts", "https://evil.example/keys", "/"),
        ("/billing/alerts", "", "/"),
    ],
)
def test_a_form_that_is_sent_after_the_session_ended_leads_back_to_its_page(db, address, page, then):
    response = Client().post(address, headers={"Referer": page})
    assert (response.status_code, response["Location"]) == (302, f"/accounts/login/?next={then}")


def test_somebody_without_an_organization_is_shown_where_to_make_one(db):
    page = signed_in(make_user("erin@acme.example")).get("/gallery")
    assert page.status_code == 403
    assert b'href="/settings/profile"' in page.content


@pytest.mark.parametrize("role", list(ROLE_SCOPES))
@pytest.mark.parametrize(("path", "scope"), [("/keys", "keys:write"), ("/members", "members:write")])
def test_a_page_opens_for_the_roles_that_have_its_scope(org, role, path, scope):
    browser = signed_in(make_member(org, "erin@acme.example", Role(role)))
    assert browser.get(path).status_code == (200 if scope in ROLE_SCOPES[role] else 403)


def test_a_suspended_organization_can_look_but_change_nothing(alice_browser, org, key):
    org.suspended_at = timezone.now()
    org.save()
    assert alice_browser.post(f"/keys/{ApiKey.objects.get().pk}/revoke").status_code == 403


def invited(browser, org) -> Invitation:
    browser.post("/members", {"email": "dana@acme.example", "role": "viewer"})
    return Invitation.objects.for_org(org).get()


def link_in(letter) -> str:
    return re.search(r"/invitations/[\w-]+", letter.body)[0]


def test_an_invitation_is_sent_again_by_a_new_link_alone(alice_browser, org):
    first = invited(alice_browser, org)
    Invitation.objects.update(expires_at=timezone.now())
    assert b"the link ended on" in alice_browser.get("/members").content
    alice_browser.post(f"/members/invitations/{first.pk}/resend")
    old, new = mail.outbox
    assert Client().get(link_in(old)).status_code == 404
    assert b"Join Acme" in Client().get(link_in(new)).content
    assert b"the link works until" in alice_browser.get("/members").content
    assert Invitation.objects.count() == 1


def test_an_invitation_is_taken_back(alice_browser, org):
    row = invited(alice_browser, org)
    page = alice_browser.post(f"/members/invitations/{row.pk}/revoke", follow=True)
    assert b"no longer works" in page.content
    assert Client().get(link_in(mail.outbox[0])).status_code == 404
    assert AuditEntry.objects.filter(action="member.revoke_invitation", organization=org).exists()
    assert alice_browser.post(f"/members/invitations/{row.pk}/revoke").status_code == 404
