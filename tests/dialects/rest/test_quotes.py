"""Quotes: a price that is known before, and kept."""

from __future__ import annotations

import pytest
from django.core import signing

from billing.models import Price
from tests.jobs import drive
from tests.world import api_client


@pytest.fixture
def order(org):
    drive.fund(org)
    drive.fake_route(org)
    inputs = {role: str(drive.asset(org, role).id) for role in ("image", "audio")}
    return {"model": "wan-2.2-s2v", "inputs": inputs, "options": {"resolution": "480p"}}


def double_prices() -> None:
    for price in Price.objects.filter(model="wan-2.2-s2v"):
        Price.objects.filter(pk=price.pk).update(micros_per_unit=price.micros_per_unit * 2)


def test_a_quote_is_itemised_and_kept_although_the_price_rises(org, order, api):
    answer = api.post("/v1/quotes", order, format="json")
    quote = answer.json()
    assert (answer.status_code, quote["total_micros"], quote["billed_units"]) == (201, 120_000, 4)
    assert sum(line["total_micros"] for line in quote["lines"]) == 120_000
    double_prices()
    assert api.post("/v1/jobs", order, format="json").json()["price"]["quoted_micros"] == 240_000
    job = api.post("/v1/jobs", {**order, "quote": quote["id"]}, format="json").json()
    assert job["price"]["quoted_micros"] == 120_000
    drive.run_all()
    assert api.get(f"/v1/jobs/{job['id']}").json()["price"]["charged_micros"] == 120_000


def refused(api, body) -> str:
    answer = api.post("/v1/jobs", body, format="json")
    assert (answer.status_code, answer.json()["field"]) == (422, "quote")
    return answer.json()["code"]


def test_a_quote_binds_only_its_own_order_and_organization(
    org, order, api, other_org, other_key, monkeypatch
):
    text = api.post("/v1/quotes", order, format="json").json()["id"]
    longer = {
        **order,
        "inputs": {**order["inputs"], "audio": str(drive.asset(org, "audio", duration_ms=60_000).id)},
    }
    assert refused(api, {**longer, "quote": text}) == "quote_mismatch"
    assert refused(api, {**order, "options": {"resolution": "720p"}, "quote": text}) == "quote_mismatch"
    assert refused(api, {**order, "quote": text[:-2] + "xx"}) == "quote_invalid"
    assert refused(api, {**order, "quote": signing.dumps({"o": 1})}) == "quote_invalid"
    monkeypatch.setattr("jobs.submit.QUOTE_SECONDS", -1)
    assert refused(api, {**order, "quote": text}) == "quote_expired"
    drive.fund(other_org)
    stranger = api_client(other_key).post("/v1/jobs", {**order, "quote": text}, format="json")
    assert stranger.json()["code"] == "file_unknown"


def test_what_has_not_been_measured_is_not_promised(order, api):
    body = {**order, "inputs": {**order["inputs"], "audio": "https://media.example/voice.wav"}}
    answer = api.post("/v1/quotes", body, format="json")
    assert (answer.status_code, answer.json()["code"]) == (422, "quote_needs_files")
