"""The database's clock, set ahead at will: hours of retries pass in a moment, and nothing is moved back by hand."""

from __future__ import annotations

from django.db import connection

# A function of ours stands before the server's own on the search path; column defaults name theirs by number, so they
# are set anew. All of it ends with the test's transaction.
SETUP = """
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
CREATE SCHEMA ahead;
CREATE FUNCTION ahead.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT pg_catalog.clock_timestamp() + current_setting('ahead.by')::interval
$$;
SET LOCAL ahead.by = '0 s';
SET LOCAL search_path = ahead, public, pg_catalog;
"""
DEFAULTS = """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = 'public' AND table_name LIKE 'jobs_%' AND column_default ILIKE 'statement_timestamp()'
"""


class DatabaseClock:
    def __init__(self) -> None:
        self.ahead = 0.0
        with connection.cursor() as cursor:
            cursor.execute(DEFAULTS)
            columns = cursor.fetchall()
            cursor.execute(SETUP)
            for table, column in columns:
                cursor.execute(f"ALTER TABLE {table} ALTER {column} SET DEFAULT ahead.statement_timestamp()")

    def advance(self, seconds: float) -> None:
        self.ahead += seconds
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('ahead.by', %s, true)", [f"{self.ahead} s"])
