"""The pages on which people and organizations set what is theirs, and the organization's audit log."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import audit, keys, members
from accounts.models import ApiKey, AuditEntry, Member, Organization, Role
from accounts.organizations import MOST_OWNED
from billing import ledger
from tests.world import caller_for, make_key, make_member, signed_in

PAGES = ["/settings", "/settings/profile", "/settings/audit", "/members"]


# --- a person ---


def test_a_name_and_the_wish_for_letters_are_kept_and_on_record(alice_browser, alice):
    alice_browser.post("/settings/profile", {"name": "Alice A.", "letters_when_finished": "on"})
    alice.refresh_from_db()
    assert (alice.name, alice.letters_when_finished) == ("Alice A.", True)
    entry = AuditEntry.objects.get(action="profile.change")
    assert (entry.organization, entry.actor_user) == (None, alice)
    assert entry.before["name"] == ""
    assert b'value="Alice A."' in alice_browser.get("/settings/profile").content


def test_somebody_without_an_organization_still_has_a_page_and_makes_one(alice):
    browser = signed_in(alice)
    assert b"None. Make one below" in browser.get("/settings/profile").content
    browser.post("/organizations", {"new-name": "Alice Films"})
    assert Member.objects.get(user=alice).role == Role.OWNER
    assert b"Alice Films" in browser.get("/settings").content


def test_a_second_organization_is_open_at_once_but_gets_no_welcome_credit(alice_browser, org, settings):
    settings.SIGNUP_CREDIT_USD = "5"
    page = alice_browser.post("/organizations", {"new-name": "Second"}, follow=True)
    assert b"Second is made" in page.content
    second = Organization.objects.get(name="Second")
    assert ledger.balance(second).available_micros == 0
    assert alice_browser.session["organization"] == str(second.pk)


def test_one_person_owns_ten_at_most(alice_browser, alice):
    for number in range(MOST_OWNED):
        alice_browser.post("/organizations", {"new-name": f"Films {number}"})
    assert Member.objects.of_user(alice).owners().count() == MOST_OWNED
    page = alice_browser.post("/organizations", {"new-name": "One more"}, follow=True)
    assert b"which is the most" in page.content


def test_a_person_leaves_by_themselves_but_not_the_last_owner(org, alice_browser, bob):
    browser = signed_in(bob)
    browser.post(f"/organization/{org.pk}/leave")
    assert not Member.objects.filter(user=bob).exists()
    assert browser.post(f"/organization/{org.pk}/leave").status_code == 404
    page = alice_browser.post(f"/organization/{org.pk}/leave", follow=True)
    assert b"keeps at least one owner" in page.content


# --- an organization ---


def test_name_and_retention_are_changed_and_on_record(alice_browser, org, key):
    keys.authenticate(key, None)  # remembered with the old name
    alice_browser.post("/settings", {"name": "Acme Films", "retention_days": "7"})
    org.refresh_from_db()
    assert (org.name, org.retention_days) == ("Acme Films", 7)
    assert keys.authenticate(key, None).organization.name == "Acme Films"
    entry = AuditEntry.objects.get(action="organization.change")
    assert entry.before == {"name": "Acme", "retention_days": 30}


@pytest.mark.parametrize(
    "wrong", [{"retention_days": "0"}, {"retention_days": "4000"}, {"name": ""}, {"retention_days": "x"}]
)
def test_a_wrong_setting_changes_nothing_and_says_why(alice_browser, org, wrong):
    page = alice_browser.post("/settings", {"name": "Acme 2", "retention_days": "7"} | wrong)
    assert b"errorlist" in page.content
    org.refresh_from_db()
    assert (org.name, org.retention_days) == ("Acme", 30)


@pytest.mark.parametrize("path", ["/settings", "/settings/audit", "/settings/audit.csv"])
def test_a_developer_is_turned_away_and_a_stranger_sent_to_sign_in(bob, path):
    assert signed_in(bob).get(path).status_code == 403
    assert Client().get(path)["Location"] == f"/accounts/login/?next={path}"


@pytest.mark.parametrize("path", PAGES)
def test_a_page_asks_little(alice_browser, org, alice, bob, path):
    for _ in range(60):
        audit.record("key.issue", by=alice, target=org, organization=org, after={"name": "farm"})
    make_key(org, by=alice)
    with CaptureQueriesContext(connection) as asked:
        assert alice_browser.get(path).status_code == 200
    assert len(asked) <= 10


# --- the audit log ---


@pytest.fixture
def records(org, other_org, alice, bob, operator) -> None:
    """Acme's: one by a key, one by an operator, 60 by Bob; and Umbra's one."""
    farm = ApiKey.objects.get(
        pk=keys.issue(org, name="farm", by=caller_for(org, alice), scopes=["jobs:read"])[0].pk
    )
    audit.record(
        "webhook.create", by=caller_for(org, bob), target=org, after={"url": "https://hooks.example"}
    )
    audit.record("organization.suspend", by=operator, target=org, organization=org)
    for number in range(60):
        audit.record("share.make", by=caller_for(org, bob), target=farm, after={"title": f"film {number}"})
    audit.record(
        "alerts.change", by=None, target=other_org, organization=other_org, after={"secret": "umbra"}
    )


def rows(page) -> list[str]:
    body = page.content.decode().partition("<tbody>")[2].partition("</tbody>")[0]
    return [re.sub(r"<[^>]+>|\s+", " ", row) for row in body.split("<tr>")[1:]]


def test_pages_go_by_key_and_miss_nothing(alice_browser, records, org):
    seen, path = [], "/settings/audit"
    while path:
        page = alice_browser.get(path)
        seen += rows(page)
        older = re.search(r'href="(\?[^"]*before=\d+)"', page.content.decode())
        path = older and "/settings/audit" + older[1].replace("&amp;", "&")
    assert len(seen) == AuditEntry.objects.for_org(org).count() > 60
    assert sum("film" in row for row in seen) == 60
    assert not any("umbra" in row for row in seen)


@pytest.mark.parametrize(
    ("query", "words", "count"),
    [
        ("action=webhook.create", "hooks.example", 1),
        ("action=organization.suspend", "Operator", 1),
        ("action=key.issue", "Made a key", 1),
        ("first=2020-01-01&action=webhook.create", "Added a webhook", 1),
        ("last=2020-01-01", "", 0),
        ("action=no.such.thing&first=x&before=y", "film", 50),
    ],
)
def test_filters(alice_browser, records, query, words, count):
    found = rows(alice_browser.get(f"/settings/audit?{query}"))
    assert len(found) == count
    assert all(words in row for row in found) or count == 50


def test_a_filter_by_person_and_by_key(alice_browser, records, bob, org):
    farm = ApiKey.objects.get(name="farm")
    audit.record("key.rotate", by=keys.Caller(org, key=farm), target=farm)
    by_key = rows(alice_browser.get(f"/settings/audit?who=k{farm.pk}"))
    assert ["Rotated a key" in row for row in by_key] == [True]
    by_bob = rows(alice_browser.get(f"/settings/audit?who=u{bob.pk}&action=webhook.create"))
    assert len(by_bob) == 1
    assert bob.email in by_bob[0]


def test_what_changed_is_told_by_its_kind(alice_browser, alice, org):
    job = "01a21dad-4b8d-71e9-9118-fde5162f8bfd"
    end = "2026-12-04T15:44:03.741196+00:00"
    shared = {"job": job, "password": False, "expires_at": end}
    by = caller_for(org, alice)
    audit.record("share.revoke", by=by, target=org, before=shared)
    audit.record(
        "alerts.change", by=by, target=org, before={"budget_micros": 0}, after={"budget_micros": 10**8}
    )
    key = keys.issue(org, name="farm", by=by, scopes=["jobs:read"])[0]
    keys.revoke(key, by)
    alice.name = "Alice Example"
    alice.save()
    revoked, _, alerts, share = rows(alice_browser.get("/settings/audit"))[:4]
    words = " ".join(share.split())
    assert "job …fde5162f8bfd password no expires 4 Dec 2026, 15:44 UTC" in words
    assert "budget $0 → $100" in " ".join(alerts.split())
    assert "farm" in revoked
    assert "Alice Example alice@acme.example" in " ".join(revoked.split())


def test_days_are_whole_ones(alice_browser, records):
    today = timezone.now().date()
    asked = f"/settings/audit?action=webhook.create&first={today}&last={today}"
    assert len(rows(alice_browser.get(asked))) == 1
    later = today + timedelta(days=1)
    assert rows(alice_browser.get(f"/settings/audit?first={later}&last={later}")) == []


def test_an_operators_name_is_nobodys_business(alice_browser, records, operator):
    assert (
        operator.email
        not in alice_browser.get("/settings/audit?action=organization.suspend").content.decode()
    )
    answer = alice_browser.get("/settings/audit.csv")
    assert operator.email not in b"".join(answer.streaming_content).decode()


def test_the_file_holds_what_was_chosen(alice_browser, records):
    answer = alice_browser.get("/settings/audit.csv?action=share.make")
    lines = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert len(lines) == 60
    assert {line["action"] for line in lines} == {"share.make"}
    assert lines[0]["after"] == '{"title": "film 59"}'


def test_another_organizations_log_is_not_there(charlie_browser, records):
    found = rows(charlie_browser.get("/settings/audit"))
    assert any("umbra" in row for row in found)
    assert not any("film" in row for row in found)


def test_an_administrator_reads_it(org, records):
    erin = make_member(org, "erin@acme.example", Role.ADMIN)
    assert signed_in(erin).get("/settings/audit").status_code == 200
    assert members.holds(caller_for(org, erin), "members:write")
