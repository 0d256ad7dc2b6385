from datetime import UTC, date, datetime, timedelta

import pytest

from billing import ledger, usage
from billing.models import Hold
from tests.billing.conftest import give, hold

USD = 1_000_000
START, END = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)


def used(organization, when: datetime, usd: str, model: str, key=None) -> Hold:
    placed = hold(organization, usd, model=model, key=key)
    ledger.capture(placed.job_id, placed.amount_micros)
    Hold.objects.filter(pk=placed.pk).update(resolved_at=when)
    return placed


@pytest.fixture
def march(org, other_org, api_key):
    give(org, "100")
    give(other_org, "100")
    used(org, START, "1", "wan-2.2-s2v", api_key)
    used(org, START + timedelta(hours=23, minutes=59), "2", "wan-2.2-animate")
    used(org, START + timedelta(days=3), "4", "wan-2.2-s2v")
    used(org, END, "8", "wan-2.2-s2v")  # the next month
    used(other_org, START, "16", "wan-2.2-s2v")
    ledger.release(hold(org, "32", model="wan-2.2-s2v").job_id, reason="failed")
    hold(org, "5", model="wan-2.2-s2v")
    return org


def test_days_have_what_was_captured_on_them(march):
    assert usage.by_day(march, START, END) == [
        usage.DayUsage(date(2026, 3, 1), 2, 3 * USD),
        usage.DayUsage(date(2026, 3, 4), 1, 4 * USD),
    ]
    assert usage.by_day(march, START, END, model="wan-2.2-animate") == [
        usage.DayUsage(date(2026, 3, 1), 1, 2 * USD)
    ]


def test_models_come_with_the_dearest_first(march):
    assert usage.by_model(march, START, END) == [
        usage.ModelUsage("wan-2.2-s2v", 2, 5 * USD, START + timedelta(days=3)),
        usage.ModelUsage("wan-2.2-animate", 1, 2 * USD, START + timedelta(hours=23, minutes=59)),
    ]
    assert [row.model for row in usage.by_model(march, START, END, model="wan-2.2-animate")] == [
        "wan-2.2-animate"
    ]


def test_each_reading_is_one_statement(march, django_assert_num_queries):
    for reading in (
        lambda: usage.by_day(march, START, END),
        lambda: usage.by_model(march, START, END),
        lambda: [
            (row.key and row.key.name, row.hold and row.hold.model) for row in usage.billings(march).rows
        ],
    ):
        with django_assert_num_queries(1):
            reading()


def test_the_bill_shows_money_in_and_prices(march):
    rows = usage.billings(march).rows
    assert [(row.kind, row.amount_micros // USD) for row in rows] == [
        ("capture", 8),
        ("capture", 4),
        ("capture", 2),
        ("capture", 1),
        ("grant", 100),
    ]


def test_the_bill_is_narrowed(march, api_key):
    by_key = usage.billings(march, key_id=api_key.pk).rows
    assert [(row.key, row.amount_micros) for row in by_key] == [(api_key, USD)]
    assert [row.kind for row in usage.billings(march, kinds=("grant",)).rows] == ["grant"]
    assert len(usage.billings(march, model="wan-2.2-animate").rows) == 1
    now = datetime.now(UTC)
    assert len(usage.billings(march, start=now - timedelta(hours=1), end=now + timedelta(hours=1)).rows) == 5
    assert usage.billings(march, end=now - timedelta(hours=1)).rows == []


def test_pages_follow_each_other_without_gaps(march):
    whole = [row.pk for row in usage.billings(march).rows]
    assert usage.billings(march).after is None
    paged, after = [], None
    while True:
        page = usage.billings(march, size=2, after=after)
        paged += [row.pk for row in page.rows]
        after = page.after
        if after is None:
            break
    assert paged == whole
    assert [row.pk for row in usage.billings(march, skip=2, size=2).rows] == whole[2:4]
