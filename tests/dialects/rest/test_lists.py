"""Lists of jobs: every filter alone and together, page by page, and each by an index."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import ApiKey, Organization
from jobs.dialects.rest.views.jobs import narrowed
from jobs.dialects.rest.wire.lists import Wanted
from jobs.marks import JobTag
from jobs.models import Job
from jobs.types import new_id
from tests.jobs import drive
from tests.world import api_client, make_key

MODELS = ("wan-2.2-s2v", "wan-2.2-animate")
STATUSES = ("succeeded", "failed", "queued")


def make_job(organization, **fields) -> Job:
    plain = {"dialect": "rest", "model": MODELS[0], "inputs": {}, "options": {}, "status": "succeeded"}
    plain |= {"deadline_at": timezone.now(), "organization": organization}
    job = Job.objects.create(**{**plain, **fields})
    JobTag.objects.bulk_create(JobTag(organization=organization, tag=tag, job=job) for tag in job.tags)
    return job


@pytest.fixture
def many(org, key, other_org) -> list[Job]:
    """36 jobs, oldest first: every mixture of status, model, key and tag three times, a minute between them."""
    one = ApiKey.objects.get(organization=org)
    start, rows = timezone.now() - timedelta(hours=1), []
    for number in range(36):
        rows.append(
            make_job(
                org,
                status=STATUSES[number % 3],
                model=MODELS[number % 2],
                key=one if number % 4 < 2 else None,
                tags=["red", f"n{number}"] if number % 6 < 3 else [],
                created_at=start + timedelta(minutes=number),
            )
        )
        make_job(other_org, tags=["red"])
    return rows


def listed(api, **query) -> list[str]:
    """The ids of every page, three at a time."""
    ids, after = [], None
    while True:
        page = api.get("/v1/jobs", {**query, "limit": 3, **({"after": after} if after else {})}).json()
        ids += [job["id"] for job in page["data"]]
        after = page["next"]
        assert page["has_more"] == (after is not None)
        if after is None:
            return ids


def expected(rows, keep) -> list[str]:
    return [str(row.pk) for row in reversed(rows) if keep(row)]


def test_each_filter_alone(many, api):
    key = many[0].key_id
    middle = many[17].created_at
    for query, keep in [
        ({}, lambda row: True),
        ({"status": "failed"}, lambda row: row.status == "failed"),
        ({"model": MODELS[1]}, lambda row: row.model == MODELS[1]),
        ({"key": str(key)}, lambda row: row.key_id == key),
        ({"tag": "red"}, lambda row: "red" in row.tags),
        ({"tag": "n12"}, lambda row: "n12" in row.tags),
        ({"tag": "re"}, lambda row: False),
        ({"created_after": middle.isoformat()}, lambda row: row.created_at >= middle),
        ({"created_before": middle.isoformat()}, lambda row: row.created_at < middle),
    ]:
        assert listed(api, **query) == expected(many, keep), query


def test_filters_narrow_each_other(many, api):
    key, low, high = many[0].key_id, many[4].created_at, many[30].created_at
    query = {"status": "succeeded", "model": MODELS[0], "key": str(key), "tag": "red"}
    query |= {"created_after": low.isoformat(), "created_before": high.isoformat()}
    found = listed(api, **query)
    assert found == expected(
        many,
        lambda row: (
            (row.status, row.model, row.key_id) == ("succeeded", MODELS[0], key)
            and "red" in row.tags
            and low <= row.created_at < high
        ),
    )
    assert found


def test_a_plus_sign_that_was_not_escaped_is_understood(many, api):
    moment = many[30].created_at.strftime("%Y-%m-%dT%H:%M:%S+00:00")
    assert len(api.get(f"/v1/jobs?created_after={moment}").json()["data"]) in {5, 6}


def test_jobs_made_while_pages_are_read_disturb_none(many, api, org):
    first = api.get("/v1/jobs?tag=red&limit=5").json()
    make_job(org, tags=["red"])
    second = api.get(f"/v1/jobs?tag=red&limit=200&after={first['next']}").json()
    assert [job["id"] for job in first["data"] + second["data"]] == expected(
        many, lambda row: "red" in row.tags
    )


@pytest.mark.parametrize(
    ("query", "field", "named"),
    [
        ("status=done", "status", "succeeded"),
        ("model=sora", "model", "wan-2.2-s2v"),
        ("key=mine", "key", "id of an API key"),
        ("after=yesterday", "after", "id of a job"),
        ("created_after=2026-01-01", "created_after", "2026-01-31T12:00:00Z"),
        ("created_after=2026-01-01T10:00:00", "created_after", "offset"),
        ("created_before=2026-13-01T10:00:00Z", "created_before", "offset"),
        ("tag=" + "x" * 65, "tag", "64"),
        ("tag=a%00", "tag", "64"),
        ("limit=0", "limit", "from 1"),
        ("limit=201", "limit", "200"),
        ("stauts=failed", "stauts", "status"),
    ],
)
def test_a_wrong_filter_is_refused_by_name(org, api, query, field, named):
    answer = api.get(f"/v1/jobs?{query}")
    assert answer.status_code == 422
    assert (answer.json()["field"], answer.json()["code"][:9]) == (field, "parameter")
    assert named in answer.json()["detail"]


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
def test_far_times_are_times(many, api, moment):
    assert len(api.get("/v1/jobs", {"created_after": moment}).json()["data"]) == (36 if moment < "1" else 0)
    assert len(api.get("/v1/jobs", {"created_before": moment}).json()["data"]) == (0 if moment < "1" else 36)


def test_tags_come_with_the_order(api, org):
    drive.fund(org)
    drive.fake_route(org)
    inputs = {"image": str(drive.asset(org, "image").id), "audio": str(drive.asset(org, "audio").id)}
    body = {"model": MODELS[0], "inputs": inputs, "tags": ["a", "b", "a"]}
    ids = {api.post("/v1/jobs", body, format="json").json()["id"]}
    assert {job["id"] for job in api.get("/v1/jobs?tag=a").json()["data"]} == ids
    assert {job["id"] for job in api.get("/v1/jobs?tag=b").json()["data"]} == ids
    assert api.get("/v1/jobs?tag=c").json()["data"] == []


def test_a_strangers_key_and_tags_find_nothing(many, other_key):
    stranger = api_client(other_key)
    assert stranger.get(f"/v1/jobs?key={many[0].key_id}").json()["data"] == []
    assert stranger.get("/v1/jobs?tag=n0").json()["data"] == []


SEED = """
INSERT INTO jobs_job (id, organization_id, key_id, dialect, model, inputs, options, request, wire, tags, webhook_url,
    request_hash, status, phase, progress, detail, preview, length_ms, quote, quoted_micros, error_code,
    error_message, error_hint, error_retryable, fence, tries, deadline_at, created_at)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '70008000' ||
        lpad(to_hex(n), 12, '0'))::uuid,
    (%(orgs)s::uuid[])[1 + n %% 20], (%(keys)s::uuid[])[1 + n %% 50], 'rest',
    CASE n %% 100 WHEN 20 THEN 'wan-2.2-animate' ELSE 'wan-2.2-s2v' END, '{}', '{}', '{}', '{}',
    CASE WHEN n %% 3 = 0 THEN ARRAY['t' || n %% 500, 'all'] ELSE '{}'::varchar[] END, '', '',
    CASE n %% 200 WHEN 40 THEN 'canceled' ELSE 'succeeded' END, '', 1, '{}', false, 4000, '{}', 1, '', '', '', false, 0,
    0, at, at
