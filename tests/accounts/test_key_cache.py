"""A key that is used often costs no statement, and what is taken away is gone at once."""

from __future__ import annotations

from datetime import timedelta

import pytest
import redis
from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from accounts import key_cache, keys, organizations, shortcut
from accounts.errors import AddressNotAllowed, KeyExpired, KeyRevoked, OrganizationSuspended
from accounts.models import ApiKey
from accounts.shortcut import ShortCut
from tests.world import make_key

pytestmark = pytest.mark.django_db(transaction=True)

KEPT_MS = key_cache.KEPT_MS  # before the tests stretch it
HERE, THERE = "203.0.113.7", "198.51.100.7"


@pytest.fixture
def store() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL)


@pytest.fixture(autouse=True)
def _patient(monkeypatch):
    """On a busy machine Redis may be slow, and seconds may pass between two lines of a test: nothing runs out here."""
    monkeypatch.setattr(shortcut, "SECONDS", 10.0)
    monkeypatch.setattr(key_cache, "KEPT_MS", 600_000)
    monkeypatch.setattr(key_cache, "FORGOTTEN_MS", 600_000)
    shortcut.shortcut.cache_clear()
    yield
    shortcut.shortcut.cache_clear()


def row(org) -> ApiKey:
    return ApiKey.objects.for_org(org).get()


def kept_name(text: str) -> str:
    return f"key:{keys.parse(text).hex()}"


def test_the_second_request_costs_no_statement(org, alice, key, django_assert_num_queries):
    first = keys.authenticate(key, HERE)
    with django_assert_num_queries(0):
        caller = keys.authenticate(key, HERE)
        assert (caller.organization, caller.key, caller.user) == (org, first.key, alice)
        assert (caller.address, caller.scopes, caller.user.is_active) == (HERE, first.scopes, True)
        assert (caller.organization.tier, caller.organization.slug) == (org.tier, org.slug)
    for field in ApiKey._meta.concrete_fields:
        assert getattr(caller.key, field.attname) == getattr(first.key, field.attname), field


def test_no_password_lies_in_redis(key, alice, store):
    keys.authenticate(key, HERE)
    kept = store.get(kept_name(key)).decode()
    assert alice.email in kept
    assert alice.password not in kept
    assert key not in kept


@pytest.mark.parametrize(
    ("take", "refusal"),
    [
        (lambda org: keys.revoke(row(org), None), KeyRevoked),
        (lambda org: keys.rotate(row(org), timedelta(0), by=None), KeyExpired),
        (lambda org: organizations.suspend(org, None), OrganizationSuspended),
    ],
    ids=["revoked", "rotated", "suspended"],
)
def test_what_is_taken_away_is_gone_at_once(org, key, take, refusal):
    keys.authenticate(key, HERE)
    take(org)
    for _ in range(2):
        with pytest.raises(refusal):
            keys.authenticate(key, HERE)


def test_over_http_too(org, api):
    assert api.get("/v1/balance").status_code == 200
    keys.revoke(row(org), None)
    assert api.get("/v1/balance").status_code == 401


def test_a_suspension_that_is_lifted_is_lifted_at_once(org, key):
    organizations.suspend(org, None)
    with pytest.raises(OrganizationSuspended):
        keys.authenticate(key, HERE)
    organizations.resume(org, None)
    assert keys.authenticate(key, HERE).organization == org


def test_a_slow_request_brings_no_revoked_key_back(org, key):
    """It read the row before the key was revoked, and would keep it after."""
    slow = ApiKey.objects.select_related("organization", "created_by").with_clock().get(organization=org)
    keys.revoke(row(org), None)
    key_cache.keep(slow)
    with pytest.raises(KeyRevoked):
        keys.authenticate(key, HERE)


def test_a_word_that_was_lost_matters_for_five_seconds_at_most(org, key, store, monkeypatch):
    monkeypatch.setattr(key_cache, "KEPT_MS", KEPT_MS)
    keys.authenticate(key, HERE)
    ApiKey.objects.filter(organization=org).update(revoked_at=Now())  # and nobody is told
    assert 0 < store.pttl(kept_name(key)) <= KEPT_MS <= 5_000
    store.pexpire(kept_name(key), 0)
    with pytest.raises(KeyRevoked):
        keys.authenticate(key, HERE)


def test_a_key_is_not_kept_beyond_its_end(org, key, store):
    ApiKey.objects.filter(organization=org).update(expires_at=Now() + timedelta(seconds=60))
    keys.authenticate(key, HERE)
    assert 0 < store.pttl(kept_name(key)) <= 60_000


def test_networks_are_checked_every_time(org, store):
    text = make_key(org, allowed_networks=["203.0.113.0/24"])
    keys.authenticate(text, HERE)
    assert store.get(kept_name(text))
    with pytest.raises(AddressNotAllowed):
        keys.authenticate(text, THERE)


def test_what_is_not_committed_is_not_kept(org, alice, store):
    with transaction.atomic():
        text = make_key(org, by=alice)
        assert keys.authenticate(text, HERE).organization == org
        assert not store.exists(kept_name(text))


def test_without_redis_every_request_asks_the_database(org, key, monkeypatch, django_assert_num_queries):
    keys.authenticate(key, HERE)
    monkeypatch.setattr(shortcut.shortcut(), "redis", ShortCut("redis://127.0.0.1:1/0").redis)
    with django_assert_num_queries(1):
        assert keys.authenticate(key, HERE).organization == org
    keys.revoke(row(org), None)
    with pytest.raises(KeyRevoked):
        keys.authenticate(key, HERE)
