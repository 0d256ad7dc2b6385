"""Signing in by another service: an OpenID provider that answers over HTTP."""

from __future__ import annotations

from collections.abc import Generator

import httpx
import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.test import Client

from accounts import members
from accounts.models import Member, Role, User
from tests.accounts.oidc_double import CLIENT, SECRET, OpenIdDouble
from tests.world import PASSWORD, caller_for, signed_in

ERIN = {"sub": "erin-1", "email": "Erin@acme.example", "email_verified": True, "name": "Erin Example"}
BUTTON = b"Sign in with Example Login"


@pytest.fixture
def openid(db, settings) -> Generator[OpenIdDouble, None, None]:
    """Configured as config.settings does it from the environment."""
    double = OpenIdDouble()
    double.person = ERIN
    own = {"provider_id": "company", "name": "Example Login", "client_id": CLIENT, "secret": SECRET}
    own["settings"] = {"server_url": double.url, "oauth_pkce_enabled": True}
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [own]}}
    settings.SIGN_IN_ORIGINS = [double.url]
    yield double
    double.close()


def walk(browser: Client, *, process: str = "login"):
    """Presses the button and goes where the services send the browser, to its end."""
    sent = browser.post(f"/accounts/oidc/company/login/?process={process}")
    assert sent.status_code == 302
    back = httpx.get(sent["Location"]).headers["Location"]
    return browser.get(back.removeprefix("http://testserver"), follow=True)


def test_a_button_appears_only_for_what_is_configured(db, openid, settings):
    page = Client().get("/accounts/login/")
    assert BUTTON in page.content
    assert f"form-action 'self' {openid.url}" in page["Content-Security-Policy"]
    settings.SOCIALACCOUNT_PROVIDERS = {}
    page = Client().get("/accounts/login/").content
    assert b"Use a passkey instead" in page
    assert BUTTON not in page
    assert Client().get("/accounts/oidc/company/login/").status_code == 404


def test_a_newcomer_gets_a_workspace_and_comes_back_to_it(openid):
    browser = Client()
    walk(browser)
    erin = User.objects.get(email="erin@acme.example")
    assert erin.name == "Erin Example"
    assert not erin.has_usable_password()
    assert EmailAddress.objects.get(user=erin).verified
    assert Member.objects.get(user=erin).role == Role.OWNER
    again = Client()
    walk(again)
    assert again.session["_auth_user_id"] == str(erin.pk)
    assert User.objects.count() == 1


def test_an_invited_person_joins_instead(openid, org, caller):
    _, token = members.invite(caller, "erin@acme.example", Role.VIEWER)
    browser = Client()
    browser.get(f"/invitations/{token}")
    walk(browser)
    member = Member.objects.get(user__email="erin@acme.example")
    assert (member.organization, member.role) == (org, Role.VIEWER)


def test_an_invitation_to_another_address_is_told_of(openid, org, caller):
    _, token = members.invite(caller, "dana@acme.example", Role.VIEWER)
    browser = Client()
    browser.get(f"/invitations/{token}")
    assert b"The invitation was not for erin@acme.example" in walk(browser).content
    assert not org.members.filter(user__email="erin@acme.example").exists()


def test_the_same_address_alone_opens_nobodys_account(openid, alice, org):
    openid.person = ERIN | {"email": alice.email}
    browser = Client()
    page = walk(browser)
    assert "_auth_user_id" not in browser.session
    assert b"Almost done" in page.content
    assert not SocialAccount.objects.exists()


def test_a_signed_in_person_connects_a_service_and_signs_in_by_it(openid, alice, org):
    browser = Client()
    browser.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
    browser.post("/accounts/reauthenticate/", {"password": PASSWORD})
    page = walk(browser, process="connect")
    assert b"Example Login" in page.content
    assert SocialAccount.objects.get().user == alice
    other = Client()
    walk(other)
    assert other.session["_auth_user_id"] == str(alice.pk)


def test_a_wrong_answer_is_told_on_a_page_of_ours(openid, monkeypatch):
    monkeypatch.setattr(openid, "token", lambda form: None)
    browser = Client()
    page = walk(browser)
    assert b"That did not work" in page.content
    assert "_auth_user_id" not in browser.session
    assert not User.objects.exists()


def test_who_has_no_password_is_asked_by_the_service_again(openid, org):
    """Connections may be cut only while another way in is left."""
    browser = Client()
    walk(browser)
    own = SocialAccount.objects.get()
    page = browser.post("/accounts/3rdparty/", {"account": own.pk})
    assert page.status_code == 200
    assert SocialAccount.objects.exists()


def test_another_persons_connection_cannot_be_cut(openid, org, bob):
    walk(Client())
    signed_in(bob).post("/accounts/3rdparty/", {"account": SocialAccount.objects.get().pk})
    assert SocialAccount.objects.exists()
    assert caller_for(org, bob).role == Role.DEVELOPER
