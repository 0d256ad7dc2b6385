"""From the vendor's end to our `succeeded`: seconds, told by a call and found by a question, a 10 MB film included.

    python -m bench.completion [--jobs 20] [--apart 3]

The poller, a worker and the web server run as the product runs them; PostgreSQL, Redis and the S3 store are real. The
vendor is the WaveSpeed double of the tests with a film of 10 MB that is all picture (noise, which no encoder makes
small), so that checking it decodes 10 MB as well. Orders end one after the other, a while
apart: half are told by the vendor's signed call at that moment, half are left to the poller. The clock runs from the
moment from which the vendor says `completed`, or where nobody calls from the question that was first answered so (how
late that comes after it was due is what `bench.poller` measures), to the job's `finished_at`. Beside it, in the same run,
the floor: fetching the film and writing it, nothing else.
Bar: p95 below 1.5 s, of both.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from bench import stack
from bench.stack import CHECKOUT, Stack
from config.embedded import process
from tests.vendors.server import Answer, Call, Task, running
from tests.vendors.wavespeed.double import KEY, SECRET, WaveSpeed

LENGTH_MS = 4000  # of the customer's voice, as `stack` describes it
FILM_BYTES = 10 * 1024**2
SIDE, FPS, QUANTIZER = 480, 25, 33


class Punctual(WaveSpeed):
    """A task ends at the moment that the bench chose for it."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: dict[str, float] = {}
        self.told: dict[str, float] = {}

    def status(self, task: Task) -> str:
        if self.ends.get(task.id, float("inf")) > time.time():
            return "processing"
        self.told.setdefault(task.id, time.time())
        return "completed"

    def file(self, call: Call) -> Answer:
        return Answer(200, film(), {"Content-Type": "video/mp4"})


@cache
def film() -> bytes:
    """A film as long as the customer's voice, of 10 MB or a little more."""
    import av
    import numpy as np

    from providers.fake import video

    dice, file = np.random.default_rng(7), io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        options = {"preset": "ultrafast", "qp": str(QUANTIZER)}
        pictures = container.add_stream("libx264", rate=FPS, options=options)
        pictures.width = pictures.height = SIDE
        pictures.pix_fmt = "yuv420p"
        sound = container.add_stream("aac", rate=video.RATE, layout="mono")
        for _ in range(LENGTH_MS * FPS // 1000):
            noise = dice.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
            container.mux(pictures.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
        container.mux(pictures.encode(None))
        for samples in video.tone(LENGTH_MS):
            container.mux(sound.encode(samples))
        container.mux(sound.encode(None))
    content = file.getvalue()
    assert FILM_BYTES <= len(content) < 1.5 * FILM_BYTES, len(content)
    return content


def main() -> None:
    options = argparse.ArgumentParser(description="How soon a finished film is ours.")
    options.add_argument("--jobs", type=int, default=20, help="of each kind")
    options.add_argument("--apart", type=float, default=3.0, help="seconds between two ends")
    chosen = options.parse_args()
    os.environ |= {"PROVIDER_CALLBACKS": "1"}
    film()  # made before anybody asks for it
    with stack.object_store() as store, stack.running(**store) as platform, running(Punctual()) as vendor:
        assert isinstance(vendor, Punctual)
        os.environ["FETCH_ALLOW_HOSTS"] = vendor.host
        ordered = order(vendor, 2 * chosen.jobs)
        with processes():
            waits = ended(platform, vendor, ordered, chosen.apart)
        report(vendor, waits)


def order(vendor: Punctual, count: int) -> list[Any]:
    """Attempts at the vendor, each of a job of its own."""
    from jobs import dispatch
    from jobs.models import Attempt
    from jobs.submit import submit
    from jobs.types import JobRequest
    from providers import vault
    from providers.models import ProviderAccount, Route

    customer = stack.customer()
    Route.objects.filter(organization=customer.organization).delete()
    account = ProviderAccount(provider="wavespeed", name="bench", base_url=vendor.url)
    vault.keep(account, key=KEY, secret=SECRET)
    account.save()
    Route.objects.create(
        model=stack.MODEL, provider="wavespeed", account=account, organization=customer.organization
    )
    request = JobRequest(model=stack.MODEL, inputs=customer.inputs, options={}, dialect="rest")
    for _ in range(count):
        submit(customer.caller, request)
    while dispatch.dispatch():
        pass
    attempts = list(Attempt.objects.select_related("job").order_by("pk"))
    assert len(vendor.tasks) == len(attempts) == count
    return attempts


@contextmanager
def processes() -> Iterator[None]:
    """A poller and a worker."""
    commands = [
        ["manage.py", "poller"],
        ["-m", "celery", "-A", "config", "worker", "-Q", "default,media", "-c", "2", "--loglevel", "WARNING"],
    ]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    children = [process.spawn([sys.executable, *words], env=environment, cwd=CHECKOUT) for words in commands]
    time.sleep(10)
    try:
        yield
    finally:
        for child in children:
            process.stop(child, signal.SIGTERM, seconds=20)


def ended(platform: Stack, vendor: Punctual, ordered: list[Any], apart: float) -> dict[str, list[float]]:
    """Let the orders end in turn, every other one with a call; the seconds to `succeeded` by how we heard of it."""
    for place, attempt in enumerate(ordered):
        task = vendor.tasks[attempt.external_id]
        vendor.ends[task.id] = time.time()
        if place % 2 == 0:
            threading.Thread(target=call, args=(platform, vendor, task)).start()
        time.sleep(apart)
    deadline = time.monotonic() + 120
    waits: dict[str, list[float]] = {"told by a call": [], "found by a question": []}
    for place, attempt in enumerate(ordered):
        while not attempt.job.final:
            assert time.monotonic() < deadline, attempt.job.status
            time.sleep(0.2)
            attempt.job.refresh_from_db()
        assert attempt.job.status == "succeeded", attempt.job.error_code
        end = attempt.job.finished_at.timestamp()
        if place % 2:
            waits["found by a question"].append(end - vendor.told[attempt.external_id])
        else:
            waits["told by a call"].append(end - vendor.ends[attempt.external_id])
    return waits


def call(platform: Stack, vendor: Punctual, task: Task) -> None:
    address, headers, body = vendor.webhook(task)
    answer = httpx.post(address, content=body, headers=headers, timeout=30, trust_env=False)
    assert answer.status_code < 300, answer.text


def report(vendor: Punctual, waits: dict[str, list[float]]) -> None:
    for name, seconds in {**waits, "floor: fetch and write": copied(vendor)}.items():
        seconds.sort()
        p95 = seconds[len(seconds) * 95 // 100]
        print(f"{name:24} p50 {median(seconds):6.2f} s   p95 {p95:6.2f} s   most {seconds[-1]:6.2f} s")


def copied(vendor: Punctual) -> list[float]:
    """Seconds of fetching a film and writing it, with nothing but httpx."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name in list(vendor.tasks)[:10]:
            began = time.monotonic()
            content = httpx.get(f"{vendor.url}/outputs/{name}.mp4", timeout=30, trust_env=False).content
            Path(folder, name).write_bytes(content)
            found.append(time.monotonic() - began)
    return found


if __name__ == "__main__":
    main()
