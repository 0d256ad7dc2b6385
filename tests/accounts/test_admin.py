"""The operator's console: every page opens, what must stay cannot be changed, and actions are on record."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import keys
from accounts.errors import KeyRevoked
from accounts.models import ApiKey, AuditEntry
from tests.world import make_key

LISTS = ["user", "organization", "apikey", "auditentry"]


def act(console, model: str, action: str, row):
    return console.post(f"/console/accounts/{model}/", {"action": action, "_selected_action": [str(row.pk)]})


@pytest.mark.parametrize("name", LISTS)
def test_every_list_opens_and_can_be_searched(console, key, name):
    assert console.get(f"/console/accounts/{name}/").status_code == 200
    assert console.get(f"/console/accounts/{name}/", {"q": "acme"}).status_code == 200


@pytest.mark.parametrize("name", LISTS)
def test_a_list_costs_the_same_however_long_it_is(console, org, alice, key, name):
    with CaptureQueriesContext(connection) as short:
        console.get(f"/console/accounts/{name}/")
    for _ in range(5):
        make_key(org, by=alice)
    with CaptureQueriesContext(connection) as long:
        console.get(f"/console/accounts/{name}/")
    assert len(long) == len(short)


def test_every_row_opens(console, org, alice, key):
    rows = {
        "user": alice,
        "organization": org,
        "apikey": ApiKey.objects.get(),
        "auditentry": AuditEntry.objects.first(),
    }
    for name, row in rows.items():
        assert console.get(f"/console/accounts/{name}/{row.pk}/change/").status_code == 200


def test_the_console_is_closed_to_customers(alice_browser):
    assert alice_browser.get("/console/accounts/user/").status_code == 302


def test_an_operator_revokes_a_key(console, key):
    act(console, "apikey", "revoke_chosen", ApiKey.objects.get())
    with pytest.raises(KeyRevoked):
        keys.authenticate(key, None)


def test_a_change_of_an_organization_is_on_record(console, org):
    form = {"name": "Acme", "slug": "acme", "tier": "gold", "billing_mode": "prepaid", "retention_days": "7"}
    empty = {"members-TOTAL_FORMS": "0", "members-INITIAL_FORMS": "0"}
    console.post(f"/console/accounts/organization/{org.pk}/change/", form | empty)
    org.refresh_from_db()
    assert (org.tier, org.retention_days) == ("gold", 7)
    entry = AuditEntry.objects.for_org(org).get(action="organization.change")
    assert (entry.before, entry.after) == (
        {"tier": "", "retention_days": 30},
        {"tier": "gold", "retention_days": 7},
    )


@pytest.mark.parametrize("name", ["apikey", "auditentry"])
def test_keys_and_the_record_are_read_only(console, key, name):
    row = {"apikey": ApiKey, "auditentry": AuditEntry}[name].objects.first()
    assert console.post(f"/console/accounts/{name}/{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert console.post(f"/console/accounts/{name}/{row.pk}/change/", {"name": "x"}).status_code == 403
