"""Live streams over real connections that break: at random bytes and moments, a hundred at once, without Redis."""

from __future__ import annotations

import asyncio
import http.client
import json
import random
import socket
import struct
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import urlsplit

import httpx
import pytest
import redis

from config.embedded import process
from jobs.live import CLIENT_NAME
from tests.dialects.inferencesh.live import Account, account
from tests.rest import Customer

pytestmark = pytest.mark.timeout(300)
CUTS = 20
MANY = 100
NDJSON, SSE = "application/x-ndjson", "text/event-stream"


@pytest.fixture(scope="module")
def plain(live_stack) -> Account:
    """Our own engine renders for it: many clips, so many events."""
    return account(live_stack)


@pytest.fixture(scope="module")
def faked(live_stack) -> Account:
    """It may open many streams a second."""
    made = account(live_stack, fake=True)
    made.limited(reads_per_second=1000)
    return made


@pytest.fixture(scope="module")
def redis_client(live_stack):
    with redis.Redis.from_url(live_stack.env["REDIS_URL"]) as client:
        yield client


def started(customer: Account, prompt: str = "") -> str:
    with Customer(customer.stack.url, customer.key) as api:
        return api.submit(api.samples(), seed=3, num_frames_per_chunk=30, prompt=prompt)["id"]


def torn(
    customer: Account, path: str, headers: dict[str, str], most: int, seconds: float
) -> tuple[bytes, bool]:
    """What one connection gave before it was torn down after so many bytes or so long; whether it ended by itself."""
    place = urlsplit(customer.stack.url)
    line = http.client.HTTPConnection(place.hostname, place.port, timeout=10)
    line.request("GET", path, headers={"Authorization": f"Bearer {customer.key}", **headers})
    answer = line.getresponse()
    assert answer.status == 200
    # A reset, as a machine that vanishes sends it, not a proper end.
    line.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    got, end = b"", time.monotonic() + seconds
    try:
        while len(got) < most and (left := end - time.monotonic()) > 0:
            line.sock.settimeout(left)
            part = answer.read1(min(64, most - len(got)))
            if not part:
                return got, True
            got += part
    except TimeoutError:
        pass
    finally:
        line.close()
        answer.close()
    return got, False


@dataclass
class Reader:
    """A client of one kind of stream: keeps each event once, and knows how to go on."""

    longest: ClassVar[int]  # connection, in bytes: a few frames
    seen: list[str] = field(default_factory=list)
    ended: bool = False

    def headers(self) -> dict[str, str]:
        raise NotImplementedError

    def take(self, got: bytes) -> None:
        raise NotImplementedError


class Events(Reader):
    """`/v1/jobs/{id}/events`: goes on after the last whole frame."""

    longest = 500

    def headers(self) -> dict[str, str]:
        return {"Accept": SSE, **({"Last-Event-ID": self.seen[-1]} if self.seen else {})}

    def take(self, got: bytes) -> None:
        for frame in got.decode().split("\n\n")[:-1]:
            if frame.startswith(":"):
                continue
            fields = dict(line.split(": ", 1) for line in frame.split("\n"))
            self.seen.append(fields["id"])
            self.ended |= fields["event"] in {"succeeded", "failed"}


class Tasks(Reader):
    """inference.sh: every whole line or frame is the whole task; what is new in its log is told."""

    longest = 9000
    accept = NDJSON

    def headers(self) -> dict[str, str]:
        return {"Accept": self.accept}

    def texts(self, got: bytes) -> list[bytes]:
        return got.split(b"\n")[:-1]

    def take(self, got: bytes) -> None:
        for text in self.texts(got):
            task = json.loads(text)
            names = [entry["id"] for entry in task["logs"]]
            assert names[: len(self.seen)] == self.seen
            self.seen = names
            self.ended |= task["status"] >= 10


class TaskEvents(Tasks):
    accept = SSE

    def texts(self, got: bytes) -> list[bytes]:
        frames = [frame.split(b"\ndata: ", 1) for frame in got.split(b"\n\n")[:-1]]
        return [data for kind, data in frames if kind == b"event: update"]


