"""What a change of a price would have made of last month, and the history of the book."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditEntry
from billing.models import DayUse, Price
from tests.world import at_console, make_user

PREVIEW, HISTORY = "/console/billing/price/preview/", "/console/billing/price/history/"
TODAY = datetime.now(UTC).date()
LAST = TODAY.replace(day=1) - timedelta(days=1)
QUERIES = 12


@pytest.fixture
def price() -> Price:
    return Price.objects.get(model="wan-2.2-s2v", resolution="480p", unit="second")


def use(org, jobs: int, seconds: int, micros: int, day=LAST, **fields) -> None:
    plain = {"model": "wan-2.2-s2v", "resolution": "480p", "unit": "second", "provider": "fake"}
    rows = DayUse.objects.count()
    DayUse.objects.create(
        **{**plain, **fields},
        route_id=rows,
        organization=org,
        day=day,
        jobs=jobs,
        billed_ms=seconds * 1000,
        micros=micros,
        cost_micros=0,
    )


def form(price: Price, **changes) -> dict[str, object]:
    names = ("model", "resolution", "unit", "micros_per_unit", "step_ms", "min_units", "max_units")
    return {name: getattr(price, name) for name in names} | changes


def words(answer) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text))


def preview(console, price: Price, **changes) -> str:
    answer = console.post(f"{PREVIEW}?price={price.pk}", form(price, **changes))
    assert answer.status_code == 200
    return words(answer)


def test_it_says_what_each_organization_would_have_paid(console, org, other_org, price):
    use(org, 10, 100, 3_000_000)
    use(org, 5, 50, 1_500_000, day=LAST.replace(day=1))
    use(other_org, 2, 20, 600_000)
    use(org, 1, 10, 700_000, model="wan-2.2-animate")
    found = preview(console, price, micros_per_unit=45_000)
    assert "Acme wan-2.2-s2v 15 150 $4.50 $6.75 +$2.25" in found
    assert "Umbra wan-2.2-s2v 2 20 $0.60 $0.90 +$0.30" in found
    assert "wan-2.2-s2v $5.10 $7.65 +$2.55" in found
    assert "All models $5.80 $8.35 +$2.55" in found
    assert "Acme wan-2.2-s2v 15 150 $4.50 $3.00 -$1.50" in preview(console, price, micros_per_unit=20_000)


def test_what_was_free_stays_free(console, org, price):
    use(org, 10, 100, 1_500_000, free=50_000)
    assert "Acme wan-2.2-s2v 10 100 $1.50 $2.25 +$0.75" in preview(console, price, micros_per_unit=45_000)


@pytest.mark.parametrize(
    "other",
    [
        {"day": TODAY},
        {"day": LAST.replace(day=1) - timedelta(days=1)},
        {"resolution": "720p"},
        {"unit": "own_key"},
        {"micros": 0},  # free of charge for another reason than its price
    ],
)
def test_what_the_price_is_not_for_is_left_out(console, org, price, other):
    use(org, **{"jobs": 10, "seconds": 100, "micros": 3_000_000, **other})
    assert "Nobody used this last month" in preview(console, price, micros_per_unit=45_000)


def test_who_has_a_price_of_its_own_is_touched_by_that_alone(console, org, other_org, price):
    own = Price.objects.create(**form(price, micros_per_unit=20_000), organization=org)
    for organization in (org, other_org):
        use(organization, 10, 100, 2_000_000)
    public = preview(console, price, micros_per_unit=45_000)
    assert "Umbra wan" in public
    assert "Acme wan" not in public
    found = preview(console, own, micros_per_unit=10_000, organization=org.pk)
    assert "Acme wan-2.2-s2v 10 100 $2.00 $1.00 -$1.00" in found
    assert "Umbra wan" not in found


def test_a_minimum_counts_for_each_video(console, org, price):
    use(org, 10, 50, 1_500_000)
    assert "$1.50 $2.40 +$0.90" in preview(console, price, micros_per_unit=30_000, min_units=8)


def test_a_new_price_can_be_previewed_and_nothing_is_written(console, org, price):
    use(org, 10, 100, 3_000_000)
    was, entries = list(Price.objects.order_by("pk").values()), AuditEntry.objects.count()
    with CaptureQueriesContext(connection) as asked:
        answer = console.post(PREVIEW, form(price, micros_per_unit=60_000))
    assert "$3.00 $6.00 +$3.00" in words(answer)
    # The form has the database check the constraints; those questions look at no table.
    assert len([q for q in asked if " FROM " in q["sql"]]) <= QUERIES
    assert not [q for q in asked if re.match("INSERT|UPDATE|DELETE", q["sql"]) and "billing" in q["sql"]]
    assert (list(Price.objects.order_by("pk").values()), AuditEntry.objects.count()) == (was, entries)


def test_a_form_that_cannot_be_saved_says_why(console, price):
    answer = console.post(f"{PREVIEW}?price={price.pk}", form(price, min_units=9, max_units=3))
    assert answer.status_code == 422
    assert "The minimum is above the maximum." in words(answer)
    assert console.get(PREVIEW).status_code == 405
    assert console.post(f"{PREVIEW}?price=999999", form(price)).status_code == 404


def test_the_forms_lead_there(console, price):
    assert (
        f'formaction="{PREVIEW}?price={price.pk}"'
        in console.get(f"/console/billing/price/{price.pk}/change/").text
    )
    assert f'formaction="{PREVIEW}"' in console.get("/console/billing/price/add/").text
    assert HISTORY in console.get("/console/billing/price/").text


def test_changes_are_told_with_who_and_what_was_before(console, operator, org, price):
    assert "No data" in words(console.get(HISTORY))
    sent = form(price, micros_per_unit=35_000, valid_from_0="2026-01-01", valid_from_1="00:00:00")
    assert console.post(f"/console/billing/price/{price.pk}/change/", sent).status_code == 302
    own = form(price, micros_per_unit=10_000, organization=org.pk)
    assert console.post("/console/billing/price/add/", own).status_code == 302
    found = words(console.get(HISTORY))
    assert f"{operator.email} wan-2.2-s2v 480p second Acme usd_per_unit: 0.01" in found
    assert re.search(rf"{operator.email} wan-2.2-s2v 480p second everybody usd_per_unit: 0.03 → 0.035", found)
    assert "Acme" not in words(console.get(HISTORY, {"price": price.pk})).partition("When")[2]


def test_the_history_has_pages(console, operator, price):
    AuditEntry.objects.bulk_create(
        AuditEntry(
            actor_user=operator,
            action="price.change",
            target_type="billing.price",
            target_id=price.pk,
            after={},
        )
        for _ in range(60)
    )
    with CaptureQueriesContext(connection) as asked:
        first = console.get(HISTORY)
    assert len(asked) <= QUERIES
    onwards = re.search(r'rel="next" href="\?([^"]+)"', first.text)[1]
    assert console.get(f"{HISTORY}?{onwards}").text.count(operator.email) > 9
    assert 'rel="next"' not in console.get(f"{HISTORY}?{onwards}").text


def test_it_is_for_operators_of_prices(alice_browser, org, price):
    assert alice_browser.post(PREVIEW, form(price)).status_code == 302
    staff = make_user("support@voicereel.example")
    staff.is_staff = True
    staff.save()
    console = at_console(staff)
    assert console.post(PREVIEW, form(price)).status_code == 403
    assert console.get(HISTORY).status_code == 403