FROM generate_series(1, %(rows)s) n, LATERAL (SELECT now() - make_interval(secs => (%(rows)s - n) * 60) AS at) t
"""
# A tenant with a good part of all jobs is read in the order of ids just as well.
NEWEST = "job_newest|jobs_job_pkey"


def seed(organizations, keys, rows: int) -> None:
    """Twenty tenants' jobs, a minute apart."""
    with connection.cursor() as cursor:
        names = {"orgs": [o.pk for o in organizations], "keys": [k.pk for k in keys], "rows": rows}
        cursor.execute(SEED, names)
        cursor.execute(
            "INSERT INTO jobs_jobtag (organization_id, tag, job_id) "
            "SELECT organization_id, unnest(tags), id FROM jobs_job"
        )
        cursor.execute("ANALYZE jobs_job, jobs_jobtag")


def test_each_filter_is_served_by_an_index(org, other_org):
    """By its conditions, not by reading and dropping: the planner's own words."""
    for _ in range(50):
        make_key(org)
    keys = list(ApiKey.objects.filter(organization=org))
    names = [Organization(name=f"Tenant {n}", slug=f"tenant-{n}") for n in range(18)]
    seed([org, other_org, *Organization.objects.bulk_create(names)], keys, 30_000)
    past = timezone.now() - timedelta(days=15)
    for wanted, index in [
        (Wanted(), NEWEST),
        (Wanted(status="canceled"), "job_by_status"),
        (Wanted(model="wan-2.2-animate"), "job_by_model"),
        (Wanted(key=keys[1].pk), "job_by_key"),
        (Wanted(tag="t2"), "jobs_jobtag_pkey"),
        (Wanted(created_before=past), NEWEST),
        (Wanted(created_before=past, after=new_id()), NEWEST),
    ]:
        plan = narrowed(org, wanted)[:51].explain()
        assert re.search(rf"({index})\b", plan), f"{wanted}\n{plan}"
        assert "Seq Scan" not in plan, plan
