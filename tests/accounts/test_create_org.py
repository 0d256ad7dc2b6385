"""The command that gives an installation its first tenant."""

from __future__ import annotations

import json

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts import keys
from accounts.models import Organization, User
from accounts.scopes import ALL_SCOPES
from billing import ledger


def create_org(capsys, *words: str) -> dict[str, str]:
    call_command("create_org", *words)
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_it_makes_everything_a_first_render_needs(db, capsys):
    facts = create_org(capsys, "Demo", "--email", "demo@example.com", "--credit-usd", "20")
    assert set(facts) == {"organization", "login", "password", "api_key"}
    organization = Organization.objects.get()
    assert (str(organization.pk), organization.tier) == (facts["organization"], "silver")
    caller = keys.authenticate(facts["api_key"], None)
    assert caller.organization == organization
    assert caller.scopes == ALL_SCOPES
    assert ledger.balance(organization).available_micros == 20_000_000


def test_its_login_opens_the_dashboard(db, capsys):
    facts = create_org(capsys, "Demo", "--email", "demo@example.com")
    browser = Client()
    browser.post("/accounts/login/", {"login": facts["login"], "password": facts["password"]})
    assert browser.get("/keys").status_code == 200


def test_a_second_run_gives_the_same_person_a_second_organization(db, capsys):
    first = create_org(capsys, "Demo", "--email", "demo@example.com")
    second = create_org(capsys, "Demo", "--email", "Demo@example.com")
    assert second["password"] is None
    assert second["organization"] != first["organization"]
    assert User.objects.count() == 1
    assert Client().login(email="demo@example.com", password=first["password"])


@pytest.mark.parametrize("credit", ["-1", "0.0000001", "1e3", "NaN", "twenty", "1,5", ""])
def test_a_credit_that_is_no_amount_is_refused_and_nothing_is_made(db, capsys, credit):
    with pytest.raises(CommandError):
        create_org(capsys, "Demo", "--email", "demo@example.com", f"--credit-usd={credit}")
    assert not Organization.objects.exists()


def test_a_credit_that_cannot_be_booked_leaves_nothing_behind(db, capsys, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError

    monkeypatch.setattr(ledger, "grant", broken)
    with pytest.raises(RuntimeError):
        create_org(capsys, "Demo", "--email", "demo@example.com", "--credit-usd", "20")
    assert not Organization.objects.exists()
    assert not User.objects.exists()


@pytest.mark.parametrize("words", [("--email", "nobody"), ("--email", "a@example.com", "--tier", "tin")])
def test_a_wrong_address_or_tier_is_refused(db, capsys, words):
    with pytest.raises(CommandError):
        create_org(capsys, "Demo", *words)
    assert not Organization.objects.exists()
