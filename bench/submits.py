"""Submits by one key: jobs with two files that are ours, beside bare inserts by psycopg.

    python -m bench.submits [--seconds 5] [--rounds 3] [--connections 16]

Two web processes as the product runs them, real PostgreSQL and Redis, all on loopback; the load generator is one small
process beside them. The floor is what an authenticated insert costs at least: as many threads of bare psycopg look a key
up by its digest and insert and commit one row of a job's size. Both are measured in turn. All jobs are one
organization's, the worst case: each holds its account's row until its commit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median

import psycopg

from bench import stack
from bench.ledger import rate
from bench.stack import Customer, Load, Stack

KEY = hashlib.sha256(b"bench").digest()
ROW = json.dumps({"text": "x" * 1500})
FLOOR = """
CREATE TABLE bench_key (digest bytea PRIMARY KEY, organization uuid NOT NULL);
CREATE TABLE bench_job (id uuid PRIMARY KEY, organization uuid NOT NULL, data jsonb NOT NULL);
CREATE INDEX ON bench_job (organization, id)
"""


def main() -> None:
    options = argparse.ArgumentParser(description="Submits a second.")
    options.add_argument("--seconds", type=float, default=5.0)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--connections", type=int, default=16)
    chosen = options.parse_args()
    with stack.running() as running:
        report(running, stack.customer(), chosen)


def report(running: Stack, customer: Customer, chosen: argparse.Namespace) -> None:
    with psycopg.connect(running.database_url, autocommit=True) as connection:
        connection.execute(FLOOR)
        connection.execute("INSERT INTO bench_key VALUES (%s, %s)", [KEY, uuid.uuid4()])
    stack.warm_up(running.port, customer.request("/v1/models"))
    order = {"model": stack.MODEL, "inputs": customer.inputs}
    fire = partial(stack.load, running.port, seconds=chosen.seconds, connections=chosen.connections)
    measures: dict[str, Callable[[], Load]] = {
        "bare floor": partial(floor, running.database_url, chosen.connections, chosen.seconds),
        "POST /v1/jobs": partial(fire, customer.request("/v1/jobs", order), expect='"queued"'),
    }
    found = stack.interleaved(chosen.rounds, measures)
    bare = median(load.rate for load in found["bare floor"])
    print(f"{chosen.connections} at once, {chosen.seconds:g} s a round, median of {chosen.rounds}")
    for name, loads in found.items():
        per_second, p50, p95 = (
            median(getattr(load, part) for load in loads) for part in ("rate", "p50", "p95")
        )
        share = "" if name == "bare floor" else f"{per_second / bare:5.0%} of the floor"
        print(f"{name:14} {per_second:7.0f} /s   p50 {p50:5.1f} ms   p95 {p95:5.1f} ms   {share}")


def floor(url: str, threads: int, seconds: float) -> Load:
    waits: list[float] = []

    @contextmanager
    def inserting() -> Iterator[Callable[[], object]]:
        with psycopg.connect(url, autocommit=True) as connection:

            def insert() -> None:
                begun = time.perf_counter()
                found = connection.execute(
                    "SELECT organization FROM bench_key WHERE digest = %s", [KEY]
                ).fetchone()
                assert found is not None
                values = [uuid.uuid4(), found[0], ROW]
                connection.execute("INSERT INTO bench_job VALUES (%s, %s, %s)", values)
                waits.append(time.perf_counter() - begun)

            yield insert

    per_second = rate(inserting, threads, seconds)
    waits.sort()
    p50, p95 = (waits[len(waits) * part // 100] * 1000 for part in (50, 95))
    return Load(rate=per_second, p50=p50, p95=p95, cpu=0.0)


if __name__ == "__main__":
    main()
