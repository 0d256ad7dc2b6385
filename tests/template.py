"""A pytest plugin: the database as the migrations leave it, made once. Workers and the live stack start from copies.

All migrations take half a minute. What they leave is kept in .cache for as long as neither they nor the locked
packages nor the settings change. Migrations themselves are proved where nothing is given: tests/embedded/test_up.py.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from config.embedded.home import CHECKOUT
from config.embedded.postgres import binary

NAME = "migrated_for_tests"
KEPT = CHECKOUT / ".cache" / "migrated"
LOCK = 7_208_116


def address(database: str) -> str:
    """Of a database of the suite's server."""
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{database}").geturl()


def copy(name: str) -> str:
    """A fresh database with everything that migrations make, and its address."""
    ensure()
    with psycopg.connect(address("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(NAME))
        )
    return address(name)


def ensure() -> str:
    """The template's name, once it is whole; several workers may ask at a time."""
    draft = f"{NAME}_draft"
    with psycopg.connect(address("postgres"), autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        if connection.execute("SELECT FROM pg_database WHERE datname = %s", [NAME]).rowcount:
            return NAME
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(draft)))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(draft)))
        fill(address(draft))
        connection.execute(
            sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(draft), sql.Identifier(NAME))
        )
    return NAME


def fill(url: str) -> None:
    kept = KEPT / f"{fingerprint()}.sql"
    if kept.exists():
        run(binary("psql"), "--quiet", "--no-psqlrc", "--single-transaction", "--file", kept, url)
        return
    run(sys.executable, "manage.py", "migrate", "--verbosity", "0", url=url)
    if not os.environ.get("TEST_DATABASE_URL"):  # a lent server may be of another version than our pg_dump
        keep(url, kept)


def keep(url: str, kept: Path) -> None:
    KEPT.mkdir(parents=True, exist_ok=True)
    draft = kept.with_suffix(f".{os.getpid()}")
    run(binary("pg_dump"), "--no-owner", "--file", draft, url)
    for old in KEPT.glob("*.sql"):
        old.unlink(missing_ok=True)
    draft.replace(kept)


def fingerprint() -> str:
    """Of all that decides what the migrations leave."""
    files = [CHECKOUT / "config/settings.py", CHECKOUT / "requirements/dev.lock"]
    files += sorted(CHECKOUT.glob("*/migrations/*.py"))
    told = hashlib.sha256()
    for file in files:
        told.update(str(file.relative_to(CHECKOUT)).encode() + b"\0" + file.read_bytes())
    return told.hexdigest()[:24]


def run(*words: str | Path, url: str = "") -> None:
    env = {**os.environ, "DATABASE_URL": url} if url else None
    done = subprocess.run(words, cwd=CHECKOUT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.exit(f"{Path(words[0]).name} ended with {done.returncode}:\n{done.stdout}{done.stderr}", 3)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix) -> None:
    from django.db import connection

    connection.settings_dict["TEST"]["TEMPLATE"] = ensure()
