"""5,000 orders in flight at one vendor's account, and one poller process: how late it asks, and what it takes.

    python -m bench.poller [--orders 5000] [--rounds 3] [--seconds 40]

The poller is `manage.py poller` as the product runs it; PostgreSQL and Redis are real; the vendor is `bench.slow_vendor`,
a process of its own that answers 200 ms after it was asked. The route's last videos took five minutes, the orders are
spread evenly over these, and the poller asks as often as its intervals want. A question's lateness is the time from
the moment for which it was due to its arrival at the vendor. The floor asks the same vendor at the same rate with nothing
but httpx (`bench.bare_asker`), in the same run. Bars: p95 below 2 s, memory below 300 MB.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import mean, median
from typing import Any

import httpx

from bench import stack
from bench.stack import CHECKOUT
from config.embedded import process

TOOK = 300.0
LENGTH_MS = 4000
WARM_UP = 15.0
# What was due within the window may arrive so much later before it counts as never asked.
GRACE = 5.0

# The moment for which each claimed question was due, as the database has it.
NOTE_CLAIMS = """
CREATE UNLOGGED TABLE bench_claim (external_id text, fence bigint, due_at timestamptz);
CREATE FUNCTION bench_note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO bench_claim SELECT n.external_id, n.fence, o.due_at
    FROM new_rows n JOIN old_rows o USING (id) WHERE n.fence > o.fence;
    RETURN NULL;
END $$;
CREATE TRIGGER bench_note AFTER UPDATE ON jobs_attempt
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION bench_note();
"""
SPREAD = """
UPDATE jobs_attempt SET lease_until = NULL, submitted_at = now() - make_interval(secs => random() * %(took)s),
    due_at = now() + make_interval(secs => 5 + random() * 13) WHERE status = 'running'
