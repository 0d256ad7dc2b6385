"""The operator's console: every page opens, what must stay cannot be changed, and actions are on record."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import keys
from accounts.errors import KeyRevoked, OrganizationSuspended
from accounts.models import ApiKey, AuditEntry, User
from tests.world import PASSWORD, make_key, signed_in

LISTS = ["user", "organization", "apikey", "auditentry"]


@pytest.fixture
def operator(db):
    return signed_in(User.objects.create_superuser("operator@voicereel.example", PASSWORD))


def act(operator, model: str, action: str, row):
    return operator.post(f"/admin/accounts/{model}/", {"action": action, "_selected_action": [str(row.pk)]})


@pytest.mark.parametrize("name", LISTS)
def test_every_list_opens_and_can_be_searched(operator, key, name):
    assert operator.get(f"/admin/accounts/{name}/").status_code == 200
    assert operator.get(f"/admin/accounts/{name}/", {"q": "acme"}).status_code == 200


@pytest.mark.parametrize("name", LISTS)
def test_a_list_costs_the_same_however_long_it_is(operator, org, alice, key, name):
    with CaptureQueriesContext(connection) as short:
        operator.get(f"/admin/accounts/{name}/")
    for _ in range(5):
        make_key(org, by=alice)
    with CaptureQueriesContext(connection) as long:
        operator.get(f"/admin/accounts/{name}/")
    assert len(long) == len(short)


def test_every_row_opens(operator, org, alice, key):
    rows = {
        "user": alice,
        "organization": org,
        "apikey": ApiKey.objects.get(),
        "auditentry": AuditEntry.objects.first(),
    }
    for name, row in rows.items():
        assert operator.get(f"/admin/accounts/{name}/{row.pk}/change/").status_code == 200


def test_the_console_is_closed_to_customers(alice_browser):
    assert alice_browser.get("/admin/accounts/user/").status_code == 302


def test_an_operator_suspends_and_resumes_an_organization(operator, org, key):
    act(operator, "organization", "suspend_chosen", org)
    with pytest.raises(OrganizationSuspended):
        keys.authenticate(key, None)
    act(operator, "organization", "suspend_chosen", org)
    act(operator, "organization", "resume_chosen", org)
    assert keys.authenticate(key, None).organization == org
    actions = AuditEntry.objects.for_org(org).filter(
        action__in=["organization.suspend", "organization.resume"]
    )
    assert [(e.action, e.actor_user.email) for e in actions.order_by("id")] == [
        ("organization.suspend", "operator@voicereel.example"),
        ("organization.resume", "operator@voicereel.example"),
    ]


def test_an_operator_revokes_a_key(operator, key):
    act(operator, "apikey", "revoke_chosen", ApiKey.objects.get())
    with pytest.raises(KeyRevoked):
        keys.authenticate(key, None)


def test_a_change_of_an_organization_is_on_record(operator, org):
    form = {"name": "Acme", "slug": "acme", "tier": "gold", "billing_mode": "prepaid", "retention_days": "7"}
    empty = {"members-TOTAL_FORMS": "0", "members-INITIAL_FORMS": "0"}
    operator.post(f"/admin/accounts/organization/{org.pk}/change/", form | empty)
    org.refresh_from_db()
    assert (org.tier, org.retention_days) == ("gold", 7)
    entry = AuditEntry.objects.for_org(org).get(action="organization.change")
    assert (entry.before, entry.after) == (
        {"tier": "", "retention_days": 30},
        {"tier": "gold", "retention_days": 7},
    )


@pytest.mark.parametrize("name", ["apikey", "auditentry"])
def test_keys_and_the_record_are_read_only(operator, key, name):
    row = {"apikey": ApiKey, "auditentry": AuditEntry}[name].objects.first()
    assert operator.post(f"/admin/accounts/{name}/{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert operator.post(f"/admin/accounts/{name}/{row.pk}/change/", {"name": "x"}).status_code == 403
