"""How long every page of the dashboard takes with 100 thousand jobs in one organization.

    python -m bench.pages [--jobs 100000] [--times 40]

One throw-away PostgreSQL is filled by `bench.seed_big`, all jobs for one tenant, with tags, favourites and posters
beside. The pages are those of the permission table and of the gate (tests/gates/places.py), public ones too, and the
lists with their filters, searches and deep pages. Each runs as its owner or a stranger through Django's test client, so
the figure is the server's own time with the page drawn; the pages take turns, and an empty page behind the owner's door
is the floor. The bars: at most 10 queries, p95 below 120 ms.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg

from bench import seed_big
from bench.console import SETTINGS
from config.embedded.postgres import Postgres
from config.embedded.redis import Redis

QUERIES, P95_MS = 10, 120
EMPTY = "/bench/page"
# Beside what the big seed makes; one organization has it all.
MORE = """
INSERT INTO jobs_jobtag (organization_id, tag, job_id)
SELECT organization_id, unnest(tags), id FROM jobs_job WHERE tags <> '{}';
INSERT INTO jobs_favourite (organization_id, user_id, job_id)
SELECT organization_id, 1001, id FROM jobs_job WHERE right(id::text, 1) = '7';
INSERT INTO jobs_asset (id, organization_id, job_id, role, origin, status, kind, key, filename, content_type, bytes,
                        sha256, duration_ms, width, height, fps, has_audio, refusal, moderation, created_at)
SELECT gen_random_uuid(), organization_id, id, role, 'output', 'ready', 'image', 'more/' || role || id, role || '.jpg',
       'image/jpeg', 30000, '', 0, 480, 480, 0, false, '{}', '{}', created_at
FROM jobs_job, unnest(ARRAY['poster', 'preview']) AS role WHERE status = 'succeeded';
"""
FILES = """
INSERT INTO jobs_asset (id, organization_id, role, origin, status, kind, key, filename, content_type, bytes, sha256,
                        duration_ms, width, height, fps, has_audio, refusal, moderation)
SELECT md5(kind)::uuid, id, '', 'upload', 'ready', kind, 'more/' || kind, kind, type, 90000, '', length, side, side, 0,
       false, '{}', '{}'
FROM accounts_organization, (VALUES ('image', 'image/jpeg', 0, 512), ('audio', 'audio/wav', 9000, 0))
                            AS file (kind, type, length, side)
"""
TAGS = """
UPDATE jobs_job SET inputs = jsonb_build_object('image', jsonb_build_object('asset', md5('image')::uuid),
                                                'audio', jsonb_build_object('asset', md5('audio')::uuid)),
                    tags = CASE WHEN right(id::text, 1) < '3' THEN ARRAY['campaign']
                                WHEN right(id::text, 2) = 'aa' THEN ARRAY['rare', 'lesson'] ELSE '{}' END
"""


def main() -> None:
    options = argparse.ArgumentParser(description="Times the dashboard's pages on a big organization.")
    options.add_argument("--jobs", type=int, default=100_000)
    options.add_argument("--times", type=int, default=40)
    chosen = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="voicereel-bench-"))
    postgres = Postgres(folder / "postgres", settings=SETTINGS)
    redis = Redis(folder / "redis", password=secrets.token_urlsafe(24))
    try:
        redis.launch()
        postgres.start()
        redis.wait()
        postgres.make_database("pages")
        set_up(postgres.url("pages"), redis.url(), folder)
        fill(postgres.url("pages"), chosen.jobs)
        report(chosen.times, chosen.jobs)
    finally:
        from django.db import connection

        connection.close()
        postgres.stop()
        redis.stop()
        shutil.rmtree(folder, ignore_errors=True)


def set_up(database_url: str, redis_url: str, folder: Path) -> None:
    os.environ |= {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "DATABASE_POOL": "0",
        "SECRET_KEY": "bench",
        "PUBLIC_URL": "http://testserver",
        "ALLOWED_HOSTS": "testserver",
        "MEDIA_DIR": str(folder / "files"),
        "S3_BUCKET": "",
        "LOG_LEVEL": "ERROR",
        "DJANGO_SETTINGS_MODULE": "bench.settings",
    }
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0, skip_checks=True)


def fill(url: str, jobs: int) -> None:
    started = time.monotonic()
    seed_big.ORGANIZATIONS = 1
    seed_big.seed(url, jobs, say=False)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(FILES)
        connection.execute(TAGS)
        for statement in MORE.split(";")[:-1]:
            connection.execute(statement.encode())
        connection.execute("VACUUM ANALYZE")
    print(f"{jobs:,} jobs of one organization filled in {time.monotonic() - started:.0f} s", flush=True)


def report(times: int, jobs: int) -> None:
    """Round by round every page once: what else the machine does falls on all of them."""
    pages, left_out = visit()
    queries = {name: counted(*asked) for name, asked in pages.items()}
    took: dict[str, list[float]] = {name: [] for name in pages}
    for _ in range(times):
        for name, (client, address) in pages.items():
            started = time.perf_counter()
            client.get(address)
            took[name].append((time.perf_counter() - started) * 1000)
    missed = 0
    print(f"\n{'page':52} {'queries':>7} {'p50 ms':>7} {'p95 ms':>7}")
    for name, values in took.items():
        p50, p95 = statistics.median(values), statistics.quantiles(values, n=20)[18]
        bad = queries[name] > QUERIES or p95 > P95_MS
        missed += bad
        print(f"{name:52} {queries[name]:>7} {p50:>7.1f} {p95:>7.1f}{'  MISSED' if bad else ''}")
    print(f"\n{len(pages)} pages with {jobs:,} jobs, {times} times each, {missed} miss a bar")
    print(f"({QUERIES} queries, p95 {P95_MS} ms); without a thing to show: {', '.join(left_out) or 'none'}")


def counted(client: Any, address: str) -> int:
    from django.db import connection

    from tests.gates.places import STATUS

    count = 0

    def counting(execute: Any, *arguments: Any) -> Any:
        nonlocal count
        count += 1
        return execute(*arguments)

    client.get(address)  # what a process remembers is there
    with connection.execute_wrapper(counting):
        answer = client.get(address)
    if answer.status_code not in {200, 302, 409, STATUS.get(address)}:
        raise SystemExit(f"{address} answered {answer.status_code}")
    return count


def visit() -> tuple[dict[str, tuple[Any, str]], list[str]]:
    """The pages by name, each with who asks for it and its address; and the routes that name what is not there."""
    from django.test import Client

    from accounts.models import User
    from tests.architecture.test_permissions import PAGES
    from tests.gates import places
    from tests.world import signed_in

    owner, stranger = signed_in(User.objects.get(pk=1001)), Client()
    things = found()
    pages, left_out = {"(an empty page)": (owner, EMPTY)}, []
    for route, rows in PAGES.items():
        if all(row.method != "get" for row in rows):
            continue
        address = route
        for name, value in things.items():
            address = address.replace(name, value)
        if "<" in address:
            left_out.append(route)
        elif not address.endswith(("events", "news")):  # streams
            pages["/" + route] = owner, "/" + address
    names = named()
    for who, client in ((places.OWNER, owner), (places.STRANGER, stranger)):
        for address in (address for seen in places.PAGES.values() for address in seen.get(who, ())):
            try:
                pages.setdefault(address, (client, address.format(**names)))
            except KeyError:
                left_out.append(address)
    return pages | {name: (owner, address) for name, address in lists().items()}, left_out


def named() -> dict[str, str]:
    """The gate's names for things, of those that the seed has or that are made here."""
    from datetime import timedelta

    from accounts import members
    from accounts.models import Organization, Role, User
    from accounts.tenancy import Caller
    from jobs import shares
    from jobs.models import Job

    caller = Caller(organization=Organization.objects.get(), user=User.objects.get(pk=1001), role="owner")
    newest = {
        status: Job.objects.filter(status=status).order_by("-pk").first()
        for status in ("succeeded", "failed", "running", "queued", "canceled")
    }
    names = {status: str(job.pk) for status, job in newest.items() if job}
    assert newest["succeeded"]
    for name, password in (("share", ""), ("locked", "a password")):
        _, names[name] = shares.make(caller, newest["succeeded"], life=timedelta(days=1), password=password)
    _, names["invitation"] = members.invite(caller, "guest@seed.example", Role.VIEWER)
    return names


