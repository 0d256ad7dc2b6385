"""The gate that every page goes through: seen by its people at three widths and in two themes.

axe finds nothing, the browser complains of nothing (a broken content policy is such a complaint), nothing jumps while it
loads, nothing must be pushed sideways, and it weighs little. `make gates` walks the whole console and each article of the
documentation at every width as well, asks how soon the largest thing is there (which is no question for a busy machine),
and prints a table.
"""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

from tests.architecture.test_permissions import ELSEWHERE, OPEN, PAGES, SIGNED, routes
from tests.gates import places
from tests.gates.eye import WIDTHS, Eye
from tests.gates.furnished import World, furnish
from tests.gates.places import OPERATOR, Sight

FULL = os.environ.get("GATES") == "full"
MOST_BYTES = 150_000
MOST_SHIFT = 0.02
MOST_LCP_MS = 1000


def test_every_address_is_a_page_of_the_gate_or_says_why_not():
    shown = {route for route, rows in PAGES.items() if any(row.method == "get" for row in rows)}
    accounts = {route for route in routes() if route.startswith(ELSEWHERE[1])}
    candidates = shown | set(OPEN) | SIGNED | accounts
    explained = set().union(*places.NO_PAGES.values())
    known = set(places.PAGES) | explained
    assert sorted(candidates - known) == [], "a new page needs a line in tests/gates/places.py"
    assert sorted(known - candidates) == [], "lines of addresses that are gone"
    assert not set(places.PAGES) & explained


@pytest.fixture(scope="module")
def world(live_stack) -> World:
    return furnish(live_stack)


@pytest.fixture(scope="module")
def table() -> Generator[list[str], None, None]:
    lines = [f"{'page':60} {'bytes':>8} {'shift':>6} {'LCP ms':>7}"]
    yield lines
    if FULL:
        print("\n" + "\n".join(lines))


@pytest.fixture(scope="module")
def eyes(browser, world) -> Generator[dict[str, Eye], None, None]:
    opened: dict[str, Eye] = {}
    yield opened
    for eye in opened.values():
        eye.close()


@pytest.mark.parametrize("sight", list(places.sights()), ids=str)
def test_a_page_passes(browser, world, eyes, table, sight):
    eye = eyes.get(sight.who) or eyes.setdefault(sight.who, Eye(browser, world, sight.who))
    seen = eye.open(sight)
    weight = eye.weight
    table.append(f"{sight!s:60} {weight:8.0f} {seen['shift']:6.3f} {seen['lcp']:7.0f}")
    faults = eye.faults(WIDTHS if FULL or not sight.is_article else WIDTHS[:1])
    assert (faults, eye.complaints) == ([], [])
    assert seen["shift"] <= MOST_SHIFT
    assert weight <= MOST_BYTES
    assert seen["lcp"] <= MOST_LCP_MS or not FULL


if FULL:

    @pytest.mark.timeout(1800)
    def test_the_console_passes(browser, world):
        eye = Eye(browser, world, OPERATOR)
        found: dict[str, str] = {}
        for address in world.console:
            seen = eye.open(Sight(OPERATOR, address), WIDTHS[-1])
            faults = eye.faults(WIDTHS) + eye.complaints
            found |= {fault.split(": ")[1]: f"{address} {fault}" for fault in faults}
            if seen["shift"] > MOST_SHIFT:
                found["shift"] = f"{address} {seen['shift']}"
        eye.close()
        assert {rule: fault for rule, fault in found.items() if rule not in places.UNFOLD} == {}
