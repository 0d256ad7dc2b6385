"""How long the operator's console takes at 50 thousand jobs and at 5 million jobs with 20 million transfers.

    python -m bench.console [--jobs 5000000] [--folder DIR] [--only WORD ...]

Two databases of one throw-away PostgreSQL are filled by `bench.seed_big`. Every list of the console is asked for as an
operator would: its first page, a page from its middle, each value of each filter, a search; where it is about one tenant
about the largest, whose pages are full in either database, so that both draw as many rows, and about one with a few jobs
and one with none, which a list must not look for among all others. Each request runs 12 times
through Django's test client, so the figure is the server's own time, with the page drawn. The bars: at most 12 queries,
p95 below 300 ms, and at most 1.5 times the time at 50 thousand jobs.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bench import seed_big
from config.embedded.postgres import Postgres
from config.embedded.redis import Redis

SMALL = 50_000
TIMES = int(os.environ.get("TIMES", "12"))
CHOICES = 12  # of each filter
TENANT = seed_big.LARGEST
TENANTS = {"tenant": TENANT, "tenant of few jobs": seed_big.FEW, "tenant of none": seed_big.NONE}
QUERIES, P95_MS, RATIO = 12, 300, 1.5
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "shared_buffers": "1GB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",  # ANALYZE runs once, after the filling
}


def main() -> None:
    options = argparse.ArgumentParser(description="Times the console's pages on a big database.")
    options.add_argument("--jobs", type=int, default=5_000_000)
    options.add_argument("--folder", type=Path, help="Where the databases are made; kept if it is given.")
    options.add_argument("--only", action="append", help="Of the pages those whose name has this in it.")
    options.add_argument("--child", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.child:
        serve()
        return
    folder = chosen.folder or Path(tempfile.mkdtemp(prefix="voicereel-bench-"))
    postgres = Postgres(folder / "postgres", settings=SETTINGS)
    redis = Redis(folder / "redis", password=secrets.token_urlsafe(24))
    try:
        redis.launch()
        postgres.start()
        redis.wait()
        small, big = (child(postgres, redis, jobs) for jobs in (SMALL, chosen.jobs))
        report(small, big, jobs=chosen.jobs, only=chosen.only or [""])
    finally:
        postgres.stop()
        redis.stop()
        if not chosen.folder:
            shutil.rmtree(folder, ignore_errors=True)


def child(postgres: Postgres, redis: Redis, jobs: int) -> Child:
    """Fills a database where it is not there yet, and starts a process that times its pages."""
    name = f"console_{jobs}"
    environment = {
        **os.environ,
        "DATABASE_URL": postgres.url(name),
        "REDIS_URL": redis.url(),
        "DATABASE_POOL": "0",
        "SECRET_KEY": "bench",
        "LOG_LEVEL": "WARNING",
        "PYTHONWARNINGS": "ignore",
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    marker = postgres.directory / f"{name}.filled"
    if not marker.exists():
        postgres.make_database(name)
    subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], env=environment, check=True)
    if not marker.exists():
        started = time.monotonic()
        seed_big.seed(postgres.url(name), jobs)
        print(f"{jobs:,} jobs filled in {time.monotonic() - started:.0f} s", flush=True)
        marker.touch()
    command = [sys.executable, "-m", "bench.console", "--child", name]
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    return Child(process)


class Child:
    """Django on one of the databases; measures the page it is told."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pages: list[str] = self._answer()

    def measure(self, page: str) -> dict[str, float]:
        assert self.process.stdin
        self.process.stdin.write(page + "\n")
        found: dict[str, float] = self._answer()
        return found

    def _answer(self) -> Any:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("The measuring process ended.")
        return json.loads(line)


def report(small: Child, big: Child, *, jobs: int, only: list[str]) -> None:
    """Page by page, one database after the other: what else the machine does falls on both."""
    print(f"\n{'page':58} {'queries':>7} {'50 k p50/p95 ms':>17} {f'{jobs:,} p50/p95 ms':>22} {'ratio':>6}")
    missed = 0
    pages = [page for page in big.pages if any(word in page for word in only)]
    for page in pages:
        there = small.measure(page) if page in small.pages else None
        here = big.measure(page)
        ratio = here["p50"] / there["p50"] if there else float("nan")
        bad = here["queries"] > QUERIES or here["p95"] > P95_MS or ratio > RATIO
        missed += bad
        before = f"{there['p50']:.0f}/{there['p95']:.0f}" if there else "-"
        now = f"{here['p50']:.0f}/{here['p95']:.0f}"
        line = f"{page:58} {here['queries']:>7.0f} {before:>17} {now:>22} {ratio:>6.2f}"
        print(line + ("  MISSED" if bad else ""), flush=True)
    print(f"\n{len(pages)} pages, {missed} miss a bar ({QUERIES} queries, p95 {P95_MS} ms, {RATIO} times)")


