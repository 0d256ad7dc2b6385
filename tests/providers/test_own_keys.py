"""A customer's own account at a provider: rendered there for a fee, never silently on ours at another price."""

from __future__ import annotations

import re

import pytest
from django.db import connection

from accounts.models import AuditEntry
from billing import ledger
from billing.models import Price
from jobs import own_keys
from jobs.errors import Conflict, Invalid
from jobs.models import Job
from jobs.submit import offer, submit
from jobs.types import JobRequest
from providers import vault
from providers.models import ProviderAccount, Route
from providers.wavespeed import adapter
from tests.jobs import drive
from tests.providers.conformance.stands import picture, standing, voice
from tests.vendors.wavespeed import double as wavespeed
from tests.world import api_client, make_key

FEE = 2 * 2_000
PRICE = 3 * 30_000  # three seconds at least


def order(org) -> JobRequest:
    inputs = {"image": picture(org), "audio": voice(org)}
    return JobRequest(model="wan-2.2-s2v", inputs=inputs, options={"seed": 7}, dialect="rest")


@pytest.fixture
def common(org) -> Route:
    """Ours, for everybody."""
    drive.fund(org)
    Route.objects.filter(organization=None).delete()
    return Route.objects.create(
        model="wan-2.2-s2v", provider="fake", priority=1, cost_micros_per_second=20_000
    )


@pytest.fixture
def vendor(org, settings, monkeypatch):
    """The double of a vendor, and no route to it yet."""
    with standing("wavespeed", org) as stand:
        settings.FETCH_ALLOW_HOSTS = [stand.vendor.host]
        Route.objects.filter(organization=org).delete()
        ProviderAccount.objects.all().delete()
        monkeypatch.setattr(adapter, "BASE_URL", stand.vendor.url)
        yield stand.vendor


@pytest.fixture
def own(common, vendor, caller) -> ProviderAccount:
    return own_keys.add(caller, provider="wavespeed", key=wavespeed.KEY, name="ours")


def test_jobs_go_there_for_the_fee_alone(own, org, caller, vendor):
    quote = offer(caller, order(org)).quote
    assert (quote.total_micros, quote.unit) == (FEE, "own_key")
    assert "on your own provider account" in quote.lines[0].text
    job = submit(caller, order(org))
    drive.run_all(60)
    job.refresh_from_db()
    assert (job.status, job.charged_micros) == ("succeeded", FEE)
    attempt = job.attempts.get()
    assert (attempt.provider, attempt.account_id, attempt.cost_micros) == ("wavespeed", own.pk, 0)
    assert len(vendor.tasks) == 1
    assert ledger.balance(org).available_micros == 40 * drive.USD - FEE


def test_the_fee_is_frozen_at_submit(own, org, caller):
    job = submit(caller, order(org))
    Price.objects.filter(unit="own_key").update(micros_per_unit=9_000_000)
    drive.run_all(60)
    job.refresh_from_db()
    assert job.charged_micros == FEE


def test_an_account_that_refuses_fails_the_job_clearly_and_moves_it_nowhere(own, org, caller, vendor):
    vendor.fault("submit", "denied")
    job = submit(caller, order(org))
    drive.run_all(60)
    job.refresh_from_db()
    assert (job.status, job.error_code, job.charged_micros) == ("failed", "own_account_refused", 0)
    assert "key and its credit" in job.error_hint
    assert list(job.attempts.values_list("provider", flat=True)) == ["wavespeed"]


def test_whoever_waits_when_the_account_goes_fails_free_and_new_jobs_are_priced_as_usual(own, org, caller):
    waiting = submit(caller, order(org))
    own_keys.remove(caller, own)
    drive.run_all()
    waiting.refresh_from_db()
    assert (waiting.status, waiting.error_code, waiting.charged_micros) == ("failed", "own_account_gone", 0)
    job = submit(caller, order(org))
    drive.run_all()
    job.refresh_from_db()
    assert (job.charged_micros, job.attempts.get().provider) == (PRICE, "fake")


def test_a_job_priced_for_ours_does_not_move_to_an_account_added_later(common, vendor, org, caller):
    job = submit(caller, order(org))
    own_keys.add(caller, provider="wavespeed", key=wavespeed.KEY)
    drive.run_all()
    job.refresh_from_db()
    assert vendor.tasks == {}
    assert job.charged_micros in {0, PRICE}


def test_it_is_not_removed_while_jobs_run_there(own, org, caller):
    submit(caller, order(org))
    drive.dispatch.dispatch()
    with pytest.raises(Conflict) as refusal:
        own_keys.remove(caller, own)
    assert refusal.value.code == "account_in_use"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"provider": "local"}, "provider"),
        ({"provider": "nobody"}, "provider"),
        ({"key": " "}, "key"),
        ({"region": "mars"}, "region"),
        ({"name": "ours"}, "name"),
    ],
)
def test_what_is_no_account_is_refused(own, caller, given, field):
    with pytest.raises(Invalid) as refusal:
        own_keys.add(caller, **{"provider": "wavespeed", "key": "k", "name": "another", **given})
    assert refusal.value.field == field


