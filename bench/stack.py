"""What the benches of requests share: real servers, the web processes as the product runs them, a paying customer.

Everything listens on loopback and is gone afterwards. The web server is the one of docker-compose.yml: gunicorn,
2 processes of 8 threads. Its address space has one page more, the empty view beside which the others are measured.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from config.embedded import process
from config.embedded.postgres import Postgres
from config.embedded.redis import Redis

CHECKOUT = Path(__file__).parent.parent
SAMPLES = CHECKOUT / "tests" / "samples"
MODEL = "wan-2.2-s2v"
PLENTY = 1_000_000
GUNICORN = ["--worker-class", "gthread", "--workers", "2", "--threads", "8", "--log-level", "warning"]


@dataclass(frozen=True)
class Stack:
    """A running platform: its web port, its database, and an address of the server that counts nothing there."""

    port: int
    database_url: str
    server_url: str

    def transactions(self) -> int:
        """How many transactions PostgreSQL has ended in the platform's database."""
        time.sleep(1.2)  # its processes tell their numbers once a second
        with psycopg.connect(self.server_url) as connection:
            sql = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'voicereel'"
            row = connection.execute(sql).fetchone()
        assert row is not None
        return int(row[0])


@contextmanager
def running(**more: str) -> Generator[Stack, None, None]:
    """The whole stack with Django set up in this process, too."""
    with servers(**more) as stack, web(stack.port):
        yield stack


@contextmanager
def servers(**more: str) -> Generator[Stack, None, None]:
    """PostgreSQL and Redis with an empty platform in them, and Django set up in this process; nobody serves it. `more`
    are variables of its environment.
    """
    folder = Path(tempfile.mkdtemp(prefix="voicereel-bench-"))
    postgres = Postgres(folder / "postgres")
    redis = Redis(folder / "redis", password=secrets.token_urlsafe(24))
    try:
        redis.launch()
        postgres.start()
        redis.wait()
        postgres.make_database("voicereel")
        port = process.free_port()
        stack = Stack(port, postgres.url("voicereel"), postgres.url("postgres"))
        os.environ |= {
            "DATABASE_URL": stack.database_url,
            "REDIS_URL": redis.url(),
            "PUBLIC_URL": f"http://127.0.0.1:{port}",
            "MEDIA_DIR": str(folder / "files"),
            "SECRET_KEY": "bench",
            "FAKE_PROVIDER": "1",
            "LOG_LEVEL": "WARNING",
            "S3_BUCKET": "",
            "DJANGO_SETTINGS_MODULE": "bench.settings",
            **more,
        }
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0, skip_checks=True)
        yield stack
    finally:
        postgres.stop()
        redis.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def object_store() -> Iterator[dict[str, str]]:
    """A real S3 API (OpenStack Swift, as in the tests) with an empty bucket; the variables that name it."""
    import boto3

    folder = Path(tempfile.mkdtemp(prefix="voicereel-bench-s3-"))
    ports = [process.free_port() for _ in range(4)]
    key, secret = "bench:bench", secrets.token_hex(16)
    command = [sys.executable, "-W", "ignore", "-m", "tests.swift", str(folder), ",".join(map(str, ports))]
    child = process.spawn([*command, key, secret], cwd=CHECKOUT)
    try:
        if not process.until(lambda: all(map(process.answers, ports)), seconds=60):
            raise SystemExit("The S3 server did not start.")
        address = f"http://127.0.0.1:{ports[0]}"
        keys = {"aws_access_key_id": key, "aws_secret_access_key": secret, "region_name": "us-east-1"}
        boto3.client("s3", endpoint_url=address, **keys).create_bucket(Bucket="bench")
        yield {
            "S3_ENDPOINT_URL": address,
            "S3_ACCESS_KEY": key,
            "S3_SECRET_KEY": secret,
            "S3_BUCKET": "bench",
        }
    finally:
        process.stop(child, signal.SIGTERM, seconds=5)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def web(port: int) -> Iterator[None]:
    command = [sys.executable, "-m", "gunicorn", "config.wsgi:application", "--bind", f"127.0.0.1:{port}"]
    child = process.spawn([*command, *GUNICORN], env={**os.environ, "PYTHONWARNINGS": "ignore"}, cwd=CHECKOUT)
    try:
        if not process.until(lambda: process.answers(port), seconds=30):
            raise SystemExit("The web server did not start.")
        yield
    finally:
        process.stop(child, signal.SIGTERM, seconds=10)


