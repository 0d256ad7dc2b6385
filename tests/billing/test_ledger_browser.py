"""The operator's ledger browser: what is listed, what each transfer left on the accounts, and the same as a file."""

from __future__ import annotations

import csv
import html
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from accounts.console.filters import id_at
from billing import ledger, ledger_admin, ledger_check, running
from billing.models import Account, Kind, Transfer
from tests.world import at_console, make_user

PAGE = "/console/billing/transfer/"
QUERIES = 12
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def moved(org):
    """Grants of a dollar, each on its own day, in the order of their numbers."""
    accounts = {}
    for kind in Kind:
        accounts[kind] = Account.objects.get_or_create(organization=org, kind=kind)[0]

    def add(count: int, *, gap: int = 0) -> list[Transfer]:
        first = Transfer.objects.count()
        rows = []
        for n in range(first, first + count):
            with connection.cursor() as cursor:
                cursor.execute("SELECT nextval('billing_transfer_id_seq') FROM generate_series(1, %s)", [gap])
            rows.append(
                Transfer.objects.create(
                    reference=f"grant:day-{n}",
                    kind="grant",
                    debit=accounts[Kind.FUNDING],
                    credit=accounts[Kind.AVAILABLE],
                    amount_micros=1_000_000,
                    organization=org,
                    created_at=NOON + timedelta(days=n),
                )
            )
        for kind, sign in ((Kind.AVAILABLE, 1), (Kind.FUNDING, -1)):
            change = F("balance_micros") + sign * count * 1_000_000
            Account.objects.filter(pk=accounts[kind].pk).update(balance_micros=change)
        return rows

    return add


