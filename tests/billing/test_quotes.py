import json
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import AuditEntry
from billing import prices, quotes
from billing.errors import PriceMissing
from billing.models import Price
from billing.money import format_usd
from billing.quotes import Quote, billed_units
from tests.billing.conftest import in_threads

NOW = timezone.now()
S2V = {"model": "wan-2.2-s2v", "resolution": "480p"}


def make_price(**fields) -> Price:
    plain = {
        "model": "m",
        "micros_per_unit": 10_000,
        "min_units": 1,
        "max_units": 60,
        "valid_from": NOW - timedelta(days=9),
    }
    return Price.objects.create(**{**plain, **fields})


@pytest.mark.parametrize(
    ("model", "resolution", "seconds", "usd"),
    [
        # the vendor's worked figures
        ("wan-2.2-s2v", "480p", 2, "0.09"),
        ("wan-2.2-s2v", "480p", 3.2, "0.12"),
        ("wan-2.2-s2v", "480p", 5.1, "0.18"),
        ("wan-2.2-s2v", "480p", 7.3, "0.24"),
        ("wan-2.2-s2v", "480p", 600, "18.00"),
        ("wan-2.2-s2v", "480p", 601, "18.00"),
        ("wan-2.2-animate", "480p", 30, "1.20"),
        ("wan-2.2-animate", "720p", 30, "2.40"),
        ("wan-2.2-animate", "720p", 150, "9.60"),
        # a whole second is not rounded up, a millisecond more is
        ("wan-2.2-s2v", "720p", 7, "0.42"),
        ("wan-2.2-s2v", "720p", 7.001, "0.48"),
        ("wan-2.2-animate", "480p", 0, "0.20"),
    ],
)
def test_the_vendors_prices(org, model, resolution, seconds, usd):
    quote = quotes.quote(org, model=model, resolution=resolution, measured_ms=round(seconds * 1000))
    assert format_usd(quote.total_micros) == usd
    assert sum(line.total_micros for line in quote.lines) == quote.total_micros


def test_the_minimum_is_what_the_shortest_costs(org):
    least = quotes.minimum(org, **S2V)
    assert (least.billed_units, least.total_micros, least.measured_ms) == (3, 90_000, 0)


@pytest.mark.parametrize("ask", ["quote", "minimum"])
def test_a_price_is_one_statement(org, django_assert_num_queries, ask):
    with django_assert_num_queries(1):
        quotes.quote(org, **S2V, measured_ms=1) if ask == "quote" else quotes.minimum(org, **S2V)


def test_a_quote_survives_the_job_row(org):
    quote = quotes.quote(org, **S2V, measured_ms=5100)
    assert Quote.from_json(json.loads(json.dumps(quote.as_json()))) == quote


def test_a_quote_keeps_its_price_when_the_length_turns_out_otherwise(org):
    least = quotes.minimum(org, **S2V)
    Price.objects.update(micros_per_unit=999_999)
    longer = least.at(7300)
    assert (longer.billed_units, longer.total_micros, longer.measured_ms) == (8, 240_000, 7300)


def test_an_organizations_own_price_wins_for_it_alone(org, other_org):
    make_price(**S2V, organization=org, micros_per_unit=1)
    assert quotes.quote(org, **S2V, measured_ms=10_000).micros_per_unit == 1
    assert quotes.quote(other_org, **S2V, measured_ms=10_000).micros_per_unit == 30_000


def test_prices_hold_from_and_until_their_dates(org):
    make_price(micros_per_unit=1, valid_to=NOW - timedelta(hours=1))
    make_price(micros_per_unit=2, valid_from=NOW - timedelta(hours=1), valid_to=NOW + timedelta(hours=1))
    make_price(micros_per_unit=3, valid_from=NOW + timedelta(hours=1))
    assert quotes.quote(org, model="m", resolution="", measured_ms=1).micros_per_unit == 2


@pytest.mark.parametrize(
    "dates",
    [{"valid_from": NOW + timedelta(days=1)}, {"valid_to": NOW - timedelta(days=1)}],
    ids=["not yet", "no more"],
)
def test_a_price_outside_its_dates_is_none(org, dates):
    make_price(**dates)
    with pytest.raises(PriceMissing) as refusal:
        quotes.quote(org, model="m", resolution="", measured_ms=1)
    assert refusal.value.code == "price_missing"


