"""Five hundred people who watch running jobs, all on one process.

    python -m bench.viewers [--viewers 500] [--jobs 50] [--seconds 20]

One uvicorn process as docker-compose.yml runs `live`, real PostgreSQL and Redis, all on loopback. The viewers are
streams of `/studio/jobs/<id>/events`, held by a process of their own. Each job has a new clip every two seconds, which
is an event; its way from the provider's word to every viewer of the job is timed. The page whose time is told with and
without the viewers is the list of jobs, on the same process. The bars: memory below 400 MB, p95 of events below 1 s.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import resource
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from bench import stack
from config.embedded import process

MEMORY_MB, EVENT_SECONDS = 400, 1.0
UVICORN = "-m uvicorn config.asgi:application --host 127.0.0.1 --lifespan off --no-access-log --port"
CLIP = re.compile(rb'"clip":(\d+)')
CLIPS = 1000
OPEN_SECONDS = 60


def main() -> None:
    options = argparse.ArgumentParser(description="Live viewers on one process.")
    options.add_argument("--viewers", type=int, default=500)
    options.add_argument("--jobs", type=int, default=50)
    options.add_argument("--seconds", type=float, default=20)
    options.add_argument("--watch", nargs=2, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.watch:
        asyncio.run(watch(int(chosen.watch[0]), chosen.watch[1], json.load(sys.stdin)))
        return
    with stack.running(), live() as (pid, port):
        measure(chosen, pid, port)


@contextmanager
def live() -> Iterator[tuple[int, int]]:
    """One process for streams; its pid and port."""
    port = process.free_port()
    child = process.spawn(
        [sys.executable, *UVICORN.split(), str(port)],
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        cwd=stack.CHECKOUT,
    )
    try:
        if not process.until(lambda: process.answers(port), seconds=60):
            raise SystemExit("The live server did not start.")
        yield child.pid, port
    finally:
        process.stop(child, signal.SIGTERM, seconds=10)


def measure(chosen: argparse.Namespace, pid: int, port: int) -> None:
    customer = stack.customer()
    cookie = signed_in()
    jobs = [at_work(customer) for _ in range(chosen.jobs)]
    page(port, cookie)  # what a process loads at its first page is there
    before = memory(pid)
    alone = pages(port, cookie, chosen.seconds)
    watched = [str(jobs[n % len(jobs)].pk) for n in range(chosen.viewers)]
    watcher = subprocess.Popen(
        [sys.executable, "-m", "bench.viewers", "--watch", str(port), cookie],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=stack.CHECKOUT,
        text=True,
    )
    assert watcher.stdin
    assert watcher.stdout
    watcher.stdin.write(json.dumps(watched))
    watcher.stdin.close()
    print(watcher.stdout.readline().strip(), flush=True)
    with telling(jobs) as told:
        with_them = pages(port, cookie, chosen.seconds)
        used = memory(pid)
    watcher.send_signal(signal.SIGTERM)
    seen = json.loads(watcher.stdout.read())
    watcher.wait(10)
    report(chosen, before, used, alone, with_them, late(told, seen, watched))


def report(
    chosen: argparse.Namespace,
    before: float,
    used: float,
    alone: list[float],
    with_them: list[float],
    waits: list[float],
) -> None:
    waits = waits or [float("inf")]
    print(f"{chosen.viewers} viewers of {chosen.jobs} running jobs, {chosen.seconds:g} s")
    print(f"memory of the process  {before:6.0f} MB before, {used:6.0f} MB with them (bar {MEMORY_MB})")
    print(f"event to viewer        p50 {at(waits, 50):6.3f} s   p95 {at(waits, 95):6.3f} s   of {len(waits)}")
    for name, took in (("list of jobs, alone", alone), ("list of jobs, with them", with_them)):
        print(
            f"{name:22} p50 {at(took, 50) * 1000:5.0f} ms   p95 {at(took, 95) * 1000:5.0f} ms   of {len(took)}"
        )


def at(values: list[float], percent: int) -> float:
    return (
        statistics.quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0]
    )


def late(
    told: dict[tuple[str, int], float], seen: list[list[dict[str, float]]], watched: list[str]
) -> list[float]:
    """From each word to each viewer of its job; who never saw a clip waited until a later one."""
    waits = []
    for (job, clip), moment in told.items():
        for viewer, name in enumerate(watched):
            if name == job:
                later = [at for at, number in seen[viewer] if number >= clip]
                waits.append(min(later) - moment if later else float("inf"))
    return waits


# --- the jobs ---


def signed_in() -> str:
    from accounts.models import User
    from tests.world import signed_in as browser_of

    browser = browser_of(User.objects.get(email="bench@example.com"))
    return f"sessionid={browser.cookies['sessionid'].value}"


def at_work(customer: stack.Customer) -> Any:
    from bench.status_reads import at_work as started

    return started(customer)


@contextmanager
def telling(jobs: list[Any]) -> Iterator[dict[tuple[str, int], float]]:
    """The provider's word of a new clip, for each job every two seconds; when each was said."""
    from django.db import connection

    from jobs import poll
    from providers.base import State, Update

    attempts = {job: job.attempts.get() for job in jobs}
    told: dict[tuple[str, int], float] = {}
    over = threading.Event()

    def run() -> None:
        turn = 0
        while not over.is_set():
            turn += 1
            pause = 2.0 / len(jobs)
            for job, attempt in attempts.items():
                detail = {"clip": turn, "clips": CLIPS}
                began = time.time()
                poll.apply(
                    attempt, Update("", State.RUNNING, progress=turn / CLIPS, phase="render", detail=detail)
                )
                told[str(job.pk), turn] = began
                if over.wait(max(pause - (time.time() - began), 0)):
                    break
        connection.close()

    teller = threading.Thread(target=run)
    teller.start()
    try:
        yield told
    finally:
        time.sleep(3)  # the last words arrive
        over.set()
        teller.join()
        newest = time.time() - 2
        for name in [name for name, moment in told.items() if moment > newest]:
            del told[name]


