"""An early pytest plugin: the real servers of the suite. It is loaded by `-p` before Django reads its settings.

The pytest process that a person started runs ONE PostgreSQL, ONE Redis and ONE S3 server in a temporary folder and
names them in the environment; xdist's workers inherit that. Already running servers can be lent by TEST_DATABASE_URL
and TEST_REDIS_URL. A missing part ends the run with one line.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from config.embedded.postgres import Postgres
from config.embedded.process import MissingPartError
from config.embedded.redis import Redis

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
FIXED = {
    "SECRET_KEY": "a-secret-for-tests-only",
    "DATABASE_POOL": "0",  # a pooled connection keeps a test database from being dropped
    "PUBLIC_URL": "http://testserver",
    "ALLOWED_HOSTS": "*",
    "FETCH_ALLOW_HOSTS": "",
    "DJANGO_ALLOW_ASYNC_UNSAFE": "1",  # playwright's sync API runs inside an event loop
}


class Services:
    """What this pytest process started."""

    def __init__(self) -> None:
        # Short and not under the checkout: the servers' logs and data go when the run ends.
        self.directory = Path(tempfile.mkdtemp(prefix="voicereel-test-"))
        # fsync stays on: switching it off gained nothing and would hide what production does.
        self.postgres = Postgres(self.directory / "postgres", settings={"max_connections": "300"})
        self.redis = Redis(self.directory / "redis", password=secrets.token_urlsafe(24), databases=64)

    def start(self) -> None:
        lent_database, lent_redis = os.environ.get("TEST_DATABASE_URL"), os.environ.get("TEST_REDIS_URL")
        if not lent_redis:
            self.redis.launch()
        if not lent_database:
            self.postgres.start()
        if not lent_redis:
            self.redis.wait()
        os.environ["DATABASE_URL"] = lent_database or self.postgres.url("voicereel")
        os.environ["REDIS_URL"] = lent_redis or self.redis.url()

    def stop(self) -> None:
        self.postgres.stop()
        self.redis.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    """Runs before pytest-django sets Django up."""
    os.environ.update(FIXED)
    if WORKER:
        # A Redis database of its own for each worker: gw0 has 1, gw1 has 2 ...
        number = int(WORKER.removeprefix("gw")) + 1
        os.environ["REDIS_URL"] = os.environ["REDIS_URL"].rpartition("/")[0] + f"/{number}"
    elif not early_config.known_args_namespace.help:
        services = Services()
        early_config.add_cleanup(services.stop)
        try:
            services.start()
        except (MissingPartError, RuntimeError) as error:
            raise pytest.UsageError(str(error)) from None
    return (yield)
