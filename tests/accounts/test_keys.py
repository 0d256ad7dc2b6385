"""API keys: their form, who they let in, and who not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts import keys
from accounts.errors import (
    AddressNotAllowed,
    KeyExpired,
    KeyRevoked,
    MalformedKey,
    OrganizationSuspended,
    ScopeMissing,
    UnknownKey,
)
from accounts.models import ApiKey, AuditEntry
from tests.world import caller_for, make_key


def swap_two_neighbours(key: str) -> str:
    at = next(i for i in range(3, len(key) - 7) if key[i] != key[i + 1])
    return key[:at] + key[at + 1] + key[at] + key[at + 2 :]


def test_a_key_has_our_prefix_and_enough_random_characters(key):
    assert key.startswith("vr_")
    assert len(key) == 52


def test_a_key_works_and_names_its_organization(key, org, alice):
    caller = keys.authenticate(key, "192.0.2.1")
    assert caller.organization == org
    assert caller.user == alice
    assert caller.can("jobs:write")


def test_the_database_holds_no_key_text(key):
    row = ApiKey.objects.get()
    assert key.encode() not in bytes(row.digest)
    assert key not in repr([getattr(row, field.attname) for field in ApiKey._meta.fields])
    assert row.last4 == key[-4:]


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda key: "", id="empty"),
        pytest.param(lambda key: "hello", id="not a key"),
        pytest.param(lambda key: key[:-1], id="cut short"),
        pytest.param(lambda key: key + "A", id="too long"),
        pytest.param(lambda key: "sk" + key[2:], id="another prefix"),
        pytest.param(lambda key: key[:10] + ("a" if key[10] != "a" else "b") + key[11:], id="one typo"),
        pytest.param(swap_two_neighbours, id="two characters swapped"),
        pytest.param(lambda key: key[:-1] + ("0" if key[-1] != "0" else "1"), id="wrong checksum"),
        pytest.param(lambda key: key[:20] + "\u0665" + key[21:], id="a digit of another script"),
        pytest.param(lambda key: "Bearer " + key, id="the scheme twice"),
    ],
)
def test_a_malformed_key_is_refused_without_asking_the_database(key, spoil, django_assert_num_queries):
    text = spoil(key)
    assert text != key
    with django_assert_num_queries(0), pytest.raises(MalformedKey):
        keys.authenticate(text, "192.0.2.1")


def test_white_space_around_a_key_is_forgiven(key, org):
    assert keys.authenticate(f" {key}\r\n", None).organization == org


def test_a_key_of_another_installation_is_unknown(key):
    ApiKey.objects.update(digest=b"another")
    with pytest.raises(UnknownKey):
        keys.authenticate(key, None)


def test_a_busy_key_costs_one_query(key, django_assert_num_queries):
    keys.authenticate(key, "192.0.2.1")
    with django_assert_num_queries(1):
        keys.authenticate(key, "192.0.2.1")


def test_last_use_is_written_at_most_once_a_minute(key):
    keys.authenticate(key, None)
    first = ApiKey.objects.get().last_used_at
    keys.authenticate(key, None)
    assert ApiKey.objects.get().last_used_at == first

    ApiKey.objects.update(last_used_at=first - timedelta(seconds=61))
    keys.authenticate(key, None)
    assert ApiKey.objects.get().last_used_at >= first


def test_an_expired_key_is_refused(org):
    text = make_key(org, expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(KeyExpired):
        keys.authenticate(text, None)


def test_a_key_works_until_it_expires(org):
    text = make_key(org, expires_at=timezone.now() + timedelta(hours=1))
    assert keys.authenticate(text, None).organization == org


def test_a_revoked_key_is_refused_at_once(key, alice):
    keys.revoke(ApiKey.objects.get(), alice)
    with pytest.raises(KeyRevoked):
        keys.authenticate(key, None)


def test_revoking_twice_keeps_the_first_time_and_one_audit_entry(key, alice):
    row = ApiKey.objects.get()
    keys.revoke(row, alice)
    first = row.revoked_at
    keys.revoke(row, alice)
    assert row.revoked_at == first
    assert AuditEntry.objects.filter(action="key.revoke").count() == 1


@pytest.mark.parametrize("address", ["203.0.113.9", "::ffff:203.0.113.9", "2001:db8::1"])
def test_a_key_works_from_its_networks(org, address):
    text = make_key(org, allowed_networks=["203.0.113.0/24", "2001:db8::/32"])
    assert keys.authenticate(text, address).organization == org


@pytest.mark.parametrize("address", ["198.51.100.1", "2001:db9::1", "", None, "unknown"])
def test_a_key_is_refused_from_elsewhere(org, address):
    text = make_key(org, allowed_networks=["203.0.113.0/24", "2001:db8::/32"])
    with pytest.raises(AddressNotAllowed):
        keys.authenticate(text, address)


def test_a_network_that_is_none_is_refused_when_the_key_is_made(org):
    with pytest.raises(ValidationError):
        make_key(org, allowed_networks=["everywhere"])


def test_the_keys_of_a_suspended_organization_are_refused(key, org):
    org.suspended_at = timezone.now()
    org.save()
    with pytest.raises(OrganizationSuspended):
        keys.authenticate(key, None)


def test_a_key_may_do_only_what_its_scopes_say(org):
    caller = keys.authenticate(make_key(org, "jobs:read"), None)
    assert caller.can("jobs:read")
    assert not caller.can("jobs:write")


def test_a_key_needs_scopes_that_exist(org):
    with pytest.raises(ValidationError):
        make_key(org, "jobs:everything")
    with pytest.raises(ValidationError):
        keys.issue(org, name="none", by=None, scopes=[])


def test_nobody_gives_away_a_scope_they_do_not_have(org, bob):
    with pytest.raises(ScopeMissing):
        keys.issue(org, name="bigger than Bob", by=caller_for(org, bob), scopes=["members:write"])
    key, _ = keys.issue(org, name="as Bob", by=caller_for(org, bob), scopes=["jobs:write"])
    assert key.created_by == bob


def test_a_rotated_key_overlaps_with_the_new_one_and_then_ends(org, alice):
    old_text = make_key(org, "jobs:read", allowed_networks=["203.0.113.0/24"], spend_cap_micros=5)
    old = ApiKey.objects.get()
    new, new_text = keys.rotate(old, timedelta(hours=1), by=alice)
    assert keys.authenticate(old_text, "203.0.113.1").can("jobs:read")
    assert keys.authenticate(new_text, "203.0.113.1").can("jobs:read")
    assert (new.allowed_networks, new.spend_cap_micros, new.scopes) == (["203.0.113.0/24"], 5, ["jobs:read"])
    old.refresh_from_db()
    assert timedelta(minutes=59) < old.expires_at - timezone.now() <= timedelta(hours=1)

    newest, newest_text = keys.rotate(new, timedelta(0), by=alice)
    with pytest.raises(KeyExpired):
        keys.authenticate(new_text, "203.0.113.1")
    assert keys.authenticate(newest_text, "203.0.113.1").key == newest
    assert newest.expires_at is None


def test_rotation_does_not_prolong_a_key_that_ends_sooner(org, alice):
    soon = timezone.now() + timedelta(minutes=5)
    make_key(org, expires_at=soon)
    old = ApiKey.objects.get()
    keys.rotate(old, timedelta(days=1), by=alice)
    old.refresh_from_db()
    assert old.expires_at == soon