# --- what is measured ---


def memory(pid: int) -> float:
    """Resident, in MB."""
    line = next(
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")
    )
    return int(line.split()[1]) / 1024


def pages(port: int, cookie: str, seconds: float) -> list[float]:
    """Seconds that the list of jobs took, asked for four times a second."""
    took, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        took.append(page(port, cookie))
        time.sleep(max(0.25 - took[-1], 0))
    return took


def page(port: int, cookie: str) -> float:
    started = time.perf_counter()
    line = HTTPConnection("127.0.0.1", port, timeout=60)
    line.request("GET", "/jobs", headers={"Cookie": cookie})
    answer = line.getresponse()
    answer.read()
    if answer.status != 200:
        raise SystemExit(f"/jobs answered {answer.status}")
    line.close()
    return time.perf_counter() - started


# --- the viewers, in a process of their own ---


async def watch(port: int, cookie: str, jobs: list[str]) -> None:
    """Holds a stream for each, and tells at the end which clip each saw when: [[moment, clip], ...] by viewer."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    seen: list[list[tuple[float, int]]] = [[] for _ in jobs]
    opened = asyncio.Semaphore(20)
    began = time.monotonic()
    ready = [asyncio.Event() for _ in jobs]
    viewers = [
        asyncio.create_task(view(port, cookie, job, seen[n], ready[n], opened)) for n, job in enumerate(jobs)
    ]
    async with asyncio.timeout(OPEN_SECONDS):
        for event in ready:
            await event.wait()
    print(f"{len(jobs)} streams open after {time.monotonic() - began:.1f} s", flush=True)
    await over.wait()
    ended = sum(viewer.done() for viewer in viewers)
    if ended:
        raise SystemExit(f"{ended} streams ended by themselves")
    for viewer in viewers:
        viewer.cancel()
    print(json.dumps(seen))


async def view(
    port: int,
    cookie: str,
    job: str,
    seen: list[tuple[float, int]],
    ready: asyncio.Event,
    opened: asyncio.Semaphore,
) -> None:
    async with opened:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"GET /studio/jobs/{job}/events HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n\r\n"
        writer.write(head.encode())
        while not (line := await reader.readline()).startswith(b"data:"):
            if not line or (line.startswith(b"HTTP/1.1 ") and b" 200 " not in line):
                raise SystemExit(f"A stream was refused: {line!r}")
    ready.set()
    while line := await reader.readline():
        if found := CLIP.search(line):
            seen.append((time.time(), int(found[1])))


if __name__ == "__main__":
    main()