def test_images_are_counted(org):
    make_price(unit="image", micros_per_unit=4_000, max_units=10)
    assert quotes.quote(org, model="m", resolution="", unit="image", count=3).total_micros == 12_000
    with pytest.raises(PriceMissing):
        quotes.quote(org, model="m", resolution="", measured_ms=1)


def test_the_price_list_names_each_thing_once(org):
    own = make_price(**S2V, organization=org, micros_per_unit=1)
    listed = {(price.model, price.resolution): price.pk for price in quotes.price_list(org)}
    assert (
        len(listed)
        == len(quotes.price_list(org))
        == Price.objects.filter(organization=None).exclude(unit="own_key").count()
    )
    assert listed["wan-2.2-s2v", "480p"] == own.pk


@given(
    ms=st.integers(0, 10**7), step=st.integers(1, 10_000), low=st.integers(0, 100), span=st.integers(0, 1000)
)
def test_units_are_the_started_steps_within_the_bounds(ms, step, low, span):
    units = billed_units(ms, step, low, low + span)
    assert low <= units <= low + span
    if low < units < low + span:
        assert (units - 1) * step < ms <= units * step


def test_a_longer_video_never_costs_less():
    assert [billed_units(ms, 1000, 3, 600) for ms in (0, 3000, 3001, 600_000, 600_001)] == [3, 3, 4, 600, 600]


class TestSave:
    """prices.save is the one way to change the book."""

    def new(self, **fields) -> Price:
        plain = {"model": "n", "micros_per_unit": 5, "min_units": 1, "max_units": 2, "valid_from": NOW}
        return Price(**{**plain, **fields})

    def test_a_price_is_added_and_audited(self, alice):
        price = prices.save(self.new(), by=alice)
        entry = AuditEntry.objects.get(target_id=str(price.pk))
        assert (entry.action, entry.actor_user, entry.after["usd_per_unit"]) == (
            "price.add",
            alice,
            "0.000005",
        )

    def test_without_a_date_it_begins_now(self, alice, org):
        price = Price(model="n", micros_per_unit=5, min_units=1, max_units=2)
        prices.save(price, by=alice)
        assert quotes.quote(org, model="n", resolution="", measured_ms=1).price_id == price.pk

    @pytest.mark.parametrize(
        ("start", "end", "overlaps"),
        [
            (-2, -1, False),
            (-2, 0, False),
            (-2, 1, True),
            (1, 2, True),
            (1, None, True),
            (9, None, True),
            (10, None, False),
            (-5, None, True),
        ],
    )
    def test_two_prices_for_one_thing_never_overlap(self, alice, start, end, overlaps):
        prices.save(self.new(valid_to=NOW + timedelta(days=10)), by=alice)
        second = self.new(
            valid_from=NOW + timedelta(days=start),
            valid_to=None if end is None else NOW + timedelta(days=end),
        )
        if overlaps:
            with pytest.raises(prices.PriceOverlap):
                prices.save(second, by=alice)
            assert second.pk is None
        else:
            prices.save(second, by=alice)

    def test_other_things_do_not_overlap(self, alice, org):
        prices.save(self.new(), by=alice)
        for fields in ({"resolution": "480p"}, {"unit": "image"}, {"organization": org}, {"model": "o"}):
            prices.save(self.new(**fields), by=alice)

    def test_a_price_may_be_changed_where_it_stands(self, alice):
        price = prices.save(self.new(), by=alice)
        price.micros_per_unit = 7
        prices.save(price, by=alice, before={"usd_per_unit": "0.000005"})
        assert Price.objects.get(pk=price.pk).micros_per_unit == 7


@pytest.mark.django_db(transaction=True)
def test_of_two_operators_who_set_the_same_price_one_wins(alice):
    def add(index: int) -> str:
        price = Price(model="race", micros_per_unit=index, min_units=1, max_units=2, valid_from=NOW)
        try:
            with transaction.atomic():
                prices.save(price, by=alice)
        except prices.PriceOverlap:
            return "refused"
        return "saved"

    assert sorted(in_threads(8, add)) == ["refused"] * 7 + ["saved"]
    assert Price.objects.filter(model="race").count() == 1
