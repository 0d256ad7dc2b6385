"""GET status of a running job by one key, in every dialect, beside an empty authenticated view.

    python -m bench.status_reads [--seconds 3] [--rounds 5] [--connections 16]

Two web processes as the product runs them, real PostgreSQL and Redis, all on loopback. The load generator is one small
process that shares the cores with them. All views are measured in turn, round after round; medians. Once a second the
provider tells of progress, so the job changes while it is asked about. Bar: 2,000 requests a second, or half of the
empty view.
"""

from __future__ import annotations

import argparse
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import Any

from bench import stack
from bench.stack import Customer, Stack


def main() -> None:
    options = argparse.ArgumentParser(description="Status reads a second.")
    options.add_argument("--seconds", type=float, default=3.0)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--connections", type=int, default=16)
    chosen = options.parse_args()
    with stack.running() as running:
        customer = stack.customer()
        stack.warm_up(running.port, customer.request("/v1/models"))
        job = at_work(customer)
        with progressing(job):
            report(running, customer, job, chosen)


def report(running: Stack, customer: Customer, job: Any, chosen: argparse.Namespace) -> None:
    paths = {
        "empty view": ("/bench/empty", "empty"),
        "/v1/jobs/{id}": (f"/v1/jobs/{job.pk}", '"running"'),
        "WaveSpeed": (f"/api/v3/predictions/{job.pk.hex}/result", '"processing"'),
        "DashScope": (f"/api/v1/tasks/{job.pk}", '"RUNNING"'),
        "inference.sh": (f"/tasks/{job.pk}", '"status":7'),
    }
    fire = partial(stack.load, running.port, seconds=chosen.seconds, connections=chosen.connections)
    measures = {
        name: partial(fire, customer.request(path), expect=expect) for name, (path, expect) in paths.items()
    }
    before = running.transactions()
    found = stack.interleaved(chosen.rounds, measures)
    transactions = running.transactions() - before
    answered = sum(load.rate * chosen.seconds for loads in found.values() for load in loads)
    floor = median(load.rate for load in found["empty view"])
    print(f"{chosen.connections} connections, {chosen.seconds:g} s a round, median of {chosen.rounds}")
    for name, loads in found.items():
        rate, p50, p95 = (median(getattr(load, part) for load in loads) for part in ("rate", "p50", "p95"))
        share = "" if name == "empty view" else f"{rate / floor:5.0%} of the empty view"
        print(f"{name:14} {rate:7.0f} /s   p50 {p50:5.1f} ms   p95 {p95:5.1f} ms   {share}")
    cpu = median(load.cpu for loads in found.values() for load in loads)
    print(f"the load generator took {cpu:.0%} of one core")
    print(
        f"PostgreSQL: {transactions} transactions in {answered:.0f} requests, the job's progress among them"
    )


def at_work(customer: Customer) -> Any:
    """A job that a provider is at, with a phase and a progress."""
    from jobs import dispatch, submit
    from jobs.types import JobRequest

    options = {"prompt": "[fake stall]"}
    order = JobRequest(model=stack.MODEL, inputs=customer.inputs, options=options, dialect="rest")
    job = submit.submit(customer.caller, order)
    assert dispatch.dispatch() == 1
    return job


@contextmanager
def progressing(job: Any) -> Iterator[None]:
    """Once a second the provider's word, as the poller applies it."""
    from django.db import connection

    from jobs import poll
    from providers.base import State, Update

    attempt = job.attempts.get()
    over = threading.Event()

    def tell(count: int) -> None:
        poll.apply(attempt, Update("", State.RUNNING, progress=count % 1000 / 1000, phase="rendering"))

    def run() -> None:
        count = 0
        while not over.wait(1.0):
            count += 1
            tell(count)
        connection.close()

    tell(0)
    teller = threading.Thread(target=run)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


if __name__ == "__main__":
    main()
