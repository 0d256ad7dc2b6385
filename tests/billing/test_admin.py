"""The operator's pages, by a browser's requests."""

import html
import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import AuditEntry
from billing import ledger, quotas
from billing.gateway_admin import TopUpAdmin
from billing.models import Account, Limits, Price, Reversal, Tier, TopUp, Transfer
from tests.billing.conftest import assert_sound, give, hold

USD = 1_000_000


@pytest.fixture
def used(org):
    give(org, "10")
    ledger.capture(hold(org, "3", model="wan-2.2-s2v").job_id, 2 * USD)
    return org


@pytest.mark.parametrize("page", ["account", "hold", "transfer", "price", "tier", "limits"])
def test_every_list_opens(console, used, page):
    Limits.objects.create(organization=used, monthly_budget_micros=5)
    answer = console.get(f"/console/billing/{page}/")
    assert answer.status_code == 200


@pytest.mark.parametrize("page", ["account", "hold", "transfer"])
def test_a_list_does_not_ask_for_each_row(console, used, page, django_assert_max_num_queries):
    for _ in range(20):
        hold(used, "0.1")
    with django_assert_max_num_queries(12):
        console.get(f"/console/billing/{page}/")


@pytest.mark.parametrize("model", [Account, Transfer])
def test_the_books_can_only_be_read(console, used, model):
    row = model.objects.first()
    page = f"/console/billing/{model._meta.model_name}/{row.pk}/"
    assert console.get(f"{page}change/").status_code == 200
    assert console.post(f"{page}change/", {"balance_micros": 5}).status_code == 403
    assert console.post(f"{page}delete/", {"post": "yes"}).status_code == 403
    assert_sound()


def test_without_keys_the_pages_of_stripe_say_so(console, stripe_off):
    for page in ("", "billing/topup/", "billing/stripeevent/", "billing/reversal/", "billing/proposal/add/"):
        text = console.get(f"/console/{page}").text
        assert "There are no keys for Stripe" in text or (page == "" and "no keys" in text), page