"""


@dataclass(frozen=True)
class Round:
    """Questions a second, lateness in seconds, CPU of a question in ms, memory in MiB."""

    rate: float
    p50: float
    p95: float
    worst: float
    cpu_ms: float
    mib: float


def main() -> None:
    options = argparse.ArgumentParser(description="How late a poller asks.")
    options.add_argument("--orders", type=int, default=5000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=float, default=40.0)
    chosen = options.parse_args()
    with stack.servers(), vendor() as port:
        seed(stack.customer(), port, chosen.orders)
        wanted = chosen.orders * intended()
        print(f"{chosen.orders} orders, intended {wanted:.0f} questions a second")
        found: dict[str, list[Round]] = defaultdict(list)
        for _ in range(chosen.rounds):
            found["bare httpx"].append(floor(port, chosen.orders, wanted, chosen.seconds))
            found["poller"].append(polled(port, chosen.seconds))
        for name, rounds in found.items():
            for each in rounds:
                print(line(name, each))
            middle = Round(*(median(getattr(each, part) for each in rounds) for part in Round.__match_args__))
            print(line(f"{name}, median", middle))


def line(name: str, found: Round) -> str:
    return (
        f"{name:20} {found.rate:5.0f} /s   late p50 {found.p50:6.3f} s  p95 {found.p95:6.3f} s  most {found.worst:6.3f} s"
        f"   {found.cpu_ms:5.2f} ms CPU each   {found.mib:4.0f} MiB"
    )


@contextmanager
def vendor() -> Iterator[int]:
    command = [sys.executable, "-m", "bench.slow_vendor"]
    child = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
    assert child.stdout
    try:
        yield int(child.stdout.readline())
    finally:
        child.terminate()
        child.wait()


def intended() -> float:
    """Questions a second of one order, over the whole time that it takes."""
    from jobs import paces
    from providers.wavespeed.adapter import WaveSpeedAdapter as Vendor

    bounds = {"least": Vendor.poll_seconds, "most": Vendor.rarest_seconds}
    ages = [TOOK * place / 1000 for place in range(1000)]
    return mean(1 / paces.interval(age, TOOK, **bounds) for age in ages)


def seed(customer: Any, port: int, orders: int) -> None:
    """Running jobs with an order each, and one that told how long such a video takes."""
    from django.db import connection
    from django.utils import timezone

    from jobs.models import Attempt, Job
    from jobs.types import new_id
    from providers import vault
    from providers.models import ProviderAccount, Route

    account = ProviderAccount(provider="wavespeed", name="bench", base_url=f"http://127.0.0.1:{port}")
    vault.keep(account, key="bench-key")
    account.save()
    route = Route.objects.create(model=stack.MODEL, provider="wavespeed", account=account)
    now, jobs, attempts = timezone.now(), [], []
    for number in range(orders + 1):
        job = Job(
            organization=customer.organization,
            dialect="rest",
            model=stack.MODEL,
            inputs={role: {"asset": file} for role, file in customer.inputs.items()},
            options={"resolution": "480p", "prompt": "a person speaks to the camera"},
            status="running",
            phase="render",  # as the vendor says of it, so there is no news
            length_ms=LENGTH_MS,
            deadline_at=now + timedelta(days=1),
        )
        attempt = Attempt(
            id=new_id(),
            job=job,
            number=1,
            route_id=route.pk,
            account_id=account.pk,
            provider="wavespeed",
            tag=f"bench{number}",
            external_id=f"{number:032x}",
            status="running",
            submitted_at=now,
        )
        jobs.append(job)
        attempts.append(attempt)
    attempts[-1].status, attempts[-1].finished_at = "succeeded", now + timedelta(seconds=TOOK)
    jobs[-1].status = "succeeded"
    Job.objects.bulk_create(jobs, batch_size=1000)
    Attempt.objects.bulk_create(attempts, batch_size=1000)
    with connection.cursor() as cursor:
        cursor.execute(NOTE_CLAIMS)
        cursor.execute("ANALYZE")


def floor(port: int, orders: int, rate: float, seconds: float) -> Round:
    arrivals(port)
    begun = time.time()
    command = [sys.executable, "-m", "bench.bare_asker", *map(str, (port, orders, rate, WARM_UP + seconds))]
    done = subprocess.run(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, check=True)
    told = json.loads(done.stdout)
    window = begun + WARM_UP, begun + WARM_UP + seconds
    late = lateness(told["due"], arrivals(port), window)
    asked = sum(len(moments) for moments in told["due"].values())
    return figures(late, seconds, told["cpu"] / asked, told["mib"])


def polled(port: int, seconds: float) -> Round:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(SPREAD, {"took": TOOK})
        cursor.execute("TRUNCATE bench_claim")
    arrivals(port)
    with poller() as pid:
        time.sleep(WARM_UP)
        begun, spent = time.time(), cpu_seconds(pid)
        time.sleep(seconds)
        window = begun, time.time()
        spent = cpu_seconds(pid) - spent
        time.sleep(GRACE)
        mib = memory(pid)
    came = arrivals(port)
    with connection.cursor() as cursor:
        cursor.execute("SELECT external_id, extract(epoch FROM due_at) FROM bench_claim ORDER BY fence")
        due: dict[str, list[float]] = defaultdict(list)
        for name, at in cursor.fetchall():
            due[name].append(float(at))
        # Due by then and never claimed: as late as the end at least.
        cursor.execute(
            "SELECT external_id, extract(epoch FROM due_at) FROM jobs_attempt WHERE status = 'running'"
            " AND due_at < to_timestamp(%s)",
            [window[1]],
        )
        for name, at in cursor.fetchall():
            due[name].append(float(at))
    late = lateness(due, came, window)
    asked = sum(window[0] <= at < window[1] for _, at in came)
    return figures(late, seconds, spent / asked, mib)


@contextmanager
def poller() -> Iterator[int]:
    command = [sys.executable, "manage.py", "poller"]
    child = process.spawn(command, env={**os.environ, "PYTHONWARNINGS": "ignore"}, cwd=CHECKOUT)
    try:
        yield child.pid
    finally:
        process.stop(child, signal.SIGTERM, seconds=20)


def arrivals(port: int) -> list[tuple[str, float]]:
    """The questions that came since the last time."""
    answer = httpx.get(f"http://127.0.0.1:{port}/arrivals", timeout=60, trust_env=False)
    return [(name, at) for name, at in answer.json()]


def lateness(
    due: dict[str, list[float]], came: list[tuple[str, float]], window: tuple[float, float]
) -> list[float]:
    """Seconds of each question that was due in the window: an order's questions arrive in the order they were due in."""
    asked: dict[str, list[float]] = defaultdict(list)
    for name, at in came:
        asked[name].append(at)
    late, now = [], time.time()
    for name, moments in due.items():
        for place, at in enumerate(moments):
            if window[0] <= at < window[1]:
                arrived = asked[name][place] if place < len(asked[name]) else now
                late.append(arrived - at)
    return sorted(late)


def figures(late: list[float], seconds: float, cpu: float, mib: float) -> Round:
    p50, p95 = late[len(late) // 2], late[len(late) * 95 // 100]
    return Round(len(late) / seconds, p50, p95, late[-1], cpu * 1000, mib)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> float:
    """The most that it had in memory, MiB."""
    for row in Path(f"/proc/{pid}/status").read_text().splitlines():
        if row.startswith("VmHWM:"):
            return int(row.split()[1]) / 1024
    raise RuntimeError("no VmHWM")


if __name__ == "__main__":
    main()