# --- by a programme -----------------------------------------------------------------------------------------


def test_a_programme_keeps_the_accounts_and_never_reads_a_key(api, key, common, vendor, org, other_key):
    address = "/v1/provider-accounts"
    assert api.get(address).json()["data"] == []
    assert "wavespeed" in api.get(address).json()["providers"]
    added = api.post(address, {"provider": "wavespeed", "key": "a-very-secret-key"}, format="json")
    row = ProviderAccount.objects.get(organization=org)
    assert (added.status_code, added.json()["id"], added.json()["name"]) == (201, row.pk, "wavespeed")
    assert vault.account(row.pk).key == "a-very-secret-key"
    check = f"{address}/{row.pk}/check"
    said = api.post(check).json()
    assert (said["accepted"], said["message"][:29]) == (False, "The provider refused the key.")
    vault.keep(row, key=wavespeed.KEY)
    row.save()
    assert api.post(check).json()["accepted"] is True
    assert [one["id"] for one in api.get(address).json()["data"]] == [row.pk]
    shown = api.get(address).content + added.content + str(list(AuditEntry.objects.values())).encode()
    assert b"a-very-secret-key" not in shown
    # Another tenant's is nobody's, to every verb.
    stranger = api_client(other_key)
    assert stranger.get(address).json()["data"] == []
    assert stranger.post(check).status_code == stranger.delete(f"{address}/{row.pk}").status_code == 404
    assert api.delete(f"{address}/{row.pk}").status_code == 204
    assert api.delete(f"{address}/{row.pk}").json()["code"] == "provider_account_not_found"
    assert not Route.objects.filter(organization=org).exists()
    # The audit names the key that did it.
    entries = AuditEntry.objects.filter(action__startswith="own_provider_account.")
    assert set(entries.values_list("action", "actor_key__last4")) == {
        (f"own_provider_account.{verb}", key[-4:]) for verb in ("add", "remove")
    }


@pytest.mark.parametrize(
    ("given", "status", "code"),
    [
        ({"provider": "nobody"}, 422, "provider_unknown"),
        ({"key": "  "}, 422, "key_invalid"),
        ({"region": "mars"}, 422, "region_unknown"),
        ({"name": "ours"}, 422, "name_taken"),
        ({"secret": "x"}, 422, "parameter_invalid"),
    ],
)
def test_what_a_programme_is_refused(own, api, given, status, code):
    body = {"provider": "wavespeed", "key": "k", "name": "another", **given}
    answer = api.post("/v1/provider-accounts", body, format="json")
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_key_without_the_scope_may_not(org, alice):
    client = api_client(make_key(org, "jobs:write", "keys:write", by=alice))
    assert client.get("/v1/provider-accounts").json()["code"] == "scope_missing"


# --- the page ----------------------------------------------------------------------------------------------


def test_the_page_takes_a_key_tests_it_and_never_shows_it(alice_browser, common, vendor, org):
    page = alice_browser.get("/settings/providers")
    assert page.status_code == 200
    assert "0.002" in page.content.decode()
    form = {"provider": "wavespeed", "name": "mine", "key": "a-very-secret-key"}
    added = alice_browser.post("/settings/providers", form, follow=True).content.decode()
    assert "mine" in added
    row = ProviderAccount.objects.get(organization=org)
    assert vault.account(row.pk).key == "a-very-secret-key"
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(t::text, '') FROM providers_provideraccount t")
        assert "a-very-secret-key" not in cursor.fetchone()[0]
    address = f"/settings/providers/{row.pk}"
    shown = alice_browser.post(f"{address}/test", follow=True).content.decode()
    assert "refused the key" in shown, shown[-3000:]
    vault.keep(row, key=wavespeed.KEY)
    row.save()
    shown = alice_browser.post(f"{address}/test", follow=True).content.decode()
    assert "takes the key" in shown
    assert wavespeed.KEY not in shown
    assert "a-very-secret-key" not in shown + str(list(AuditEntry.objects.values_list("after", flat=True)))
    page = alice_browser.get("/settings/providers").content.decode()
    assert re.search(rf'(?s)<details class="confirm">\s*<summary>Remove.*?action="{address}/remove"', page)
    assert "removed" in alice_browser.post(f"{address}/remove", follow=True).content.decode()
    assert not ProviderAccount.objects.filter(organization=org).exists()
    actions = set(AuditEntry.objects.values_list("action", flat=True))
    assert {"own_provider_account.add", "own_provider_account.remove"} <= actions


def test_the_page_sets_where_jobs_are_rendered(alice_browser, common, org, caller):
    form = {"order": "cheapest", "own_wait_seconds": 5, "regions": "eu, us"}
    assert "Saved" in alice_browser.post("/settings/routing", form, follow=True).content.decode()
    assert org.routing_policy.regions == ["eu", "us"]
    wrong = alice_browser.post("/settings/routing", {**form, "regions": "x" * 50})
    assert wrong.status_code == 422
    assert not Job.objects.exists()