@pytest.mark.parametrize(
    ("reader", "path", "seed"),
    [
        (Events, "/v1/jobs/{}/events", 1),
        (Events, "/v1/jobs/{}/events", 2),
        (Tasks, "/tasks/{}/stream", 3),
        (TaskEvents, "/infsh/tasks/{}/stream", 4),
    ],
)
def test_a_stream_torn_at_random_tells_every_event_once_and_in_order(faked, reader, path, seed):
    # It takes its time, on a fast machine too, and tells of every clip.
    chance, job, client = random.Random(seed), started(faked, "[fake seconds=8 clips=12]"), reader()
    amid, cuts = 0, 0
    while not client.ended:
        headers, most, seconds = (
            client.headers(),
            chance.randrange(1, client.longest),
            chance.uniform(0.02, 0.4),
        )
        got, whole = torn(faked, path.format(job), headers, most, seconds)
        client.take(got)
        cuts += not whole
        amid += not whole and got != b"" and not got.endswith(b"\n")
    assert client.seen == faked.events(job)
    assert len(client.seen) >= 10
    assert cuts >= CUTS
    assert amid  # some were cut amid a frame


# --- many at once ---------------------------------------------------------------------------------------------------


def listeners(client: redis.Redis) -> list[dict[str, str]]:
    """The connections of this platform over which streams hear of news."""
    number = str(client.connection_pool.connection_kwargs["db"])
    return [row for row in client.client_list() if (row["name"], row["db"]) == (CLIENT_NAME, number)]


async def all_told(
    customer: Account, job: str, accept: str, path: str, then: Callable[[], None]
) -> list[str]:
    """The last words of a hundred streams of one job that were all open when `then` happened."""
    headers = {"Authorization": f"Bearer {customer.key}", "Accept": accept}
    limits = httpx.Limits(max_connections=MANY)
    opened, all_open = set(), asyncio.Event()

    async def follow(http: httpx.AsyncClient, number: int) -> str:
        lines = []
        async with http.stream("GET", path.format(job)) as answer:
            assert answer.status_code == 200
            async for line in answer.aiter_lines():
                lines.append(line)
                opened.add(number)
                if len(opened) == MANY:
                    all_open.set()
        return "\n".join(lines[-4:])

    client = httpx.AsyncClient(
        base_url=customer.stack.url, headers=headers, timeout=60, limits=limits, trust_env=False
    )
    async with client as http, asyncio.TaskGroup() as group:
        streams = [group.create_task(follow(http, number)) for number in range(MANY)]
        await asyncio.wait_for(all_open.wait(), 60)
        await asyncio.to_thread(then)
    return [stream.result() for stream in streams]


@pytest.mark.parametrize(
    ("accept", "path", "last"),
    [(SSE, "/v1/jobs/{}/events", '"type":"canceled"'), (NDJSON, "/tasks/{}/stream", '"status":12')],
)
def test_a_hundred_streams_hear_redis_through_one_connection(faked, redis_client, accept, path, last):
    job, counted = started(faked, "[fake stall]"), []

    def then() -> None:
        counted.append(len(listeners(redis_client)))
        cancel(faked, job)

    told = asyncio.run(all_told(faked, job, accept, path, then))
    assert all(last in words for words in told)
    assert counted == [1]
    assert process.until(lambda: listeners(redis_client) == [], seconds=20, pause=0.2)


def test_streams_whose_connection_to_redis_breaks_go_on(faked, redis_client):
    job = started(faked, "[fake stall]")

    def then() -> None:
        (line,) = listeners(redis_client)
        redis_client.client_kill_filter(_id=line["id"])
        renewed = lambda: [row["id"] for row in listeners(redis_client)] not in ([], [line["id"]])
        assert process.until(renewed, seconds=20, pause=0.1)
        cancel(faked, job)

    told = asyncio.run(all_told(faked, job, NDJSON, "/tasks/{}/stream", then))
    assert all('"status":12' in words for words in told)


def cancel(customer: Account, job: str) -> None:
    with customer.http as api:
        assert api.post(f"/v1/jobs/{uuid.UUID(job)}/cancel").status_code == 200
