"""The OpenAPI document: committed as it is served, complete, and kept by every answer of the suite."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from django.test import Client
from django.urls import get_resolver
from drf_spectacular.validation import validate_schema
from rest_framework.response import Response

from jobs.dialects.rest.errors import ERRORS
from jobs.dialects.rest.openapi import document
from jobs.dialects.rest.views import account
from tests.architecture.test_permissions import routes
from tests.contract import ContractBroken, hold

COMMITTED = Path(__file__).parent.parent.parent.parent / "docs" / "openapi.json"
UNDOCUMENTED = {"v1/"}  # whatever else is asked for: 404


def operations():
    return [
        pytest.param(operation, id=operation["operationId"])
        for methods in document()["paths"].values()
        for operation in methods.values()
    ]


def test_the_committed_document_is_the_one_that_is_served(client):
    served = client.get("/v1/openapi.json")
    assert served.json() == json.loads(COMMITTED.read_text()), "renew it with: make openapi"


def test_it_is_valid_openapi_3_1():
    assert document()["openapi"].startswith("3.1")
    validate_schema(document())


def test_it_holds_every_address_of_v1_and_nothing_else():
    shown = {path.lstrip("/") for path in document()["paths"]}
    known = {
        re.sub("<(uuid|int):", "{", route).replace(">", "}") for route in routes() if route.startswith("v1/")
    }
    assert shown == known - UNDOCUMENTED
    assert get_resolver().resolve("/v1/").url_name == "rest-nothing"


def test_operations_have_names_of_their_own():
    names = [operation.values[0]["operationId"] for operation in operations()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("operation", operations())
def test_every_operation_says_what_it_needs_and_what_it_answers(operation):
    assert operation["summary"]
    assert len(operation["tags"]) == 1
    assert operation["security"] == [] or operation["security"][0]["Bearer"]
    for status, answer in operation["responses"].items():
        assert answer["description"]
        assert "X-Request-Id" in answer["headers"]
        if int(status) >= 400:
            assert list(answer["content"]) == ["application/problem+json"]
            assert {ERRORS[code].status for code in answer["x-codes"]} == {int(status)}


@pytest.mark.parametrize("operation", operations())
def test_every_parameter_has_bounds(operation):
    for parameter in operation.get("parameters", []):
        schema = parameter["schema"]
        assert {"enum", "const", "format", "maximum", "maxLength", "pattern", "items"} & set(schema) or (
            schema["type"] == "boolean"
        ), parameter


def test_an_unknown_address_is_a_problem_too(db):
    for path in ("/v1/", "/v1/nothing", "/v1/jobs/7", "/v1/jobs/"):
        answer = Client().get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


BROKEN = [
    pytest.param({"available_micros": 1.5, "held_micros": 0, "currency": "USD", "free": []}, 200, id="type"),
    pytest.param({"available_micros": 1, "currency": "USD", "free": []}, 200, id="missing"),
    pytest.param({"available_micros": 1, "held_micros": 0, "currency": "EUR", "free": []}, 200, id="value"),
    pytest.param(
        {"available_micros": 1, "held_micros": 0, "currency": "USD", "free": [], "more": 1},
        200,
        id="undocumented",
    ),
    pytest.param({"available_micros": 1, "held_micros": 0, "currency": "USD", "free": []}, 201, id="status"),
]


@pytest.mark.parametrize(("body", "status"), BROKEN)
def test_a_view_that_answers_otherwise_fails_its_test(api, monkeypatch, body, status):
    monkeypatch.setattr(account.Balance, "get", lambda *_: Response(body, status=status))
    with pytest.raises(ContractBroken):
        api.get("/v1/balance")


def test_so_does_a_wrong_type_a_missing_header_or_an_unknown_address():
    fine = {"Content-Type": "application/json", "X-Request-Id": "x" * 8}
    fine |= {"RateLimit-Policy": '"reads";q=9;w=1', "RateLimit": '"reads";r=8;t=1'}
    body = b'{"available_micros": 1, "held_micros": 0, "currency": "USD", "free": []}'
    hold("GET", "/v1/balance", 200, fine, body)
    without = {name: value for name, value in fine.items() if name != "RateLimit"}
    for headers in ({**fine, "Content-Type": "text/html"}, {**fine, "RateLimit": "8"}, without):
        with pytest.raises(ContractBroken):
            hold("GET", "/v1/balance", 200, headers, body)
    with pytest.raises(ContractBroken):
        hold("GET", "/v1/secrets", 200, fine, body)


NONSENSE = [
    ("/v1/jobs?limit=many", "limit", "a whole number from 1 to 200"),
    ("/v1/jobs?limit=0", "limit", "from 1 to 200"),
    ("/v1/jobs?limit=" + "9" * 5000, "limit", "from 1 to 200"),
    ("/v1/jobs?limit=1&limit=2", "limit", "once"),
    ("/v1/jobs?status=done", "status", "succeeded"),
    ("/v1/jobs?status=%00", "status", "succeeded"),
    ("/v1/jobs?after=yesterday", "after", "the id of a job"),
    ("/v1/jobs?staus=failed", "staus", "status"),
    ("/v1/jobs?created_after=0001-01-01T00:00:00%2B01:00", "created_after", "a time"),
    ("/v1/events?after=1", "after", "form"),
    ("/v1/balance?x=1", "x", "none"),
]


@pytest.mark.parametrize(("address", "field", "wanted"), NONSENSE)
def test_a_wrong_parameter_is_named_with_what_is_accepted(api, address, field, wanted):
    answer = api.get(address)
    assert (answer.status_code, answer.json()["code"]) == (422, "parameter_invalid")
    assert answer.json()["field"] == field
    assert wanted in answer.json()["detail"]


def test_a_time_far_from_greenwich_is_a_time(api):
    assert api.get("/v1/jobs?created_before=2026-06-28T09:14:08%2B19:58").status_code == 200
    answer = api.post(
        "/v1/keys",
        {"name": "far", "scopes": ["jobs:read"], "expires_at": "2060-01-01T00:00:00+23:59"},
        format="json",
    )
    assert (answer.status_code, answer.json()["expires_at"]) == (201, "2059-12-31T00:01:00+00:00")


def test_a_mistake_of_ours_is_a_problem_as_well(api, monkeypatch):
    monkeypatch.setattr("jobs.dialects.rest.views.account.ledger.balance", lambda _: 1 / 0)
    api.raise_request_exception = False
    answer = api.get("/v1/balance")
    assert (answer.status_code, answer["Content-Type"]) == (500, "application/problem+json")
    assert answer.json()["code"] == "internal_error"