def serve() -> None:
    """In the child: tells the pages there are, then times each that is asked for, until nobody asks any more."""
    import django

    django.setup()
    from django.contrib import admin
    from django.urls import reverse

    from accounts.models import User
    from tests.world import at_console

    name = f"operator-{secrets.token_hex(4)}@bench.example"
    client = at_console(User.objects.create_superuser(name, secrets.token_hex()))
    client.defaults["HTTP_HOST"] = "127.0.0.1"
    pages = {"overview": reverse("admin:index"), **others()}
    for model, page in admin.site._registry.items():
        pages |= asked(model, page)
    print(json.dumps(list(pages)), flush=True)
    for line in sys.stdin:
        print(json.dumps(timed(client, pages[line.strip()])), flush=True)


def timed(client: Any, address: str) -> dict[str, float]:
    """The first request finds nothing kept of what is worked out for everybody now and then; it counts as one of them."""
    from django.core.cache import cache
    from django.db import connection

    count = 0

    def counted(execute: Any, *arguments: Any) -> Any:
        nonlocal count
        count += 1
        return execute(*arguments)

    cache.clear()
    with connection.execute_wrapper(counted):
        answer = client.get(address)
    if answer.status_code != 200:
        raise SystemExit(f"{address} answered {answer.status_code}")
    times = []
    cache.clear()
    for _ in range(TIMES):
        started = time.perf_counter()
        client.get(address)
        times.append((time.perf_counter() - started) * 1000)
    # The session and the person are not the page's own, but they are paid for with it.
    return {"queries": count, "p50": statistics.median(times), "p95": max(times)}


def others() -> dict[str, str]:
    """Pages that are no list, and the ledger as somebody looks through it for one tenant or one day."""
    from django.urls import reverse

    from accounts.models import Organization
    from billing.models import Transfer

    tenants = {
        slug: pk for slug, pk in Organization.objects.values_list("slug", "pk") if slug in TENANTS.values()
    }
    tenant = tenants[TENANT]
    ledger = reverse("admin:billing_transfer_changelist")
    newest = Transfer.objects.latest("pk")
    day = newest.created_at.date()
    of_day = urlencode({"created_at_from": day, "created_at_to": day})
    first = Transfer.objects.filter(organization=tenant).order_by("pk").first()
    of_first = (
        urlencode({name: first.created_at.date() for name in ("created_at_from", "created_at_to")})
        if first
        else ""
    )
    return {
        **{name: reverse("admin:tenant", args=[tenants[slug]]) for name, slug in TENANTS.items()},
        "providers": reverse("admin:jobs_route_health"),
        "price history": reverse("admin:price_history"),
        **{f"ledger of a {name}": f"{ledger}?organization={slug}" for name, slug in TENANTS.items()},
        "ledger of a tenant's job": f"{ledger}?q={newest.job_id}",
        "ledger of the newest day": f"{ledger}?{of_day}",
        "ledger of a tenant's oldest day": f"{ledger}?organization={TENANT}&{of_first}",
    }


def asked(model: Any, page: Any) -> dict[str, str]:
    """The ways in which an operator asks for one list."""
    from django.urls import reverse

    from accounts.console import AFTER, key_of

    label = model._meta.label
    base = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    newest_by = getattr(page, "newest_by", "")
    rows = model._default_manager.order_by(f"-{newest_by or 'pk'}", "-pk")
    pages = {f"{label} first": base}
    for row in rows[20_000:20_001] if hasattr(page, "found_by") else ():
        pages[f"{label} deep"] = f"{base}?{urlencode({AFTER: key_of(row, newest_by)})}"
    for spec in page.get_changelist_instance(operator_request(base)).filter_specs:
        for choice in list(spec.choices(Blank()))[1 : 1 + CHOICES]:
            pages[f"{label} {choice['query_string']}"] = base + choice["query_string"]
    last = rows.first()
    if last is not None and hasattr(page, "found_by"):
        pages[f"{label} search id"] = f"{base}?q={last.pk}"
        pages |= {f"{label} search {name}": f"{base}?q={slug}" for name, slug in TENANTS.items()}
        pages[f"{label} search nothing"] = f"{base}?q=no-such-thing"
    return pages


class Blank:
    """As much of a list as a filter needs to tell its choices: none is chosen."""

    add_facets = False

    def get_query_string(self, new_params: Any = None, remove: Any = None) -> str:
        return "?" + urlencode(
            {name: value for name, value in (new_params or {}).items() if value is not None}
        )


def operator_request(address: str) -> Any:
    from django.test import RequestFactory

    from accounts.models import User

    request = RequestFactory().get(address)
    request.user = User.objects.filter(is_superuser=True).latest("pk")
    return request


if __name__ == "__main__":
    main()
