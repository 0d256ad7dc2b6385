"""The table itself has no hole, and no excuse too many."""

from __future__ import annotations

import pytest
from django.conf import settings

from tests.providers.conformance import test_every_adapter, test_every_vendor
from tests.providers.conformance.matrix import PROVEN, SCENARIOS, holes
from tests.providers.conformance.stands import STANDS

assert test_every_adapter
assert test_every_vendor  # their tests have filled the table


def test_every_adapter_of_the_registry_is_tried_with_everything():
    assert set(STANDS) == set(settings.PROVIDERS)
    assert holes(settings.PROVIDERS) == []


def test_a_new_adapter_and_a_new_scenario_are_holes(monkeypatch):
    assert holes([*settings.PROVIDERS, "newcomer"]) == [("newcomer", scenario) for scenario in SCENARIOS]
    monkeypatch.setattr("tests.providers.conformance.matrix.SCENARIOS", (*SCENARIOS, "eclipse"))
    assert holes(settings.PROVIDERS) == [(slug, "eclipse") for slug in sorted(STANDS)]


@pytest.mark.parametrize("slug", sorted(STANDS))
def test_an_excuse_is_a_sentence_for_what_is_not_tried(slug):
    for scenario, why in STANDS[slug].SPARED.items():
        assert scenario in SCENARIOS
        assert (slug, scenario) not in PROVEN, "it is tried after all"
        assert why.endswith(".")
        assert len(why.split()) > 3
