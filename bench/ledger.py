"""Holds a second by 16 threads on ONE organization, beside the floor: bare psycopg between two rows.

    python -m bench.ledger [--seconds 5] [--threads 16]

Both run against the same server in turn, three rounds, medians. Without DATABASE_URL a throw-away PostgreSQL
is started; with it, a database of its own is made on that server and dropped again.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

ROUNDS = 3
FLOOR = """
DROP TABLE IF EXISTS bench_account;
CREATE TABLE bench_account (id int PRIMARY KEY, balance bigint NOT NULL);
INSERT INTO bench_account VALUES (1, 0), (2, 0)
"""


def main() -> None:
    options = argparse.ArgumentParser(description="Holds a second on one organization.")
    options.add_argument("--seconds", type=float, default=5.0)
    options.add_argument("--threads", type=int, default=16)
    chosen = options.parse_args()
    with server() as url, database(url) as own:
        os.environ |= {
            "DATABASE_URL": own,
            "DATABASE_POOL": "0",
            "SECRET_KEY": "bench",
            "LOG_LEVEL": "WARNING",
        }
        report(own, chosen.threads, chosen.seconds)


def report(url: str, threads: int, seconds: float) -> None:
    ledger = Ledger()
    floors, holds, pairs = [], [], []
    for _ in range(ROUNDS):
        floors.append(rate(lambda: bare(url), threads, seconds))
        holds.append(rate(ledger.holding, threads, seconds))
        pairs.append(rate(ledger.holding_and_capturing, threads, seconds))
    floor, hold, pair = (statistics.median(rates) for rates in (floors, holds, pairs))
    started = time.monotonic()
    differences = ledger.check()
    checked = time.monotonic() - started
    print(f"{threads} threads, one organization, {seconds:g} s a round, median of {ROUNDS}")
    print(f"bare two-row transactions   {floor:8.0f} /s")
    print(f"holds                       {hold:8.0f} /s   {hold / floor:.0%} of the floor")
    print(f"holds, each captured        {pair:8.0f} /s   (two transactions each)")
    print(
        f"check_ledger                {differences} differences over {ledger.transfers()} transfers, {checked:.1f} s"
    )


class Ledger:
    """Voicereel's side; Django is set up here, when the database is known."""

    def __init__(self) -> None:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0, skip_checks=True)
        from django.db import connection, transaction

        from accounts.models import ApiKey, Organization
        from billing import free, ledger, ledger_check, models

        self.verbs, self.checker, self.models = ledger, ledger_check, models
        self.transaction, self.connection = transaction, connection
        # As every order has them: the quota is asked for, and nothing of this model is free.
        self.terms = free.Terms("second", 30_000, 1000)
        self.organization = Organization.objects.create(name="Bench", slug="bench")
        self.key = ApiKey.objects.create(
            organization=self.organization,
            name="bench",
            digest=b"x",
            last4="xxxx",
            scopes=[],
            spend_cap_micros=10**17,
        )
        with transaction.atomic():
            ledger.grant(self.organization, 10**17, reference="bench", reason="bench")

    def hold(self) -> uuid.UUID:
        job_id = uuid.uuid4()
        with self.transaction.atomic():
            self.verbs.hold(
                self.organization,
                job_id=job_id,
                amount_micros=240_000,
                key=self.key,
                model="bench",
                terms=self.terms,
            )
        return job_id

    def hold_and_capture(self) -> None:
        job_id = self.hold()
        with self.transaction.atomic():
            self.verbs.capture(job_id, 180_000)

    @contextmanager
    def holding(self) -> Iterator[Callable[[], object]]:
        yield self.hold
        self.connection.close()

    @contextmanager
    def holding_and_capturing(self) -> Iterator[Callable[[], object]]:
        yield self.hold_and_capture
        self.connection.close()

    def check(self) -> int:
        return len(self.checker.check())

    def transfers(self) -> int:
        return self.models.Transfer.objects.count()


@contextmanager
def bare(url: str) -> Iterator[Callable[[], object]]:
    """What the database itself can do: the same hot rows, the same commit, none of our rules and no new rows."""
    with psycopg.connect(url, autocommit=True) as connection:

        def move() -> None:
            with connection.transaction():
                connection.execute("UPDATE bench_account SET balance = balance - 1 WHERE id = 1")
                connection.execute("UPDATE bench_account SET balance = balance + 1 WHERE id = 2")

        yield move


def rate(worker: Callable[[], object], threads: int, seconds: float) -> float:
    """Calls a second over all threads; each thread has its own connection, opened before the clock starts."""
    start = threading.Barrier(threads + 1)
    done = [0] * threads
    end = 0.0

    def run(index: int) -> None:
        with worker() as act:
            act()
            start.wait()
            while time.perf_counter() < end:
                act()
                done[index] += 1

    running = [threading.Thread(target=run, args=[index]) for index in range(threads)]
    for thread in running:
        thread.start()
    end = time.perf_counter() + 3600  # until the barrier opens
    start.wait()
    begun = time.perf_counter()
    end = begun + seconds
    for thread in running:
        thread.join()
    return sum(done) / (time.perf_counter() - begun)


@contextmanager
def server() -> Iterator[str]:
    if url := os.environ.get("DATABASE_URL"):
        yield url
        return
    from config.embedded.postgres import Postgres

    folder = Path(tempfile.mkdtemp(prefix="voicereel-bench-"))
    postgres = Postgres(folder / "postgres")
    postgres.start()
    try:
        yield postgres.url("postgres")
    finally:
        postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def database(url: str) -> Iterator[str]:
    name = f"bench_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        own = url.rpartition("/")[0] + f"/{name}"
        with psycopg.connect(own, autocommit=True) as fresh:
            fresh.execute(FLOOR)
        try:
            yield own
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


if __name__ == "__main__":
    main()