@dataclass(frozen=True)
class Customer:
    """An organization with money, room in every limit, a key and two files looked into."""

    organization: Any
    caller: Any
    key: str
    inputs: dict[str, str]

    def request(self, path: str, body: Any = None, **headers: str) -> bytes:
        """One request as it goes over the wire."""
        content = b"" if body is None else json.dumps(body).encode()
        lines = [
            f"{'GET' if body is None else 'POST'} {path} HTTP/1.1",
            "Host: 127.0.0.1",
            f"Authorization: Bearer {self.key}",
            "Accept: */*",
            *([] if body is None else ["Content-Type: application/json", f"Content-Length: {len(content)}"]),
            *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def customer() -> Customer:
    from django.db import transaction

    from accounts import keys
    from accounts.models import User
    from accounts.organizations import create_organization
    from accounts.scopes import ALL_SCOPES
    from billing import ledger
    from billing.models import Limits
    from providers.models import Route

    owner = User.objects.create_user("bench@example.com", secrets.token_hex())
    organization = create_organization("Bench", owner)
    with transaction.atomic():
        ledger.grant(organization, 10**17, reference="bench", reason="bench")
    limits = dict.fromkeys(
        ["reads_per_second", "requests_per_second", "submits_per_minute", "queued", "running"], PLENTY
    )
    Limits.objects.create(organization=organization, **limits)
    Route.objects.create(model=MODEL, provider="fake", organization=organization)
    _, text = keys.issue(organization, name="bench", by=owner, scopes=ALL_SCOPES)
    inputs = {"image": file(organization, "image"), "audio": file(organization, "audio")}
    return Customer(organization, keys.authenticate(text, None), text, inputs)


def file(organization: Any, kind: str) -> str:
    """A file as if it had been uploaded and probed: its id."""
    from jobs import storage
    from jobs.models import Asset

    row = Asset(organization=organization, origin="upload", kind=kind, status="ready", filename=kind)
    row.key = storage.new_key(organization.pk, row.id, kind)
    row.content_type = "image/jpeg" if kind == "image" else "audio/wav"
    row.duration_ms = 0 if kind == "image" else 4000
    row.width = row.height = 512 if kind == "image" else 0
    sample = SAMPLES / ("portrait.jpg" if kind == "image" else "speech.wav")
    storage.put(row.key, sample, content_type=row.content_type)
    row.bytes = sample.stat().st_size
    row.save(force_insert=True)
    return str(row.pk)


@dataclass(frozen=True)
class Load:
    """What a load generator saw: answers a second, and milliseconds at the median and at the 95th percentile."""

    rate: float
    p50: float
    p95: float
    cpu: float


def load(port: int, request: bytes, *, seconds: float, connections: int, expect: str) -> Load:
    """Fires one request again and again from a process of its own (`bench.load`)."""
    command = [sys.executable, "-m", "bench.load", str(port), str(seconds), str(connections), expect]
    done = subprocess.run(command, cwd=CHECKOUT, input=request, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr.decode()[-2000:])
    return Load(**json.loads(done.stdout))


def warm_up(port: int, request: bytes) -> None:
    """A few answers of each process, so that all have loaded what they need."""
    for _ in range(8):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            while connection.recv(1 << 16):
                pass


def interleaved(rounds: int, measures: dict[str, Callable[[], Load]]) -> dict[str, list[Load]]:
    """Each in turn, round after round: what else the machine does falls on all of them alike."""
    found: dict[str, list[Load]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            found[name].append(measure())
    return found
