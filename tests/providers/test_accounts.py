"""Accounts at providers: keys sealed, limits kept by the dispatcher and the poller, a switch that stops orders."""

from __future__ import annotations

import time

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import AuditEntry
from jobs.models import Attempt
from jobs.submit import submit
from jobs.types import JobRequest
from providers import errors, vault
from providers.models import ProviderAccount, Route
from providers.registry import adapter
from tests.jobs import drive

KEY = "sk-a-very-secret-key"


@pytest.fixture
def account(db) -> ProviderAccount:
    row = ProviderAccount(provider="fake", name="first")
    vault.keep(row, key=KEY)
    row.save()
    return row


def stored_bytes() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(t::text, '') FROM providers_provideraccount t")
        return cursor.fetchone()[0]


def test_a_key_is_sealed_at_rest_and_opens_for_its_adapter(account):
    assert KEY not in stored_bytes()
    opened = adapter("fake", account.pk).account
    assert opened.key == KEY
    assert KEY not in repr(opened)


def test_a_key_outlives_a_change_of_the_secret_key(account, settings):
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another"
    assert vault.account(account.pk).key == KEY


def test_a_key_sealed_under_a_lost_secret_key_is_said_to_be(account, settings):
    settings.SECRET_KEY = "another"
    with pytest.raises(errors.AccountRefused, match="enter it again"):
        vault.account(account.pk)


# --- the console --------------------------------------------------------------------------------------------

FORM = {"provider": "fake", "name": "first", "enabled": "on", "settings": "{}", "base_url": ""}


def test_the_console_takes_a_key_and_never_shows_it(console):
    answer = console.post(
        "/console/providers/provideraccount/add/", {**FORM, "key": KEY, "secret": "whsec_1"}
    )
    assert answer.status_code == 302, answer.content
    row = ProviderAccount.objects.get()
    assert (vault.account(row.pk).key, vault.account(row.pk).secret) == (KEY, "whsec_1")
    page = console.get(f"/console/providers/provideraccount/{row.pk}/change/").content.decode()
    assert KEY not in page
    assert row.sealed_key not in page
    entry = AuditEntry.objects.get(action="provider_account.add")
    assert "key" in entry.after["changed"]
    assert KEY not in str(entry.after)


def test_an_empty_key_keeps_the_old_one(console, account):
    address = f"/console/providers/provideraccount/{account.pk}/change/"
    assert console.post(address, {**FORM, "name": "renamed"}).status_code == 302
    account.refresh_from_db()
    assert (account.name, vault.account(account.pk).key) == ("renamed", KEY)


def test_a_route_takes_only_an_account_of_its_own_provider(console, account):
    form = {"model": "wan-2.2-s2v", "provider": "local", "account": account.pk, "priority": 1, "weight": 1}
    form |= {"cost_micros_per_second": 0, "settings": "{}"}
    answer = console.post("/console/providers/route/add/", form)
    assert b"belongs to another provider" in answer.content


# --- limits -------------------------------------------------------------------------------------------------


@pytest.fixture
def order(org, caller, account):
    """Submits a job of Acme that the fake provider will not end, on the account."""
    drive.fund(org)
    Route.objects.create(model="wan-2.2-s2v", provider="fake", account=account, organization=org)
    return lambda: submit(caller, drive.request(org, "[fake stall]"))


def begun() -> int:
    return drive.dispatch.dispatch()


def test_no_more_attempts_run_than_the_account_allows(order, account):
    ProviderAccount.objects.update(max_running=2)
    for _ in range(3):
        order()
    assert begun() == 2
    assert begun() == 0
    Attempt.objects.order_by("pk").first().delete()
    assert begun() == 1
    assert set(Attempt.objects.values_list("account_id", flat=True)) == {account.pk}


def test_two_accounts_of_a_provider_have_limits_of_their_own(order, account, org):
    ProviderAccount.objects.update(max_running=1)
    second = ProviderAccount.objects.create(provider="fake", name="second", max_running=1)
    Route.objects.create(model="wan-2.2-s2v", provider="fake", account=second, organization=org)
    for _ in range(3):
        order()
    assert begun() == 2
    assert set(Attempt.objects.values_list("account_id", flat=True)) == {account.pk, second.pk}


def test_no_more_attempts_begin_in_a_second_than_the_account_allows(order, account, monkeypatch):
    ProviderAccount.objects.update(submits_per_second=5)
    for _ in range(12):
        order()
    now = time.time_ns()
    for begun_by_then, milliseconds in ((5, 0), (5, 999), (10, 1001), (10, 2000), (12, 2002)):
        monkeypatch.setattr(time, "time_ns", lambda at=now + milliseconds * 1_000_000: at)
        begun()
        assert Attempt.objects.count() == begun_by_then, milliseconds


def test_no_more_attempts_begin_in_a_minute_than_the_account_allows(order, account, monkeypatch):
    ProviderAccount.objects.update(submits_per_minute=2)
    for _ in range(5):
        order()
    now = time.time_ns()
    for begun_by_then, seconds in ((2, 0), (2, 1.5), (2, 59.9), (4, 60.1), (4, 120), (5, 120.2)):
        monkeypatch.setattr(time, "time_ns", lambda at=now + int(seconds * 1e9): at)
        begun()
        assert Attempt.objects.count() == begun_by_then, seconds


def test_an_account_that_is_switched_off_takes_nothing_new_but_its_orders_go_on(order, account):
    first = order()
    begun()
    second = order()
    ProviderAccount.objects.update(enabled=False)
    Route.objects.filter(organization=None).update(enabled=False)
    assert begun() == 0
    second.refresh_from_db()
    assert second.error_code == "no_route"
    drive.step()
    first.refresh_from_db()
    assert first.status == "running"


def test_queries_get_places_one_after_the_other(account):
    first, second, third = (vault.reserve_queries(account.pk, 60, 1.0, patience=90) for _ in range(3))
    assert first == 0.0
    assert 30 < second <= 60
    assert third is None, "more than the patience away"


def test_polls_beyond_the_accounts_queries_wait_without_counting_as_failed(order, account):
    ProviderAccount.objects.update(queries_per_second=1)
    for _ in range(12):
        order()
    begun()
    drive.hurry()
    asked = drive.polling.claim_due()
    now, wait = drive.polling._within_limits(0.85, account.pk, asked)
    assert (len(now), wait) == (8, 0.0)
    assert drive.polling._within_limits(0.85, account.pk, now)[0] == []
    Attempt.objects.update(lease_until=None)
    assert drive.async_to_sync(drive.polling.poll_due)() == 12
    assert set(Attempt.objects.values_list("poll_failures", flat=True)) == {0}
    assert not Attempt.objects.exclude(lease_until=None).exists()
    assert not Attempt.objects.filter(due_at__lte=timezone.now()).exists()


def test_a_long_queue_for_a_full_account_does_not_hide_what_could_start(
    order, account, org, caller, monkeypatch
):
    """More jobs than one look covers wait for the account's one place; a job of another model starts past them."""
    monkeypatch.setattr(drive.dispatch, "WINDOW", 4)
    ProviderAccount.objects.update(max_running=1)
    for _ in range(11):
        order()
    drive.fake_route(org, "wan-2.2-animate")
    inputs = {"image": str(drive.asset(org, "image").id), "video": str(drive.asset(org, "video").id)}
    last = submit(
        caller, JobRequest(model="wan-2.2-animate", inputs=inputs, options={"seed": 1}, dialect="rest")
    )
    assert begun() == 2
    last.refresh_from_db()
    assert last.status == "running"
    assert Attempt.objects.count() == 2
