"""The log of API requests: what is in it, whose it is, what it costs, and that it stays small."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import ApiKey
from accounts.shortcut import shortcut
from jobs import request_log
from jobs.requested import ApiRequest
from jobs.sweep import Sweeper
from jobs.types import least_id, new_id
from tests.world import api_client, make_key


@pytest.fixture(autouse=True)
def _empty_log(db):
    request_log.flush()
    shortcut().redis.delete(request_log.LIST)


def written() -> list[ApiRequest]:
    request_log.flush()
    request_log.drain()
    return list(ApiRequest.objects.order_by("id"))


def test_a_request_is_logged_with_what_helps_and_nothing_secret(api, org, key):
    job = new_id()
    answer = api.get(
        f"/v1/jobs/{job}", {"expand": "secret-query"}, headers={"X-Request-Id": "my-request-0001"}
    )
    [row] = written()
    assert (row.organization, row.key) == (org, ApiKey.objects.get())
    assert (row.method, row.path, row.status, row.code) == (
        "GET",
        "/v1/jobs/{job_id}",
        answer.status_code,
        answer.json()["code"],
    )
    assert row.request_id == answer["X-Request-Id"] == "my-request-0001"
    assert row.address == "127.0.0.1"
    assert timezone.now() - row.at < timedelta(minutes=1)
    kept = str(ApiRequest.objects.values().get())
    assert key not in kept
    assert "secret-query" not in kept
    assert str(job) not in kept


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/v1/jobs", "/v1/jobs"),
        ("/api/v3/predictions/x/result", "/api/v3/predictions/{prediction_id}/result"),
        ("/api/v1/tasks/x", "/api/v1/tasks/{task_id}"),
        ("/tasks/x", "/tasks/{task_id}"),
    ],
)
def test_all_four_dialects_are_logged(api, path, template):
    api.get(path)
    assert [row.path for row in written()] == [template]


def test_every_address_is_told_by_its_names_alone():
    assert request_log.template("api/v3/^(?P<path>(?s:.*))$") == "/api/v3/{path}"
    assert request_log.template("v1/jobs/<uuid:job_id>/events") == "/v1/jobs/{job_id}/events"


def test_nobodys_requests_and_pages_are_not_logged(alice_browser):
    alice_browser.get("/keys")
    api_client("vr_" + "0" * 49).get("/v1/jobs")
    assert written() == []


def test_a_request_costs_no_statement_and_no_word_to_redis(api, org, django_assert_num_queries, monkeypatch):
    request_log.note.__globals__["_noted"].clear()
    caller = api.get("/v1/models").wsgi_request
    said = []
    monkeypatch.setattr(shortcut().redis, "execute_command", lambda *words, **_: said.append(words))
    response = type("Answer", (), {"status_code": 200})()
    with django_assert_num_queries(0):
        request_log.note(caller, response, seconds=0.01)
    assert said == []


def test_the_sweeper_writes_each_line_once(api, monkeypatch):
    monkeypatch.setattr(Sweeper, "leads", lambda _: True)
    for _ in range(3):
        api.get("/v1/models")
    request_log.flush()
    kept = shortcut().redis.lrange(request_log.LIST, 0, -1)
    assert len(kept) == 3
    sweeper = Sweeper()
    try:
        sweeper.tick()
        shortcut().redis.rpush(request_log.LIST, *kept)  # whoever died before taking them away
        sweeper.tick()
    finally:
        sweeper.close()
    assert ApiRequest.objects.count() == 3
    assert shortcut().redis.llen(request_log.LIST) == 0


def test_a_line_that_cannot_be_written_holds_up_no_other(api):
    shortcut().redis.rpush(request_log.LIST, '{"id": "nonsense"}')
    request_log.drain()
    api.get("/v1/models")
    assert len(written()) == 1


def test_redis_keeps_only_the_newest(api, monkeypatch):
    monkeypatch.setattr(request_log, "MOST_IN_REDIS", 2)
    for path in ("/v1/models", "/v1/balance", "/v1/jobs"):
        api.get(path)
    assert [row.path for row in written()] == ["/v1/balance", "/v1/jobs"]


def entry(org, **fields) -> ApiRequest:
    plain = {
        "organization": org,
        "request_id": "a-request",
        "method": "GET",
        "path": "/v1/jobs",
        "status": 200,
        "duration_ms": 3,
        "at": timezone.now(),
    }
    return ApiRequest.objects.create(**plain | fields)


def test_old_and_surplus_entries_are_forgotten(org, other_org, settings):
    settings.REQUEST_LOG_ROWS = 3
    old = entry(org, id=least_id(timezone.now() - timedelta(days=settings.REQUEST_LOG_DAYS, minutes=1)))
    mine = [entry(org) for _ in range(5)]
    theirs = [entry(other_org) for _ in range(3)]
    newest = {row.pk for row in sorted(mine, key=lambda row: row.pk)[2:]}
    assert request_log.forget() == 3
    left = set(ApiRequest.objects.values_list("pk", flat=True))
    assert left == newest | {row.pk for row in theirs}
    assert old.pk not in left


def test_a_log_of_no_days_is_none(api, settings):
    settings.REQUEST_LOG_DAYS = 0
    api.get("/v1/models")
    assert written() == []


def test_the_keys_last_use_says_from_where(org, alice):
    text = make_key(org, by=alice)
    api_client(text).get("/v1/models")
    assert ApiKey.objects.get().last_used_address == "127.0.0.1"