class TestLongLists:
    def test_rows_without_numbers_are_listed_by_their_time(self, console, org, monkeypatch):
        """Page by page, none twice and none left out, where several bear one time as well; and none is counted."""
        monkeypatch.setattr(TopUpAdmin, "list_per_page", 2)
        now = timezone.now()
        made = [
            TopUp.objects.create(organization=org, amount_micros=1, created_at=now - timedelta(hours=age))
            for age in (3, 1, 2, 2, 2)
        ]
        found, page = [], "/console/billing/topup/"
        with CaptureQueriesContext(connection) as asked:
            while page:
                text = console.get(page).text
                found += re.findall(r"/topup/([0-9a-f-]{36})/change/", text)
                onwards = re.search(r'rel="next" href="([^"]+)"', text)
                page = f"/console/billing/topup/{html.unescape(onwards.group(1))}" if onwards else ""
        newest_first = sorted(made, key=lambda row: (row.created_at, row.pk), reverse=True)
        assert found == [str(row.pk) for row in newest_first]
        assert not [
            query for query in asked if "COUNT(*)" in query["sql"] and "billing_topup" in query["sql"]
        ]

    def test_a_place_that_is_none_is_the_beginning(self, console, org):
        for nonsense in ("5", "2026-01-01T00:00:00+00:00 x", "later than 5"):
            answer = console.get("/console/billing/topup/", {"after": nonsense})
            assert answer.status_code == 302

    def test_the_holds_of_a_small_tenant_come_out_of_an_index(self, console, used):
        with CaptureQueriesContext(connection) as asked:
            console.get("/console/billing/hold/?q=acme")
        (listed,) = [query["sql"] for query in asked if 'FROM "billing_hold"' in query["sql"]]
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_sort = off")
            cursor.execute(f"EXPLAIN {listed}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
        assert "hold_newest" in plan


def test_topups_and_reversals_that_wait_are_looked_at_again(console, org):
    later = timezone.now() + timedelta(hours=1)
    waits, over = (
        TopUp.objects.create(organization=org, amount_micros=1, waiting=waiting, due_at=later)
        for waiting in (True, False)
    )
    row = Reversal.objects.create(organization=org, topup=over, kind="refund", due_at=later, tries=3)
    for page, chosen in (("topup", [waits.pk, over.pk]), ("reversal", [row.pk])):
        form = {"action": "retry", "_selected_action": chosen}
        assert "1 will be tried again" in console.post(f"/console/billing/{page}/", form, follow=True).text
    assert set(TopUp.objects.due()) == {waits}
    assert set(Reversal.objects.due()) == {row}
    entry = AuditEntry.objects.get(action="reversal.retry")
    assert (entry.organization, entry.before["due_at"]) == (org, later.isoformat())


class TestPrices:
    def form(self, **changes):
        plain = {
            "model": "wan-2.2-s2v",
            "resolution": "480p",
            "unit": "second",
            "micros_per_unit": 35_000,
            "step_ms": 1000,
            "min_units": 3,
            "max_units": 600,
            "organization": "",
            "valid_from_0": "",
            "valid_from_1": "",
            "valid_to_0": "",
            "valid_to_1": "",
        }
        return {**plain, **changes}

    def test_a_price_for_one_organization_holds_from_now(self, console, org):
        answer = console.post("/console/billing/price/add/", self.form(organization=org.pk))
        assert answer.status_code == 302
        assert Price.objects.get(organization=org).valid_from <= timezone.now()
        assert AuditEntry.objects.get(action="price.add").after["usd_per_unit"] == "0.035"

    def test_an_overlap_is_explained(self, console):
        answer = console.post("/console/billing/price/add/", self.form(), follow=True)
        assert b"Another price for the same thing" in answer.content
        assert Price.objects.filter(micros_per_unit=35_000).count() == 0

    def test_a_price_is_ended_and_another_follows(self, console):
        old = Price.objects.get(model="wan-2.2-s2v", resolution="480p", unit="second")
        tomorrow = (timezone.now() + timedelta(days=1)).replace(microsecond=0)
        day, hour = f"{tomorrow:%Y-%m-%d}", f"{tomorrow:%H:%M:%S}"
        ended = self.form(
            micros_per_unit=30_000,
            valid_from_0="2026-01-01",
            valid_from_1="00:00:00",
            valid_to_0=day,
            valid_to_1=hour,
        )
        assert console.post(f"/console/billing/price/{old.pk}/change/", ended).status_code == 302
        change = AuditEntry.objects.get(action="price.change")
        assert (change.before["valid_to"], change.after["valid_to"]) == (None, tomorrow.isoformat())
        follows = self.form(valid_from_0=day, valid_from_1=hour)
        assert console.post("/console/billing/price/add/", follows).status_code == 302

    def test_a_price_is_never_deleted(self, console):
        price = Price.objects.first()
        assert console.post(f"/console/billing/price/{price.pk}/delete/", {"post": "yes"}).status_code == 403


class TestLimits:
    def test_a_change_of_a_tier_is_recorded_and_works_at_once(self, console, org):
        assert quotas.limits_of(org).running == 2
        form = {
            "slug": "bronze",
            "threshold_micros": 0,
            "submits_per_minute": 2,
            "running": 5,
            "queued": 100,
            "weight": 1,
            "reads_per_second": 50,
            "requests_per_second": 100,
            "storage_bytes": 10**10,
        }
        assert console.post("/console/billing/tier/bronze/change/", form).status_code == 302
        entry = AuditEntry.objects.get(action="tier.change")
        assert (entry.before["running"], entry.after["running"]) == (2, 5)
        assert quotas.limits_of(org).running == 5

    def test_an_organizations_limits_come_and_go(self, console, org):
        form = {
            "organization": org.pk,
            "credit_limit_micros": 0,
            "running": 9,
            "allowed_models": '["wan-2.2-s2v"]',
        }
        assert console.post("/console/billing/limits/add/", form).status_code == 302
        assert quotas.limits_of(org).allowed_models == {"wan-2.2-s2v"}
        assert console.post(f"/console/billing/limits/{org.pk}/delete/", {"post": "yes"}).status_code == 302
        assert quotas.limits_of(org).running == 2
        actions = AuditEntry.objects.filter(organization=org, action__startswith="limits").values_list(
            "action", flat=True
        )
        assert sorted(actions) == ["limits.add", "limits.delete"]

    def test_deleting_many_at_once_is_recorded_for_each(self, console):
        form = {"action": "delete_selected", "_selected_action": ["silver", "gold"], "post": "yes"}
        console.post("/console/billing/tier/", form)
        assert AuditEntry.objects.filter(action="tier.delete").count() == 2
        assert Tier.objects.count() == 2
