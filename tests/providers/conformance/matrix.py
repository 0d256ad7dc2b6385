"""The table of conformance: every adapter of the registry under every trouble. A test says which of them it proves; a
stand says in one line why one does not apply to it; what neither says is a hole, and fails.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import TypeVar

from tests.providers.conformance.stands import STANDS, VendorStand

Cell = tuple[str, str]
Test = TypeVar("Test", bound=Callable[..., None])

SCENARIOS = (
    "success",
    "refusal",
    "throttle",
    "server error",
    "proxy's error",
    "slow",
    "cut before the effect",
    "cut after the effect",
    "garbage",
    "wrong type",
    "huge body",
    "redirect inside",
    "expired result",
    "duplicate callback",
    "forged callback",
    "vendor words",
)
# What the doubles call them.
KINDS = {
    "throttle": "throttle",
    "error": "server error",
    "error_after": "server error",
    "proxy_404": "proxy's error",
    "proxy_408": "proxy's error",
    "proxy_503": "proxy's error",
    "cut_before": "cut before the effect",
    "cut_after": "cut after the effect",
    "garbage": "garbage",
    "wrong_type": "wrong type",
    "huge": "huge body",
    "redirect": "redirect inside",
    "expired": "expired result",
}
PROVEN: dict[Cell, list[str]] = {}


def proves(*scenarios: str, of: Collection[str] = ()) -> Callable[[Test], Test]:
    """The test tries these with `of`, else with every stand that its fixture makes."""
    assert set(scenarios) <= set(SCENARIOS), scenarios

    def note(test: Test) -> Test:
        for slug in of or _made(test):
            for scenario in scenarios:
                PROVEN.setdefault((slug, scenario), []).append(test.__qualname__)
        return test

    return note


def _made(test: Callable[..., None]) -> list[str]:
    wanted = set(inspect.signature(test).parameters)
    assert wanted & {"stand", "vendor_stand"}, test
    vendors = [slug for slug, kind in STANDS.items() if issubclass(kind, VendorStand)]
    return sorted(STANDS if "stand" in wanted else vendors)


def holes(registry: Collection[str]) -> list[Cell]:
    """What nobody proves, and no stand excuses."""
    return [
        (slug, scenario)
        for slug in sorted({*registry, *STANDS})
        for scenario in SCENARIOS
        if (slug, scenario) not in PROVEN
        and (slug not in registry or slug not in STANDS or scenario not in STANDS[slug].SPARED)
    ]
