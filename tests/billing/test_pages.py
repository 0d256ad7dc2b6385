"""The pages of money: credit with limits and prices, use by day, model and key, the statement, and their files."""

from __future__ import annotations

import csv
import re
from datetime import date

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts import spreadsheet
from billing import ledger, statements
from billing.models import Limits, Price
from jobs.models import Asset
from tests.billing.conftest import give, hold
from tests.jobs import drive

MOST_QUERIES = 10


def page(response) -> str:
    return response.content.decode()


def table(response) -> list[dict[str, str]]:
    return list(csv.DictReader(response.getvalue().decode().splitlines()))


def spend(organization, usd: str, model: str, key=None) -> None:
    placed = hold(organization, usd, model=model, key=key)
    with transaction.atomic():
        ledger.capture(placed.job_id, placed.amount_micros, billed_ms=4000)


@pytest.fixture
def spent(org, other_org, api_key):
    give(org, "100")
    give(other_org, "100")
    spend(org, "1", "wan-2.2-s2v", api_key)
    spend(org, "2", "wan-2.2-s2v", api_key)
    spend(org, "4", "wan-2.2-animate")
    spend(other_org, "16", "umbra-only")
    with transaction.atomic():
        ledger.release(hold(org, "32", model="wan-2.2-s2v").job_id, reason="failed")
    return org


def test_use_is_shown_by_day_model_and_key(alice_browser, spent, api_key):
    use = alice_browser.get("/usage").context["use"]
    assert (use.total.usd, use.total.jobs, use.total.seconds) == ("7.00", 3, 12)
    assert [(line.name, line.usd, line.share) for line in use.models] == [
        ("wan-2.2-animate", "4.00", 100),
        ("wan-2.2-s2v", "3.00", 75),
    ]
    assert [(line.name, line.usd) for line in use.keys] == [("Dashboard", "4.00"), (api_key.name, "3.00")]
    assert (len(use.days), use.days[-1].usd) == (30, "7.00")


def test_a_chart_has_a_bar_for_each_day_and_its_table(alice_browser, spent):
    shown = page(alice_browser.get("/usage?period=7"))
    days = re.search(r' data-days="([^"]+)"', shown)[1].split()
    assert len(days) == 7
    assert [day.partition("/")[2] for day in days[-2:]] == ["0/0/0", "7000000/3/12"]
    assert "umbra-only" not in shown
    assert "style=" not in shown


def test_without_use_the_page_says_so(alice_browser):
    assert "Nothing used in this time" in page(alice_browser.get("/usage?period=nonsense"))


@pytest.mark.parametrize(
    ("period", "first", "last"),
    [
        ("7", date(2026, 3, 9), date(2026, 3, 15)),
        ("month", date(2026, 3, 1), date(2026, 3, 15)),
        ("last", date(2026, 2, 1), date(2026, 2, 28)),
    ],
)
def test_a_period_is_first_and_last_day(period, first, last):
    assert statements.span(period, date(2026, 3, 15)) == (first, last)


def test_use_comes_as_a_file(alice_browser, spent, api_key):
    response = alice_browser.get("/usage.csv")
    assert "attachment" in response["Content-Disposition"]
    rows = table(response)
    assert [(row["model"], row["key"], row["jobs"], row["usd"]) for row in rows] == [
        ("wan-2.2-animate", "Dashboard", "1", "4.00"),
        ("wan-2.2-s2v", api_key.name, "2", "3.00"),
    ]


def test_the_statement_has_what_came_in_and_what_was_spent(alice_browser, spent):
    found = alice_browser.get("/billing/statement").context["entries"]
    assert [entry.usd for entry in found] == ["-4.00", "-2.00", "-1.00", "100.00"]
    rows = table(alice_browser.get("/billing/statement.csv"))
    assert [row["usd"] for row in rows] == ["-4.00", "-2.00", "-1.00", "100.00"]
    assert rows[0]["model"] == "wan-2.2-animate"


def test_the_statement_is_read_page_by_page(alice_browser, spent, monkeypatch):
    monkeypatch.setattr("billing.views.STATEMENT_ROWS", 3)
    monkeypatch.setattr(statements, "PAGE", 2)
    first = alice_browser.get("/billing/statement").context
    second = alice_browser.get(f"/billing/statement?after={first['older']}").context
    assert [len(first["entries"]), len(second["entries"]), second["older"]] == [3, 1, None]
    assert len(table(alice_browser.get("/billing/statement.csv"))) == 4


def test_a_figure_is_told_in_cents_and_what_is_less_exactly():
    assert [statements.about(n) for n in (1_234_567, 1_235_000, 9_999, 0)] == [
        "1.23",
        "1.24",
        "0.009999",
        "0.00",
    ]


def test_a_name_is_no_formula_in_a_spreadsheet():
    assert spreadsheet.line("=1+1", "-4.00", "@x", "a,b") == "'=1+1,-4.00,'@x,\"a,b\"\r\n"


def test_credit_limits_and_own_prices_are_told_in_words(alice_browser, org):
    Limits.objects.create(organization=org, running=7, longest_seconds=45, allowed_models=["wan-2.2-s2v"])
    Price.objects.create(
        model="wan-2.2-s2v",
        resolution="480p",
        micros_per_unit=12_345,
        max_units=600,
        organization=org,
    )
    give(org, "12.5")
    hold(org, "2.5", model="wan-2.2-s2v")
    drive.asset(org, "image", status="pending")
    Asset.objects.update(bytes=1_250_000_000)
    shown = page(alice_browser.get("/billing")) + page(alice_browser.get("/billing/plan"))
    for words in (
        "$10.00",
        "$2.50 reserved",
        "7 jobs may run at once",
        "0 of 7",
        "1.25 of",
        "One video may last 45 seconds",
        "$0.012345 a second",
        "yours alone",
        "given by its operator",
        "Latest",
        "+12.50",
    ):
        assert words in shown


def test_no_page_costs_more_than_ten_queries(alice_browser, spent):
    for address in ("/billing", "/billing/plan", "/usage", "/billing/statement"):
        with CaptureQueriesContext(connection) as asked:
            assert alice_browser.get(address).status_code == 200
        assert len(asked) <= MOST_QUERIES, (address, [query["sql"][:90] for query in asked])
