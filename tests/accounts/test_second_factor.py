"""The pages around sign-in: second factors, sessions, the address, and that changes ask who it is."""

from __future__ import annotations

import re
import uuid

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.core import mail
from django.test import Client

from accounts.models import User
from tests.accounts.test_console import SECRET, code
from tests.world import PASSWORD


@pytest.fixture
def browser(alice, org) -> Client:
    """Alice, who has just shown that it is she."""
    EmailAddress.objects.create(user=alice, email=alice.email, primary=True, verified=True)
    client = sign_in(alice)
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    return client


def sign_in(user: User) -> Client:
    client = Client(headers={"user-agent": "A browser of the tests"})
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    return client


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/accounts/2fa/", "Passkeys and two-factor sign-in"),
        ("/accounts/2fa/totp/deactivate/", "Switch the authenticator app off?"),
        ("/accounts/2fa/webauthn/", "You have no passkey yet"),
        ("/accounts/2fa/webauthn/add/", 'data-passkey="add"'),
        ("/accounts/2fa/recovery-codes/", "of 10 are left"),
        ("/accounts/2fa/recovery-codes/generate/", "Make new recovery codes?"),
        ("/accounts/email/", "You sign in with"),
        ("/accounts/password/change/", "Change your password"),
        ("/accounts/sessions/", "A browser of the tests"),
        ("/accounts/3rdparty/", "None yet"),
    ],
)
def test_every_page_of_the_account_is_one_of_ours(browser, alice, path, words):
    TOTP.activate(alice, SECRET)
    RecoveryCodes.activate(alice)
    page = browser.get(path)
    assert page.status_code == 200
    html = page.content.decode()
    assert words in html
    assert 'class="tabs" aria-label="Settings"' in html
    assert not re.search(r"<script(?![^>]*(src=|application/json))|style=|onclick=", html)


def test_an_app_is_set_up_and_asked_for_at_the_next_sign_in(browser, alice):
    form = browser.get("/accounts/2fa/totp/activate/").content.decode()
    secret = re.search(r'id="secret" value="(\w+)"', form)[1]
    browser.post("/accounts/2fa/totp/activate/", {"code": code(secret)})
    assert b"of 10 are left" in browser.get("/accounts/2fa/recovery-codes/").content
    later = Client()
    page = later.post("/accounts/login/", {"login": alice.email, "password": PASSWORD}, follow=True)
    assert b"One more step" in page.content
    assert "_auth_user_id" not in later.session


def test_a_recovery_code_opens_once(browser, alice):
    TOTP.activate(alice, SECRET)
    saved = RecoveryCodes.activate(alice).get_unused_codes()[0]
    for opens in (True, False):
        later = Client()
        later.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
        later.post("/accounts/2fa/authenticate/", {"code": saved})
        assert ("_auth_user_id" in later.session) is opens


def test_a_sensitive_page_asks_again_who_it_is(alice_browser):
    """A session whose sign-in is long ago, or that was carried off."""
    page = alice_browser.get("/accounts/2fa/webauthn/add/", follow=True)
    assert b"Is it you?" in page.content
    refused = alice_browser.post(page.redirect_chain[-1][0], {"password": "wrong"})
    assert b"Is it you?" in refused.content
    through = alice_browser.post(page.redirect_chain[-1][0], {"password": PASSWORD}, follow=True)
    assert b"Add a passkey" in through.content


def test_the_other_sessions_are_signed_out(browser, alice):
    stolen = sign_in(alice)
    assert stolen.get("/accounts/sessions/").status_code == 200
    browser.post("/accounts/sessions/")
    assert stolen.get("/accounts/sessions/").status_code == 302
    assert browser.get("/accounts/sessions/").status_code == 200


def test_a_new_address_counts_once_its_owner_follows_the_link(browser, alice):
    # One of their own: letters to an address are counted, and the count outlives the test.
    new = f"{uuid.uuid4().hex}@acme.example"
    browser.post("/accounts/email/", {"email": new.title(), "action_add": ""})
    alice.refresh_from_db()
    assert alice.email == "alice@acme.example"
    letter = next(letter for letter in mail.outbox if letter.to == [new])
    link = re.search(r"http://[^/]+(/accounts/confirm-email/\S+)", letter.body)[1]
    assert b"Confirm your address" in browser.get(link).content
    browser.post(link)
    alice.refresh_from_db()
    assert alice.email == new
    assert Client().login(email=new, password=PASSWORD)
