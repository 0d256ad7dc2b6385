"""An early pytest plugin: the real servers of the suite. `-p` loads it before Django reads its settings.

The pytest process that a person started runs ONE PostgreSQL, ONE Redis and ONE S3 server (Swift) in a
temporary folder and names them in the environment; xdist's workers inherit that. Running servers can be lent
instead by TEST_DATABASE_URL, TEST_REDIS_URL and S3_TEST_ENDPOINT (with S3_TEST_KEY, S3_TEST_SECRET).
A missing part ends the run with one line; nothing is skipped.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from functools import cache
from pathlib import Path

import pytest

from config.embedded import process
from config.embedded.home import CHECKOUT
from config.embedded.postgres import Postgres
from config.embedded.process import MissingPartError, StartError
from config.embedded.redis import Redis

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
NUMBER = int(WORKER.removeprefix("gw")) + 1 if WORKER else 0
FIXED = {
    "SECRET_KEY": "a-secret-for-tests-only",
    "DATABASE_POOL": "0",  # a pooled connection keeps a test database from being dropped
    "PUBLIC_URL": "http://testserver",
    "ALLOWED_HOSTS": "*",
    "FETCH_ALLOW_HOSTS": "",
    "FAKE_PROVIDER": "1",
    "DJANGO_ALLOW_ASYNC_UNSAFE": "1",  # playwright's sync API runs inside an event loop
}
# A test with one of these fixtures may store a file, so it waits for the S3 server. Pure tests do not.
STORING = {"db", "transactional_db", "live_server", "live_stack"}


class S3:
    """The S3 server: lent, or Swift on a folder."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.lent = os.environ.get("S3_TEST_ENDPOINT")
        self.child: subprocess.Popen[bytes] | None = None
        self.ports = [] if self.lent else [process.free_port() for _ in range(4)]
        os.environ["S3_ENDPOINT_URL"] = self.lent or f"http://127.0.0.1:{self.ports[0]}"
        os.environ["S3_ACCESS_KEY"] = os.environ.get("S3_TEST_KEY", "test:tester")
        os.environ["S3_SECRET_KEY"] = os.environ.get("S3_TEST_SECRET", secrets.token_hex(16))
        os.environ["S3_BUCKET"] = bucket_name()

    def launch(self) -> None:
        """Starts it without waiting."""
        if self.lent or self.child:
            return
        if not importlib.util.find_spec("swift"):
            raise MissingPartError(
                "An S3 server is missing: `make install` the test packages, or set S3_TEST_ENDPOINT."
            )
        ports = ",".join(str(port) for port in self.ports)
        command = [sys.executable, "-W", "ignore", "-m", "tests.swift", str(self.directory), ports]
        keys = [os.environ["S3_ACCESS_KEY"], os.environ["S3_SECRET_KEY"]]
        with (self.directory.parent / "swift.log").open("ab") as log:
            self.child = process.spawn([*command, *keys], output=log.fileno(), cwd=CHECKOUT)

    def stop(self) -> None:
        if self.child:
            process.stop(self.child, process.signal.SIGTERM, seconds=2)


class Services:
    """What this pytest process started."""

    def __init__(self) -> None:
        # Outside the checkout, with a short name; it goes when the run ends.
        self.directory = Path(tempfile.mkdtemp(prefix="voicereel-test-"))
        # fsync stays on: switching it off gained nothing and would hide what production does.
        self.postgres = Postgres(self.directory / "postgres", settings={"max_connections": "300"})
        self.redis = Redis(self.directory / "redis", password=secrets.token_urlsafe(24), databases=64)
        self.s3 = S3(self.directory / "swift")

    def start(self, *, s3_too: bool) -> None:
        lent_database, lent_redis = os.environ.get("TEST_DATABASE_URL"), os.environ.get("TEST_REDIS_URL")
        if s3_too:
            self.s3.launch()
        if not lent_redis:
            self.redis.launch()
        if not lent_database:
            self.postgres.start()
        if not lent_redis:
            self.redis.wait()
        os.environ["DATABASE_URL"] = lent_database or self.postgres.url("voicereel")
        os.environ["REDIS_URL"] = lent_redis or self.redis.url()

    def stop(self) -> None:
        self.s3.stop()
        self.postgres.stop()
        self.redis.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


services: Services | None = None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    """Runs before pytest-django sets Django up."""
    global services  # noqa: PLW0603  a plugin module is its own state
    os.environ.update(FIXED)
    options = early_config.known_args_namespace
    if WORKER:
        os.environ["REDIS_URL"] = redis_url(NUMBER)
        os.environ["S3_BUCKET"] = bucket_name()
    elif not options.help:
        services = Services()
        early_config.add_cleanup(services.stop)
        # The controller of parallel workers cannot know; a single process starts S3 when asked.
        parallel = bool(getattr(options, "numprocesses", None))
        try:
            services.start(s3_too=parallel)
        except StartError as error:
            raise pytest.UsageError(str(error)) from None
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if STORING & set(getattr(item, "fixturenames", ())):
        bucket()


def redis_url(number: int) -> str:
    """A Redis database of one's own: gw0 has 1, gw1 has 2 ... and their live stacks 33, 34 ..."""
    return f"{os.environ['REDIS_URL'].rpartition('/')[0]}/{number}"


def bucket_name(purpose: str = "test") -> str:
    return f"voicereel-{purpose}-{WORKER or 'main'}"


@cache
def bucket(purpose: str = "test") -> str:
    """Waits until the S3 server answers, and makes this process's bucket."""
    if services:
        services.s3.launch()
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.client(
        "s3",
        endpoint_url=os.environ["S3_ENDPOINT_URL"],
        aws_access_key_id=os.environ["S3_ACCESS_KEY"],
        aws_secret_access_key=os.environ["S3_SECRET_KEY"],
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, connect_timeout=1, retries={"max_attempts": 0}),
    )
    name = bucket_name(purpose)
    end = time.monotonic() + 30
    while True:
        try:
            client.create_bucket(Bucket=name)
        except client.exceptions.BucketAlreadyOwnedByYou:
            break
        except (BotoCoreError, ClientError) as error:
            if time.monotonic() > end:
                pytest.exit(f"The S3 server at {os.environ['S3_ENDPOINT_URL']} does not answer: {error}", 3)
            time.sleep(0.1)
        else:
            break
    client.close()
    return name