def found() -> dict[str, str]:
    """One of each thing that addresses name."""
    from django.utils import timezone

    from accounts.models import ApiKey, Member, Organization, User
    from accounts.tenancy import Caller
    from jobs import webhooks
    from jobs.models import Delivery, Job
    from jobs.requested import ApiRequest

    organization = Organization.objects.get()
    caller = Caller(organization=organization, user=User.objects.get(pk=1001), role="owner")
    endpoint, _ = webhooks.add(caller, url="https://customer.example/hook")
    Delivery.objects.filter(endpoint=None).update(endpoint=endpoint, lane=str(endpoint.pk))
    job = Job.objects.filter(status="succeeded").order_by("-pk").first()
    delivery = Delivery.objects.order_by("-pk").first()
    assert job
    assert delivery
    asked = ApiRequest.objects.create(
        organization=organization,
        request_id="bench",
        method="GET",
        path="/v1/jobs",
        status=200,
        duration_ms=9,
        at=timezone.now(),
    )
    return {
        "<uuid:entry_id>": str(asked.pk),
        "<uuid:job_id>": str(job.pk),
        "<uuid:key_id>": str(ApiKey.objects.values_list("pk", flat=True)[0]),
        "<uuid:endpoint_id>": str(endpoint.pk),
        "<uuid:delivery_id>": str(delivery.pk),
        "<int:member_id>": str(Member.objects.get().pk),
        "<uuid:organization_id>": str(organization.pk),
        "<str:slug>": "wan-2.2-s2v",
    }


def lists() -> dict[str, str]:
    """The lists as people narrow them, and their ends."""
    from jobs.models import Job

    ids = Job.objects.order_by("-pk").values_list("pk", flat=True)
    deep = ids[ids.count() * 9 // 10]
    asked = {
        "ready": "state=ready",
        "failed": "state=failed",
        "under way": "state=open",
        "a model": "model=emo-v1",
        "a person": "person=1001",
        "a tag": "tag=campaign",
        "a rare tag": "tag=rare",
        "favourites": "favourites=on",
        "favourites that failed, of a model": "favourites=on&state=failed&model=emo-v1",
        "a rare tag, canceled": "tag=rare&state=canceled",
        "a person, late, of a model": "person=1001&state=late&model=emo-v1",
        "old days": "until=2026-07-01",
        "search, common": "text=person",
        "search, one in a thousand": "text=day+77",
        "search, not there": "text=zebra",
        "search, not there, failed": "text=zebra&state=failed",
        "deep": f"before={deep}",
        "deep search, not there": f"text=zebra&before={deep}",
    }
    pages = {}
    for name, query in asked.items():
        pages[f"/gallery: {name}"] = f"/gallery?{query}"
    for name in ("failed", "search, not there", "deep"):
        pages[f"/jobs: {name}"] = f"/jobs?{asked[name]}"
    return pages


if __name__ == "__main__":
    main()
