"""Keys that issue keys: none gives away more than it has."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from accounts import keys
from accounts.errors import KeyEnded, LimitEscaped, ScopeMissing
from accounts.models import ApiKey, AuditEntry
from accounts.tenancy import Caller
from tests.world import caller_for, make_key

SOON = timedelta(days=1)


def caller(organization, *scopes, **settings) -> Caller:
    text = make_key(organization, *scopes, **settings)
    key = ApiKey.objects.get(digest=keys.parse(text))
    return Caller(organization=organization, key=key)


def issued(by: Caller, *scopes: str, **settings) -> ApiKey:
    return keys.issue(by.organization, name="child", by=by, scopes=scopes or ["jobs:read"], **settings)[0]


def test_a_key_gives_away_only_its_scopes(org):
    by = caller(org, "keys:write", "jobs:read")
    assert issued(by).scopes == ["jobs:read"]
    with pytest.raises(ScopeMissing):
        issued(by, "jobs:write")


def test_the_end_is_passed_on_and_never_later(org):
    end = timezone.now() + SOON
    by = caller(org, expires_at=end)
    assert issued(by).expires_at == end
    assert issued(by, expires_at=end - timedelta(hours=1)).expires_at == end - timedelta(hours=1)
    with pytest.raises(LimitEscaped) as refusal:
        issued(by, expires_at=end + timedelta(seconds=1))
    assert refusal.value.field == "expires_at"


@pytest.mark.parametrize(
    ("asked", "passes"),
    [
        ([], True),
        (["203.0.113.0/25"], True),
        (["203.0.113.7/32", "2001:db8:1::/48"], True),
        (["203.0.112.0/23"], False),
        (["203.0.113.0/25", "198.51.100.0/24"], False),
        (["::/0"], False),
        (["0.0.0.0/0"], False),
    ],
)
def test_networks_are_passed_on_and_never_wider(org, asked, passes):
    by = caller(org, allowed_networks=["203.0.113.0/24", "2001:db8::/32"])
    if passes:
        assert issued(by, allowed_networks=asked).allowed_networks == asked or by.key.allowed_networks
    else:
        with pytest.raises(LimitEscaped) as refusal:
            issued(by, allowed_networks=asked)
        assert refusal.value.field == "allowed_networks"


def test_a_key_with_a_cap_issues_none_but_may_be_rotated(org):
    by = caller(org, spend_cap_micros=5)
    for cap in (None, 5, 1, 0):
        with pytest.raises(LimitEscaped) as refusal:
            issued(by, spend_cap_micros=cap)
        assert refusal.value.field == "spend_cap_micros"
    new, _ = keys.rotate(by.key, SOON, by=by)
    assert (new.spend_cap_micros, new.chain_id, new.replaces) == (5, by.key.pk, by.key)
    assert ApiKey.objects.count() == 2


@pytest.mark.parametrize(
    "limits",
    [
        {"spend_cap_micros": 5},
        {"expires_at": timezone.now() + SOON},
        {"allowed_networks": ["203.0.113.0/24"]},
    ],
    ids=lambda limits: next(iter(limits)),
)
def test_a_limited_key_does_not_free_itself_or_take_over_a_free_one(org, limits):
    by = caller(org, **limits)
    name = next(iter(limits))
    free = caller(org).key
    with pytest.raises(LimitEscaped):
        keys.rotate(free, SOON, by=by)
    with pytest.raises(LimitEscaped):
        keys.change(by.key, by, {name: [] if name == "allowed_networks" else None})
    by.key.refresh_from_db()
    assert getattr(by.key, name)
    assert ApiKey.objects.count() == 2
    # what is not limited may be changed
    assert keys.change(by.key, by, {"name": "renamed"}).name == "renamed"


def test_a_person_frees_a_key(org, alice):
    by = caller(org, spend_cap_micros=5)
    assert keys.change(by.key, caller_for(org, alice), {"spend_cap_micros": None}).spend_cap_micros is None


def test_a_key_of_fewer_scopes_changes_what_it_could_give(org):
    by = caller(org, "keys:write", "jobs:read")
    wide = caller(org).key
    assert keys.change(wide, by, {"name": "wide", "scopes": ["billing:write", "jobs:read"]}).scopes == [
        "billing:write",
        "jobs:read",
    ]
    with pytest.raises(ScopeMissing):
        keys.change(wide, by, {"scopes": ["billing:write", "jobs:read", "jobs:write"]})
    with pytest.raises(ValidationError):
        keys.change(wide, by, {"scopes": []})


def test_a_change_is_on_record_once_with_before_and_after(org, alice):
    key = caller(org, "jobs:read").key
    end = timezone.now() + SOON
    person = caller_for(org, alice)
    keys.change(key, person, {"name": "new", "expires_at": end})
    keys.change(key, person, {"name": "new", "expires_at": end})
    entry = AuditEntry.objects.get(action="key.change")
    assert (entry.actor_user, entry.target_id) == (alice, str(key.pk))
    assert entry.before == {"name": "test key", "expires_at": None}
    assert entry.after == {"name": "new", "expires_at": end.isoformat()}


def test_a_key_that_is_over_is_neither_changed_nor_rotated(org, alice):
    key = caller(org).key
    keys.rotate(key, SOON, by=alice)
    with pytest.raises(KeyEnded):
        keys.rotate(key, SOON, by=alice)
    keys.revoke(key, alice)
    with pytest.raises(KeyEnded):
        keys.change(key, alice, {"name": "x"})
    with pytest.raises(KeyEnded):
        keys.rotate(key, SOON, by=alice)


@pytest.mark.django_db(transaction=True)
def test_of_rotations_at_the_same_time_one_wins(org, alice):
    key, outcomes, start = caller(org).key, [], threading.Barrier(4)

    def work() -> None:
        start.wait()
        try:
            outcomes.append(keys.rotate(key, SOON, by=alice)[0].pk)
        except KeyEnded:
            outcomes.append(None)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([pk for pk in outcomes if pk]) == 1
    assert len(outcomes) == 4
