"""A pytest plugin: after a test with real commits the database is as the migrations left it.

Django's own way cannot serve here. It truncates append-only tables, which their triggers refuse, and takes away
the rows that migrations wrote: prices, tiers, routes. Here those rows are copied aside once; afterwards every
table is emptied and the copies are put back, in one round trip and with triggers and foreign keys asleep.
"""

from __future__ import annotations

from django.db import connection
from django.test import TransactionTestCase

KEPT = "kept_by_tests"
# Only a superuser may let triggers sleep; the roles a platform runs as need not be one.
ASLEEP = "SET session_replication_role = replica; {}; SET session_replication_role = DEFAULT"
TABLES = """
SELECT quote_ident(tablename) FROM pg_tables
WHERE schemaname = 'public' AND tablename <> 'django_migrations' ORDER BY tablename
"""

_restore = ""


def _setup(_class: type[TransactionTestCase]) -> None:
    """Before the first committing test: all tests before it rolled back, so every row is a migration's."""
    global _restore  # noqa: PLW0603  one database a process
    if _restore:
        return
    with connection.cursor() as cursor:
        cursor.execute(TABLES)
        tables = [row[0] for row in cursor.fetchall()]
        cursor.execute(f"DROP SCHEMA IF EXISTS {KEPT} CASCADE; CREATE SCHEMA {KEPT}")
        seeded = [table for table in tables if _has_rows(cursor, table)]
        for table in seeded:
            cursor.execute(f"CREATE TABLE {KEPT}.{table} AS TABLE public.{table}")
    emptied = [f"DELETE FROM public.{table}" for table in tables]
    refilled = [f"INSERT INTO public.{table} SELECT * FROM {KEPT}.{table}" for table in seeded]
    _restore = ASLEEP.format("; ".join(emptied + refilled))


def _has_rows(cursor, table: str) -> bool:
    cursor.execute(f"SELECT EXISTS (SELECT FROM public.{table})")
    return cursor.fetchone()[0]


def _teardown(_case: TransactionTestCase) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_restore)


TransactionTestCase._fixture_setup = classmethod(_setup)
TransactionTestCase._fixture_teardown = _teardown
