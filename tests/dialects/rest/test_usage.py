"""Usage: the ledger's sums, by day, model and key."""

from __future__ import annotations

import csv
import io
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db.models import Sum

from accounts.models import ApiKey
from billing import ledger
from billing.models import Hold, Transfer
from tests.jobs import drive
from tests.world import api_client, make_key

DAY = datetime(2026, 3, 10, 12, tzinfo=UTC)


def used(
    organization, at: datetime, micros: int, seconds: float = 4, model: str = "wan-2.2-s2v", key=None
) -> None:
    job_id = uuid.uuid4()
    ledger.hold(organization, job_id=job_id, amount_micros=micros, key=key, model=model)
    ledger.capture(job_id, micros, billed_ms=int(seconds * 1000))
    Hold.objects.filter(job_id=job_id).update(resolved_at=at)


@pytest.fixture
def key_row(org, key) -> ApiKey:
    return ApiKey.objects.get(organization=org)


@pytest.fixture
def march(org, other_org, key_row):
    drive.fund(org)
    drive.fund(other_org)
    used(org, DAY, 100, 4, key=key_row)
    used(org, DAY.replace(hour=23, minute=59, second=59), 200, 2.5)
    used(org, DAY.replace(hour=0) + timedelta(days=1), 400, 8, model="wan-2.2-animate", key=key_row)
    used(org, DAY + timedelta(days=1), 574, 0, model="wan-2.2-s2v-detect", key=key_row)
    used(org, DAY + timedelta(days=40), 800, 1)
    used(other_org, DAY, 1600)
    ledger.hold(org, job_id=uuid.uuid4(), amount_micros=3200, model="wan-2.2-s2v")
    return org


def usage(api, query: str = "", **headers):
    return api.get(f"/v1/usage?from=2026-03-01&to=2026-03-31&{query}", headers=headers)


def rows(answer, *names):
    return [tuple(row[name] for name in names) for row in answer.json()["data"]]


def test_days_are_utc_and_have_jobs_seconds_and_micros(march, api):
    answer = usage(api)
    assert rows(answer, "day", "jobs", "seconds", "micros") == [
        ("2026-03-10", 2, 6.5, 300),
        ("2026-03-11", 2, 8, 974),
    ]
    assert answer.json()["totals"] == {"jobs": 4, "seconds": 14.5, "micros": 1274}
    assert answer.json()["group_by"] == ["day"]
    assert rows(answer, "model", "key", "key_name") == [(None, None, None)] * 2


def test_every_mixture_of_groups_adds_up(march, api, key_row):
    mine = str(key_row.pk)
    assert rows(usage(api, "group_by=model"), "model", "micros") == [
        ("wan-2.2-animate", 400),
        ("wan-2.2-s2v", 300),
        ("wan-2.2-s2v-detect", 574),
    ]
    assert sorted(rows(usage(api, "group_by=key"), "key_name", "micros"), key=str) == [
        ("test key", 1074),
        (None, 200),
    ]
    all_three = usage(api, "group_by=key&group_by=day&group_by=model")
    assert all_three.json()["group_by"] == ["day", "model", "key"]
    assert ("2026-03-11", "wan-2.2-animate", mine, 1, 8, 400) in rows(
        all_three, "day", "model", "key", "jobs", "seconds", "micros"
    )
    for query in ("group_by=model", "group_by=key", "group_by=key&group_by=day&group_by=model"):
        assert usage(api, query).json()["totals"] == usage(api).json()["totals"]


def test_it_is_narrowed_by_model_and_key(march, api, key_row):
    assert usage(api, "model=wan-2.2-s2v").json()["totals"]["micros"] == 300
    assert usage(api, f"key={key_row.pk}").json()["totals"]["micros"] == 1074
    assert usage(api, f"key={uuid.uuid4()}").json()["data"] == []
    assert usage(api, "model=sora").json()["totals"] == {"jobs": 0, "seconds": 0, "micros": 0}


def test_usage_is_what_the_ledger_captured_to_the_micro(org, api):
    """Real jobs of several lengths, one of them failing: the books and this answer must not differ by one."""
    drive.fund(org)
    drive.fake_route(org)
    for prompt, length in (("", 4000), ("", 12_528), ("fail: nsfw", 6000), ("", 700)):
        inputs = {"image": str(drive.asset(org, "image").id)}
        inputs["audio"] = str(drive.asset(org, "audio", duration_ms=length).id)
        body = {"model": "wan-2.2-s2v", "inputs": inputs, "options": {"prompt": prompt}}
        assert api.post("/v1/jobs", body, format="json").status_code == 202
    drive.run_all()
    captures = Transfer.objects.filter(organization=org, kind="capture")
    spent = 20_000_000 - ledger.balance(org).available_micros
    jobs = [job for job in api.get("/v1/jobs").json()["data"] if job["status"] == "succeeded"]
    for query in ("group_by=day", "group_by=day&group_by=model&group_by=key"):
        totals = api.get(f"/v1/usage?{query}").json()["totals"]
        assert totals["micros"] == captures.aggregate(n=Sum("amount_micros"))["n"] == spent
        assert totals["jobs"] == captures.count() == len(jobs)
        assert totals["seconds"] == sum(job["price"]["billed_seconds"] for job in jobs)
    assert spent


def test_csv_for_those_who_accept_it(march, api, key_row):
    key_row.name = '=HYPERLINK("http://evil.example")'
    key_row.save()
    answer = usage(api, "group_by=day&group_by=key", Accept="text/csv")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    table = list(csv.reader(io.StringIO(answer.content.decode())))
    assert table[0] == ["day", "key", "key_name", "jobs", "seconds", "micros"]
    assert ["2026-03-11", str(key_row.pk), "'" + key_row.name, "2", "8", "974"] in table
    assert sum(int(line[-1]) for line in table[1:]) == usage(api).json()["totals"]["micros"]
    assert usage(api, Accept="application/xml").json()["object"] == "usage"


def test_without_a_span_it_is_this_month(org, api):
    today = datetime.now(UTC).date()
    body = api.get("/v1/usage").json()
    assert (body["from"], body["to"]) == (today.replace(day=1).isoformat(), today.isoformat())


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=yesterday", "from"),
        ("to=2026-02-30", "to"),
        ("from=2026-03-02&to=2026-03-01", "from"),
        ("from=2025-01-01&to=2026-01-02", "from"),
        ("to=9999-12-31", "to"),
        ("group_by=colour", "group_by"),
        ("group_by=", "group_by"),
        ("key=mine", "key"),
        ("days=7", "days"),
    ],
)
def test_a_wrong_question_is_refused_by_name(org, api, query, field):
    answer = api.get(f"/v1/usage?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "parameter_invalid")
    assert answer.json()["field"].startswith(field)


def test_a_year_is_allowed(org, api):
    assert api.get("/v1/usage?from=2025-01-01&to=2026-01-01").status_code == 200


def test_an_answer_too_long_is_refused(march, api, monkeypatch):
    monkeypatch.setattr("jobs.dialects.rest.views.usage.MOST_ROWS", 1)
    answer = usage(api)
    assert (answer.status_code, answer.json()["code"]) == (422, "usage_too_large")


def test_usage_is_one_statement(march, api, django_assert_num_queries):
    usage(api)
    with django_assert_num_queries(2):  # the caller, and the sums
        usage(api, "group_by=day&group_by=model&group_by=key")


def test_others_have_their_own(march, other_key):
    assert usage(api_client(other_key)).json()["totals"]["micros"] == 1600


def test_it_needs_the_scope(org):
    assert usage(api_client(make_key(org, "jobs:read"))).status_code == 403
