import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.money import format_usd, parse_usd, to_number


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("0", 0),
        ("12.5", 12_500_000),
        ("0.000001", 1),
        ("-3.10", -3_100_000),
        (" 20 ", 20_000_000),
        ("999999999999.999999", 999_999_999_999_999_999),
    ],
)
def test_dollars_are_read_exactly(text, micros):
    assert parse_usd(text) == micros


@pytest.mark.parametrize(
    "text", ["", "1e3", "1,5", "$5", "0.0000001", ".5", "5.", "+1", "NaN", "--1", "१", "1 0"]
)
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match="not an amount"):
        parse_usd(text)


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "0.00"),
        (12_500_000, "12.50"),
        (30_000, "0.03"),
        (1, "0.000001"),
        (-500_000, "-0.50"),
        (1_234_500, "1.2345"),
    ],
)
def test_dollars_are_written_exactly(micros, text):
    assert format_usd(micros) == text


@given(st.integers(-(10**18) + 1, 10**18 - 1))
def test_what_is_written_reads_back(micros):
    assert parse_usd(format_usd(micros)) == micros


def test_a_wire_gets_the_nearest_number():
    assert to_number(90_000) == 0.09
    assert to_number(18_000_000) == 18.0
