"""The suite's people, a pytest plugin: Alice owns Acme, Bob works there, Charlie has Umbra and is a stranger.

Every fixture is plain data in the database; none needs another room than accounts.
"""

from __future__ import annotations

import time

import pytest
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.test import Client
from rest_framework.test import APIClient

from accounts import keys, members
from accounts.models import Organization, Role, User
from accounts.organizations import create_organization
from accounts.scopes import ALL_SCOPES
from accounts.tenancy import Caller

PASSWORD = "correct horse battery staple"


def make_user(email: str) -> User:
    return User.objects.create_user(email, PASSWORD)


def make_member(organization: Organization, email: str, role: Role) -> User:
    user = make_user(email)
    members.add(organization, user, role, by=None)
    return user


def make_key(organization: Organization, *scopes: str, by: User | None = None, **settings) -> str:
    """The key's text; all scopes where none are named."""
    return keys.issue(organization, name="test key", by=by, scopes=scopes or ALL_SCOPES, **settings)[1]


def caller_for(organization: Organization, user: User) -> Caller:
    role = organization.members.get(user=user).role
    return Caller(organization=organization, user=user, role=role)


def api_client(key: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {key}")
    return client


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def at_console(user: User) -> Client:
    """The staff member in a session that has used its second factor; the door itself: tests/accounts/test_console.py."""
    TOTP.activate(user, generate_totp_secret())
    client = signed_in(user)
    session = client.session
    session["account_authentication_methods"] = [{"method": "mfa", "type": "totp", "at": time.time()}]
    session["account_authentication_methods_user"] = str(user.pk)
    session.save()
    return client


@pytest.fixture
def operator(db) -> User:
    return User.objects.create_superuser("operator@voicereel.example", PASSWORD)


@pytest.fixture
def console(operator) -> Client:
    """The operator's console, as an operator's browser sees it."""
    return at_console(operator)


@pytest.fixture
def alice(db) -> User:
    return make_user("alice@acme.example")


@pytest.fixture
def org(alice) -> Organization:
    return create_organization("Acme", alice)


@pytest.fixture
def bob(org) -> User:
    """A developer of Acme."""
    return make_member(org, "bob@acme.example", Role.DEVELOPER)


@pytest.fixture
def charlie(db) -> User:
    return make_user("charlie@umbra.example")


@pytest.fixture
def other_org(charlie) -> Organization:
    return create_organization("Umbra", charlie)


@pytest.fixture
def key(org, alice) -> str:
    """A key of Acme that may do everything."""
    return make_key(org, by=alice)


@pytest.fixture
def other_key(other_org, charlie) -> str:
    return make_key(other_org, by=charlie)


@pytest.fixture
def caller(org, alice) -> Caller:
    """Alice in the dashboard."""
    return caller_for(org, alice)


@pytest.fixture
def api(key) -> APIClient:
    """Acme's programme."""
    return api_client(key)


@pytest.fixture
def alice_browser(alice, org) -> Client:
    """Alice, signed in to the dashboard (Django's test client)."""
    return signed_in(alice)


@pytest.fixture
def charlie_browser(charlie, other_org) -> Client:
    return signed_in(charlie)
