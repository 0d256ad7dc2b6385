"""How often one may ask, told with every answer."""

from __future__ import annotations

import re

import pytest

from billing import quotas, throttles
from billing.models import Limits
from tests.jobs import drive
from tests.world import api_client, make_key

SHAPE = re.compile(r'"(\w+)";r=(\d+);t=(\d+)')


@pytest.fixture(autouse=True)
def _patient(monkeypatch):
    """On a busy machine Redis may be slow, and a second may pass between two lines of a test."""
    monkeypatch.setattr(throttles, "REDIS_SECONDS", 10.0)
    monkeypatch.setattr(throttles, "SECOND_MS", 20_000)


@pytest.fixture
def limited(org):
    drive.fund(org)
    drive.fake_route(org)
    Limits.objects.create(organization=org, reads_per_second=5, requests_per_second=8, submits_per_minute=2)
    quotas.forget()
    return org


def left(answer) -> dict[str, int]:
    found = {name: int(number) for name, number, _ in SHAPE.findall(answer["RateLimit"])}
    assert all(int(seconds) >= 1 for _, _, seconds in SHAPE.findall(answer["RateLimit"]))
    return found


def test_every_answer_says_what_is_left(limited, api):
    first = api.get("/v1/balance")
    assert first["RateLimit-Policy"] == '"reads";q=5;w=20, "requests";q=8;w=20'
    assert left(first) == {"reads": 4, "requests": 7}
    assert left(api.get("/v1/jobs?limit=many")) == {"reads": 3, "requests": 6}
    assert left(api.get("/v1/jobs/00000000-0000-7000-8000-000000000000")) == {"reads": 2, "requests": 5}


def test_too_many_is_429_with_the_time_to_wait(limited, api):
    for _ in range(5):
        assert api.get("/v1/balance").status_code == 200
    refused = api.get("/v1/balance")
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert left(refused)["reads"] == 0
    assert 1 <= int(refused["Retry-After"]) <= 20
    other = api_client(make_key(limited))
    assert left(other.get("/v1/balance")) == {"reads": 4, "requests": 2}  # another key has its own
    assert [other.get("/v1/balance").status_code for _ in range(3)] == [
        200,
        200,
        429,
    ]  # all keys together have 8


def test_an_order_counts_against_the_organization_too(limited, api):
    inputs = {role: str(drive.asset(limited, role).id) for role in ("image", "audio")}
    order = {"model": "wan-2.2-s2v", "inputs": inputs}
    first = api.post("/v1/jobs", order, format="json")
    assert (first.status_code, left(first)) == (202, {"reads": 4, "requests": 7, "submits": 1})
    assert first["RateLimit-Policy"] == '"reads";q=5;w=20, "requests";q=8;w=20, "submits";q=2;w=60'
    assert left(api_client(make_key(limited)).post("/v1/jobs", order, format="json"))["submits"] == 0
    refused = api.post("/v1/jobs", order, format="json")
    assert (refused.status_code, left(refused)["submits"]) == (429, 0)
    assert 1 <= int(refused["Retry-After"]) <= 60


def test_who_was_not_let_in_is_told_no_limits(limited):
    for answer in (api_client("").get("/v1/balance"), api_client("vr_x").get("/v1/balance")):
        assert "RateLimit" not in answer.headers