def cells(page) -> list[dict[str, str]]:
    """The list's rows by column."""
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", page.text, re.DOTALL)
    found = [
        dict(re.findall(r'class="[^"]*field-(\w+)[^"]*"[^>]*>(.*?)</t[dh]>', row, re.DOTALL)) for row in rows
    ]
    return [
        {name: re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", cell)).strip() for name, cell in row.items()}
        for row in found
        if row
    ]


def all_pages(console, **filters) -> list[dict[str, str]]:
    address, rows = f"{PAGE}?{urlencode(filters)}", []
    while address:
        page = console.get(address)
        assert page.status_code == 200
        rows += cells(page)
        onwards = re.search(r'rel="next" href="([^"]+)"', page.text)
        address = PAGE + html.unescape(onwards[1]) if onwards else ""
    return rows


def lines(console, **filters) -> list[dict[str, str]]:
    answer = console.get(f"{PAGE}file/?{urlencode(filters)}")
    assert answer["Content-Type"] == "text/csv"
    return list(csv.DictReader(b"".join(answer.streaming_content).decode().splitlines()))


def usd(text: str) -> int:
    return round(float(text) * 1_000_000)


def folded() -> list[dict[str, int]]:
    """Each account's balance after each transfer, newest first, from the transfers alone."""
    balances = dict.fromkeys(Kind.values, 0)
    found = []
    for row in Transfer.objects.select_related("debit", "credit").order_by("pk"):
        balances[row.debit.kind] -= row.amount_micros
        balances[row.credit.kind] += row.amount_micros
        found.append(dict(balances))
    return found[::-1]


def test_balances_run_through_all_pages_and_the_file(console, org, other_org, moved, monkeypatch):
    monkeypatch.setattr(ledger_admin, "FILE_PAGE", 7)
    moved(45)
    first, second = uuid4(), uuid4()
    ledger.hold(org, job_id=first, amount_micros=3_000_000)
    ledger.capture(first, 2_000_000)
    ledger.hold(org, job_id=second, amount_micros=500_000)
    ledger.raise_hold(second, 900_000)
    ledger.release(second, reason="test")
    moved(5)
    assert not [d for d in ledger_check.check() if "balance" in d.rule]
    expected = folded()
    assert len(expected) > 50
    for name in (org.slug, str(org.pk)):
        shown = [
            {kind: usd(row[f"left_{kind}"]) for kind in Kind} for row in all_pages(console, organization=name)
        ]
        assert shown == expected
    told = [
        {kind: usd(row[f"{kind}_after_usd"]) for kind in Kind}
        for row in lines(console, organization=org.slug)
    ]
    assert told == expected
    assert [row["kind"] for row in lines(console, organization=org.slug, account="revenue")] == ["capture"]
    assert all_pages(console, organization=other_org.slug) == []


def test_an_account_has_its_own_transfers_and_balance(console, org, moved):
    moved(60)
    for _ in range(3):
        this = uuid4()
        ledger.hold(org, job_id=this, amount_micros=3_000_000)
        ledger.capture(this, 2_000_000)
    rows = all_pages(console, organization=org.slug, account="available")
    assert "capture" not in {row["kind"].lower() for row in rows}
    expected = [
        left["available"]
        for left, row in zip(folded(), Transfer.objects.order_by("-pk"), strict=True)
        if row.kind != "capture"
    ]
    assert [usd(row["left_available"]) for row in rows] == expected
    assert "left_held" not in rows[0]


def test_a_balance_is_counted_from_either_end(org, moved):
    """The first ones up from nothing, the last ones back from today: the same after each."""
    rows = moved(9)
    available = Account.objects.get(organization=org, kind=Kind.AVAILABLE).pk
    funding = Account.objects.get(organization=org, kind=Kind.FUNDING).pk
    for number, row in enumerate(rows, 1):
        found = running.after(org.pk, row.pk)
        assert (found[available], found[funding]) == (number * 1_000_000, -number * 1_000_000)


def test_days_are_whole_and_keep_the_balance(console, org, moved):
    moved(60)
    span = {"created_at_from": "2026-03-05", "created_at_to": "2026-03-07"}
    rows = all_pages(console, organization=org.slug, **span)
    assert [usd(row["left_available"]) // 1_000_000 for row in rows] == [7, 6, 5]
    assert [row["reference"] for row in lines(console, **span)] == [
        "grant:day-6",
        "grant:day-5",
        "grant:day-4",
    ]
    assert all_pages(console, created_at_from="2027-01-01") == []
    assert console.get(PAGE, {"created_at_from": "yesterday"}).status_code == 302


def test_a_list_that_leaves_some_out_has_no_balances(console, org, other_org, moved):
    moved(3)
    for filters in (
        {"organization": org.slug, "kind__exact": "grant"},
        {"organization": org.slug, "q": "grant:day-1"},
        {"organization": "nobody"},
    ):
        assert not any(row.get("left_available") for row in all_pages(console, **filters))
    assert lines(console, organization=org.slug, kind__exact="grant")[0].keys() == set(ledger_admin.COLUMNS)


def test_a_balance_in_an_address_is_believed_only_where_we_wrote_it(console, org, moved):
    moved(55)
    page = console.get(PAGE, {"organization": org.slug})
    onwards = html.unescape(re.search(r'rel="next" href="([^"]+)"', page.text)[1])
    query = {name: found[0] for name, found in parse_qs(urlsplit(onwards).query).items()}
    assert usd(cells(console.get(PAGE, query))[0]["left_available"]) == 5_000_000
    elsewhere = query | {"after": str(int(query["after"]) - 2)}
    assert usd(cells(console.get(PAGE, elsewhere))[0]["left_available"]) == 3_000_000
    forged = query | {"balances": query["balances"][:-1] + "x"}
    assert usd(cells(console.get(PAGE, forged))[0]["left_available"]) == 5_000_000
    # What is filtered anew begins with the newest.
    assert (
        "after=" not in re.search(r'href="([^"]*kind__exact=grant[^"]*)"', console.get(PAGE, query).text)[1]
    )


def test_a_page_costs_few_queries(console, org, moved):
    costs = []
    for count in (5, 55):
        moved(count)
        with CaptureQueriesContext(connection) as asked:
            console.get(PAGE, {"organization": org.slug, "created_at_to": "2026-12-31"})
        costs.append(len(asked))
    assert costs[0] == costs[1] <= QUERIES


def test_where_a_time_begins_is_found_among_gaps(moved):
    assert id_at(Transfer, "created_at", NOON) == 0
    rows = moved(5) + moved(6, gap=7) + moved(3, gap=1000)
    before = 0
    for row in rows:
        for at in (row.created_at, row.created_at - timedelta(hours=23)):
            assert before < id_at(Transfer, "created_at", at) <= row.pk
        before = row.pk
    assert id_at(Transfer, "created_at", NOON + timedelta(days=99)) == rows[-1].pk + 1


def test_it_is_for_operators_who_may_see_the_books(alice_browser, org):
    assert alice_browser.get(f"{PAGE}file/").status_code == 302
    helper = make_user("support@voicereel.example")
    helper.is_staff = True
    helper.save()
    assert at_console(helper).get(f"{PAGE}file/").status_code == 403
