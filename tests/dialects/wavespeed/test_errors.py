"""Every refusal is this API's JSON: never a page, never a redirect."""

from __future__ import annotations

import json

import pytest
from rest_framework.test import APIClient

from billing import quotas
from billing.models import Limits
from jobs.dialects.wavespeed.urls import urlpatterns
from jobs.models import Job
from tests.dialects.wavespeed.conftest import S2V
from tests.world import api_client

ROUTES = [
    ("post", S2V),
    ("get", "/api/v3/predictions/9f2c61d07b3e4c0fa1d2e3f405162738/result"),
    ("get", "/api/v3/predictions/9f2c61d07b3e4c0fa1d2e3f405162738"),
    ("post", "/api/v3/media/uploads"),
    ("post", "/api/v3/media/upload/binary"),
    ("post", "/api/v3/upload"),
    ("post", "/api/v3/predictions"),
    ("post", "/api/v3/predictions/delete"),
    ("get", "/api/v3/balance"),
    ("get", "/api/v3/account/balance"),
    ("get", "/api/v3/models"),
    ("post", "/api/v3/model/price"),
    ("post", "/api/v3/model/pricing"),
    ("post", "/api/v3/user/usage_stats"),
    ("post", "/api/v3/billings/search"),
    ("get", "/api/v3/webhook/secret"),
]


def is_ours(answer, status: int) -> dict:
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/json"
    body = json.loads(answer.content)
    assert body["code"] == status
    assert body["message"]
    assert body["error_code"]
    assert len(answer.content) < 500
    return body


def test_the_list_is_complete():
    assert len({path for _, path in ROUTES}) == len(urlpatterns)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_without_a_key(db, method, path):
    body = is_ours(getattr(APIClient(), method)(path, {}, format="json"), 401)
    assert body["error_code"] == "missing_key"
    assert "Invalid authentication" in body["message"]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_with_a_malformed_key_no_query_is_made(django_assert_num_queries, db, method, path):
    with django_assert_num_queries(0):
        body = is_ours(getattr(api_client("vr_nonsense"), method)(path, {}, format="json"), 401)
    assert body["error_code"] == "malformed_key"
    assert body["message"].startswith("Invalid authentication")


def test_another_header_is_no_key(db, key):
    client = APIClient()
    body = is_ours(client.get("/api/v3/balance", headers={"X-API-Key": key}), 401)
    assert body["error_code"] == "missing_key"


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_the_other_method(wave, method, path):
    other = "get" if method == "post" else "post"
    answer = getattr(wave.client, other)(path)
    assert is_ours(answer, 405)["error_code"] == "method_not_allowed"


@pytest.mark.parametrize(
    "path",
    [
        "/api/v3/nothing",
        "/api/v3/",
        "/api/v3/balance/",
        "/api/v3/predictions/",
        "/api/v3/a%0Ab",
        "/api/v3/models/x/y/z",
        "/api/v3/%ff",
    ],
)
def test_addresses_of_nothing(wave, path):
    is_ours(wave.get(path), 404)
    is_ours(wave.post(path), 404)


@pytest.mark.parametrize(
    "body", [b"{", b"", b"\xff\xfe", b"NaN", b'{"seed": NaN}', b"[" * 100_000, b"null", b'"text"', b"[]"]
)
def test_bodies_that_are_no_object(wave, body):
    answer = wave.client.generic("POST", S2V, body, content_type="application/json")
    is_ours(answer, 400)
    assert not Job.objects.exists()


@pytest.mark.parametrize("depth", [500, 900, 980, 5000])
@pytest.mark.parametrize("name", ["prompt", "seed", "image", "nonsense"])
def test_values_nested_too_deeply(wave, depth, name):
    body = f'{{"{name}": {"[" * depth}{"]" * depth}}}'
    is_ours(wave.client.generic("POST", S2V, body.encode(), content_type="application/json"), 400)


def test_a_body_of_another_type(wave):
    is_ours(wave.client.generic("POST", S2V, b"a=b", content_type="application/x-www-form-urlencoded"), 415)


def test_a_json_body_of_any_size_is_not_read(wave):
    answer = wave.client.generic("POST", S2V, b" " * (6 * 1024 * 1024), content_type="application/json")
    assert is_ours(answer, 413)["error_code"] == "body_too_large"


def test_a_client_that_wants_a_page_gets_json(wave):
    assert wave.get("/api/v3/balance", headers={"Accept": "text/html"}).json()["code"] == 200
    is_ours(wave.get("/api/v3/nothing", headers={"Accept": "text/html"}), 404)


def test_a_fault_of_ours_shows_nothing_of_it(wave, monkeypatch, caplog):
    def broken(*args):
        raise RuntimeError("secret detail")

    monkeypatch.setattr("jobs.dialects.wavespeed.views.account.ledger.balance", broken)
    body = is_ours(wave.get("/api/v3/balance"), 500)
    assert body["error_code"] == "internal"
    assert "secret" not in body["message"]
    assert "secret detail" in caplog.text


def test_too_many_reads_say_when_to_come_back(wave, org):
    Limits.objects.filter(organization=org).update(reads_per_second=1)
    quotas.forget()
    answers = [wave.get("/api/v3/balance") for _ in range(4)]
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert is_ours(refused, 429)["error_code"] == "rate_limited"
    assert refused["Retry-After"] == "1"


def test_no_answer_is_a_redirect(wave):
    for path in ("/api/v3/balance/", "/api/v3/balance", "/api/v3//balance"):
        assert wave.get(path).status_code in {200, 404}
