"""A database of the size that years leave behind: jobs, their money, attempts, files, events, webhooks. All in SQL.

    python -m bench.seed_big --url postgresql://… [--jobs 5000000]

The database has been migrated and is otherwise empty. A thousand organizations share the jobs unevenly, a tenth of
them belongs to the largest, a few jobs to the last but one (FEW), none to the last (NONE). Of a hundred jobs 92
succeeded, 5 failed, 2 were canceled, 1 expired; the newest 200 are open. Each has four transfers (open ones two), an
attempt (every tenth two), an output file and two events; every fifth a delivery with its log, every tenth an audit
entry, every fiftieth rows of Stripe, every thousandth a proposal. The same number makes the same rows.

Nothing here is how the product writes: triggers and foreign keys sleep (`session_replication_role`), indexes are
built at the end, and the balances are folded from the transfers. `check_ledger` then finds the books right.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import psycopg
from psycopg import sql

ORGANIZATIONS = 1000
LARGEST, FEW, NONE = "tenant-1", f"tenant-{ORGANIZATIONS - 1}", f"tenant-{ORGANIZATIONS}"
OPEN = 200
DAYS = 180
RATE = 30_000  # micro-dollars a second
MODELS = ("wan-2.2-s2v", "wan-2.2-animate", "emo-v1")

# What stands in a column without a default that no list below names: a later migration does not break the bench.
BLANK = {
    "boolean": "false",
    "jsonb": "'{}'",
    "ARRAY": "'{}'",
    "timestamp with time zone": "now()",
    "date": "now()::date",
    "bytea": "''",
    "uuid": "gen_random_uuid()",
}
NUMBERS = {"smallint", "integer", "bigint", "double precision", "numeric"}

# One row for each job, from which all tables are filled. The dice are 0 to 9999 and the same for the same number.
JOBS = """
CREATE UNLOGGED TABLE seed_job AS
SELECT i, org, at, id, model, status, key, length_ms,
       {rate} * (length_ms / 1000) AS quote,
       {rate} * LEAST(5, length_ms / 1000) AS least
FROM (
    SELECT i, at, org,
           (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(hash, 1, 3) || '8'
            || substr(hash, 4, 15))::uuid AS id,
           (ARRAY[{models}])[1 + dice2 % {kinds}] AS model,
           CASE WHEN i > {jobs} - {open} THEN CASE i % 2 WHEN 0 THEN 'queued' ELSE 'running' END
                WHEN dice2 % 100 < 92 THEN 'succeeded' WHEN dice2 % 100 < 97 THEN 'failed'
                WHEN dice2 % 100 < 99 THEN 'canceled' ELSE 'expired' END AS status,
           CASE WHEN dice2 % 4 > 0 THEN md5('key' || org || '-' || dice2 % 2)::uuid END AS key,
           (6 + dice2 % 55) * 1000 AS length_ms
    FROM (
        SELECT i, now() - interval '{days} days' * (({jobs} - i)::float8 / {jobs}) AS at,
               CASE WHEN i % ({jobs} / 10) = 5 THEN GREATEST({organizations} - 1, 1)
                    ELSE 1 + floor(GREATEST({organizations} - 2, 1) * power(((i * 2654435761) % 4294967296) % 10000 / 10000.0, 3))::int
               END AS org,
               ((i * 2246822519) % 4294967296) / 7 % 10000 AS dice2,
               md5('job' || i) AS hash
        FROM generate_series(1::bigint, {jobs}) AS i
    ) thrown
) told
"""
ORG = "md5('org' || o)::uuid"
OF_ORG = "md5('org' || j.org)::uuid"
FINAL = "j.status NOT IN ('queued', 'running')"
PAID = f"j.quote - {RATE}"


def account(kind: str, organization: str = "j.org") -> str:
    place = ("available", "held", "revenue", "funding").index(kind) + 1
    return f"4 * ({organization} - 1) + {place}"


def id_of(what: str) -> str:
    """An id that begins with the time of its job, as the product's do."""
    hash_ = f"md5({what})"
    return (
        f"(left(j.id::text, 13) || '-7' || substr({hash_}, 1, 3) || '-8' || substr({hash_}, 4, 3)"
        f" || '-' || substr({hash_}, 7, 12))::uuid"
    )


ATTEMPT, ASSET, DELIVERY = map(id_of, ("'attempt' || n || '-' || j.i", "'asset' || j.i", "'delivery' || j.i"))
GOOD, BAD = "j.status = 'succeeded'", f"{FINAL} AND j.status <> 'succeeded'"
# A job's transfers, in one pass over the jobs, so that the rows lie as the product writes them: by id.
MOVES = (
    (1, "hold", "'hold:' || j.id", "available", "held", "j.least", "true"),
    (2, "hold_raise", "'hold:' || j.id || ':raise:1'", "available", "held", f"{PAID} - j.least", "true"),
    (3, "capture", "'capture:' || j.id", "held", "revenue", f"{PAID} - {RATE}", GOOD),
    (4, "release", "'release:' || j.id", "held", "available", f"{RATE}::bigint", GOOD),
    (3, "hold_raise", "'hold:' || j.id || ':raise:2'", "available", "held", f"{RATE}::bigint", BAD),
    (4, "release", "'release:' || j.id", "held", "available", "j.quote", BAD),
)
TRANSFERS = f"""
SELECT {
    ORGANIZATIONS
} + 4 * (j.i - 1) + m.number AS id, m.reference, m.kind, m.debit AS debit_id, m.credit AS credit_id,
       m.micros AS amount_micros, j.i AS hold_id, j.id AS job_id, {
    OF_ORG
} AS organization_id, j.key AS key_id,
       j.at AS created_at
FROM seed_job j, LATERAL (VALUES {
    ", ".join(
        f"({number}, {reference}, '{kind}', {account(debit)}, {account(credit)}, {micros}, {when})"
        for number, kind, reference, debit, credit, micros, when in MOVES
    )
}) AS m (number, reference, kind, debit, credit, micros, given)
WHERE m.given AND m.micros > 0
"""
HELD = f"CASE WHEN {BAD} THEN j.quote ELSE {PAID} END"
TAKEN = f"CASE WHEN {GOOD} THEN {PAID} - {RATE} ELSE 0 END"
ENDED = f"CASE WHEN {FINAL} THEN j.at + interval '40 seconds' END"


def rows(jobs: int) -> Iterator[tuple[str, str]]:
    """Each table with the query whose columns fill it."""
    organizations = f"generate_series(1, {ORGANIZATIONS}) AS o"
    yield (
        "accounts_organization",
        f"SELECT {ORG} AS id, 'Tenant ' || o AS name, 'tenant-' || o AS slug, 'prepaid' AS billing_mode, 30 AS retention_days,"
        f" now() - interval '{DAYS} days' AS created_at FROM {organizations}",
    )
    yield (
        "accounts_user",
        f"SELECT o + 1000 AS id, 'owner' || o || '@seed.example' AS email, true AS is_active FROM {organizations}",
    )
    yield (
        "accounts_member",
        f"SELECT o AS id, {ORG} AS organization_id, o + 1000 AS user_id, 'owner' AS role FROM {organizations}",
    )
    yield (
        "accounts_apikey",
        f"SELECT md5('key' || o || '-' || n)::uuid AS id, {ORG} AS organization_id, o + 1000 AS created_by_id, 'key ' || n AS name,"
        f" sha256(('key' || o || '-' || n)::bytea) AS digest, 'seed' AS last4 FROM {organizations}, generate_series(0, 1) AS n",
    )
    yield (
        "billing_account",
        f"SELECT 4 * (o - 1) + k.place AS id, {ORG} AS organization_id, k.kind FROM {organizations},"
        " unnest(ARRAY['available', 'held', 'revenue', 'funding']) WITH ORDINALITY AS k (kind, place)",
    )
    yield "billing_limits", f"SELECT {ORG} AS organization_id FROM {organizations}"
    yield (
        "jobs_job",
        f"SELECT j.id, {OF_ORG} AS organization_id, j.key AS key_id, CASE WHEN j.key IS NULL THEN j.org + 1000 END AS user_id,"
        f" CASE WHEN j.key IS NULL THEN 'rest' ELSE (ARRAY['rest', 'wavespeed', 'dashscope', 'inferencesh'])[1 + j.i % 4] END"
        f' AS dialect, j.model, \'{{"image": {{}}, "audio": {{}}}}\'::jsonb AS inputs,'
        " jsonb_build_object('prompt', 'A person tells of day ' || j.i % 997, 'resolution', '480p') AS options,"
        f" j.status, CASE WHEN {GOOD} THEN 1.0 ELSE 0.3 END AS progress, j.length_ms, j.quote AS quoted_micros,"
        f" CASE WHEN {GOOD} THEN {PAID} - {RATE} WHEN {FINAL} THEN 0 END AS charged_micros,"
        " CASE j.status WHEN 'failed' THEN (ARRAY['provider_failed', 'input_unsuitable', 'timed_out'])[1 + j.i % 3] ELSE '' END"
        " AS error_code, j.at + interval '1 hour' AS deadline_at, j.at AS created_at, j.at AS queued_at,"
        f" CASE WHEN j.status <> 'queued' THEN j.at + interval '2 seconds' END AS started_at, {ENDED} AS finished_at"
        " FROM seed_job j",
    )
    yield (
        "billing_hold",
        f"SELECT j.i AS id, j.id AS job_id, {OF_ORG} AS organization_id, j.key AS key_id, j.model, {HELD} AS amount_micros,"
        f" {TAKEN} AS captured_micros, CASE WHEN {GOOD} THEN j.length_ms ELSE 0 END AS billed_ms,"
        f" CASE WHEN {GOOD} THEN 'captured' WHEN {FINAL} THEN 'released' ELSE 'open' END AS status, 'prepaid' AS funding,"
        f" CASE WHEN {BAD} THEN 2 ELSE 1 END AS raises, date_trunc('month', j.at AT TIME ZONE 'UTC')::date AS month,"
        f" j.at AS created_at, {ENDED} AS resolved_at FROM seed_job j",
    )
    grants = (
        f"SELECT o AS id, 'grant:seed-' || o AS reference, 'grant' AS kind, {account('funding', 'o')} AS debit_id,"
        f" {account('available', 'o')} AS credit_id, {10**15} AS amount_micros, NULL::bigint AS hold_id, NULL::uuid AS job_id,"
        f" {ORG} AS organization_id, NULL::uuid AS key_id, now() - interval '{DAYS + 1} days' AS created_at FROM {organizations}"
    )
    yield "billing_transfer", f"{grants} UNION ALL {TRANSFERS}"
    yield (
        "jobs_attempt",
        f"SELECT {ATTEMPT} AS id, j.id AS job_id, n AS number, 1 + j.i % 4 AS route_id,"
        " (ARRAY['local', 'wavespeed', 'dashscope', 'inferencesh'])[1 + j.i % 4] AS provider, 'seed-' || n || '-' || j.i AS tag,"
        f" 'x' || n || '-' || j.i AS external_id, CASE WHEN n < last THEN 'failed' WHEN {GOOD} THEN 'succeeded'"
        " WHEN j.status = 'running' THEN 'running' ELSE 'failed' END AS status, 12000 * (j.length_ms / 1000) AS cost_micros,"
        f" j.at AS created_at, j.at AS submitted_at, {ENDED} AS finished_at, true AS cleared"
        " FROM (SELECT *, CASE WHEN i % 10 = 0 THEN 2 ELSE 1 END AS last FROM seed_job) j, generate_series(1, last) AS n"
        " WHERE j.status <> 'queued'",
    )
    yield (
        "jobs_asset",
        f"SELECT {ASSET} AS id, {OF_ORG} AS organization_id, j.id AS job_id, 'video' AS role, 'output' AS origin,"
        " 'ready' AS status, 'video' AS kind, 'seed/' || j.i AS key, 'video.mp4' AS filename, 'video/mp4' AS content_type,"
        f" 900000 + j.i % 100000 AS bytes, j.length_ms AS duration_ms, {ENDED} AS created_at FROM seed_job j WHERE {GOOD}",
    )
    yield (
        "jobs_jobevent",
        f"SELECT 2 * j.i + n AS id, {OF_ORG} AS organization_id, j.id AS job_id,"
        f" CASE n WHEN 0 THEN 'job.queued' ELSE 'job.' || j.status END AS type, j.at AS at"
        " FROM seed_job j, generate_series(0, 1) AS n",
    )
    fifth = f"seed_job j WHERE j.i % 5 = 0 AND {FINAL}"
    yield (
        "jobs_delivery",
        f"SELECT {DELIVERY} AS id, {OF_ORG} AS organization_id, j.id AS job_id, 'job.' || j.status AS type,"
        " 'rest' AS dialect, 'https://receiver.example/hook' AS url, 'receiver.example' AS lane, 'delivered' AS status, 1 AS tries,"
        f" 200 AS last_status, j.at AS created_at, {ENDED} AS finished_at FROM {fifth}",
    )
    yield (
        "jobs_deliverytry",
        f"SELECT j.i AS id, {DELIVERY} AS delivery_id, j.at AS at, 200 AS status, 31 AS duration_ms FROM {fifth}",
    )
    yield (
        "accounts_auditentry",
        f"SELECT j.i AS id, {OF_ORG} AS organization_id, j.org + 1000 AS actor_user_id,"
        " (ARRAY['job.cancel', 'key.issue', 'member.add', 'limits.change'])[1 + j.i / 10 % 4] AS action, 'job' AS target_type,"
        " j.id::text AS target_id, j.at AS created_at FROM seed_job j WHERE j.i % 10 = 0",
    )
    fiftieth = "seed_job j WHERE j.i % 50 = 0"
    yield (
        "billing_stripeevent",
        "SELECT j.i AS id, 'evt_' || j.i AS number, 'payment_intent.succeeded' AS kind, 'pi_' || j.i AS subject, 'done' AS state,"
        f" false AS waiting, j.at AS created_at, j.at AS done_at FROM {fiftieth}",
    )
    yield (
        "billing_usagereport",
        f"SELECT j.i AS id, {OF_ORG} AS organization_id, j.id AS job_id, j.model, 'second' AS unit, j.length_ms / 1000 AS units,"
        f" {RATE} AS micros_per_unit, {PAID} AS amount_micros, 'meters' AS collector, 'sent' AS state, false AS waiting,"
        f" j.at AS created_at FROM {fiftieth} AND {GOOD}",
    )
    yield (
        "billing_customer",
        f"SELECT {ORG} AS organization_id, 'cus_' || o AS number, false AS waiting,"
        f" now() - interval '{DAYS} days' + interval '1 minute' * o AS created_at FROM {organizations}",
    )
    number = f"md5('topup' || j.i)::uuid AS {{}}, {OF_ORG} AS organization_id"
    yield (
        "billing_topup",
        f"SELECT {number.format('id')}, j.i % 150 = 0 AS automatic, CASE WHEN j.i % 5000 = 0 THEN 'failed' WHEN j.i % 500 = 0"
        " THEN 'expired' ELSE 'paid' END AS status, 20000000 AS amount_micros, 2000 AS paid_cents, 20000000 AS credited_micros,"
        " 'cs_' || j.i AS checkout, 'pi_' || j.i AS payment, j.at AS paid_at, false AS waiting, j.at AS created_at"
        f" FROM {fiftieth}",
    )
    yield (
        "billing_reversal",
        f"SELECT md5('reversal' || j.i)::uuid AS id, {number.format('topup_id')}, CASE WHEN j.i % 1000 = 0 THEN 'dispute'"
        " ELSE 'refund' END AS kind, 're_' || j.i AS number, CASE WHEN j.i % 5000 = 0 THEN 'failed' ELSE 'succeeded' END AS status,"
        f" 100 AS cents, 1000000 AS taken_micros, 1 AS stages, false AS waiting, j.at AS created_at FROM {fiftieth}",
    )
    yield (
        "billing_invoice",
        f"SELECT j.i AS id, {OF_ORG} AS organization_id, 'in_' || j.i AS number, 'VR-' || j.i AS title, CASE WHEN j.i % 5000 = 0"
        " THEN 'void' WHEN j.i % 500 = 0 THEN 'open' ELSE 'paid' END AS status, 2000 AS total_cents, 'https://stripe.example/' || j.i"
        f" AS page, false AS waiting, j.at AS created_at, j.at AS issued_at FROM {fiftieth}",
    )
    yield (
        "billing_usageline",
        f"SELECT j.i AS id, {OF_ORG} AS organization_id, 500000 AS amount_micros, 50 AS cents, j.at AS closed_at,"
        f" 'ii_' || j.i AS number, false AS waiting, j.at AS created_at FROM {fiftieth}",
    )
    yield (
        "billing_proposal",
        f"SELECT j.i AS id, md5('proposal' || j.i)::uuid AS once, {OF_ORG} AS organization_id, CASE WHEN j.i % 5000 = 0 THEN 'write_off'"
        " ELSE 'grant' END AS kind, CASE WHEN j.i % 10000 = 0 THEN 'open' ELSE 'done' END AS status, 1000000 AS amount_micros,"
        " 'A gift.' AS reason, 1001 AS proposed_by_id, j.at AS created_at FROM seed_job j WHERE j.i % 1000 = 0",
    )
    yield (
        "billing_dayuse",
        f"SELECT row_number() OVER () AS id, u.* FROM (SELECT (j.at AT TIME ZONE 'UTC')::date AS day, {OF_ORG} AS organization_id,"
        " j.key AS key_id, j.model, '480p' AS resolution, (ARRAY['local', 'wavespeed', 'dashscope', 'inferencesh'])[1 + j.i % 4]"
        f" AS provider, 1 + j.i % 4 AS route_id, 'second' AS unit, count(*) AS jobs, sum(j.length_ms) AS billed_ms, sum({PAID} - {RATE}) AS micros,"
        f" sum(12000 * (j.length_ms / 1000)) AS cost_micros FROM seed_job j WHERE {GOOD} GROUP BY 1, 2, 3, 4, 6, 7) u",
    )
    fold = "sum(amount_micros) FILTER (WHERE status = 'open')"
    yield (
        "billing_keyspend",
        f"SELECT key_id, coalesce({fold}, 0) AS held_micros, sum(captured_micros) AS spent_micros FROM billing_hold"
        " WHERE key_id IS NOT NULL GROUP BY 1",
    )
    yield (
        "billing_monthspend",
        f"SELECT row_number() OVER () AS id, m.* FROM (SELECT organization_id, month, coalesce({fold}, 0) AS held_micros,"
        " sum(captured_micros) AS spent_micros FROM billing_hold GROUP BY 1, 2) m",
    )


BALANCES = """
UPDATE billing_account a SET balance_micros = t.micros FROM (
    SELECT account_id, sum(micros) AS micros FROM (
        SELECT debit_id AS account_id, -amount_micros AS micros FROM billing_transfer
        UNION ALL SELECT credit_id, amount_micros FROM billing_transfer
    ) sides GROUP BY 1
) t WHERE t.account_id = a.id
"""


def seed(url: str, jobs: int, *, say: bool = True) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("SET synchronous_commit = off")
        connection.execute("SET maintenance_work_mem = '512MB'")
        connection.execute("SET work_mem = '128MB'")
        told = {"jobs": jobs, "organizations": ORGANIZATIONS, "days": DAYS, "open": OPEN, "rate": RATE}
        models = ", ".join(f"'{model}'" for model in MODELS)
        connection.execute(sql.SQL(JOBS.format(**told, models=models, kinds=len(MODELS))))
        for table, query in rows(jobs):
            started = time.monotonic()
            later = take_indexes(connection, table)
            count = fill(connection, table, query)
            for definition in later:
                connection.execute(sql.SQL(definition))
            if say:
                print(f"{table:24} {count:>11,} rows {time.monotonic() - started:7.1f} s", flush=True)
        connection.execute(BALANCES)
        connection.execute("DROP TABLE seed_job")
        for table, _ in rows(jobs):
            go_on_counting(connection, table)
        connection.execute("VACUUM ANALYZE")


def go_on_counting(connection: psycopg.Connection, table: str) -> None:
    """The next row that the product inserts gets a number that is free."""
    named = connection.execute(
        "SELECT pg_get_serial_sequence(%s, 'id') WHERE EXISTS (SELECT FROM information_schema.columns"
        " WHERE table_name = %s AND column_name = 'id')",
        [table, table],
    ).fetchone()
    if named and named[0]:
        statement = sql.SQL("SELECT setval({}, max(id)) FROM {}")
        connection.execute(statement.format(sql.Literal(named[0]), sql.Identifier(table)))


def take_indexes(connection: psycopg.Connection, table: str) -> list[str]:
    """Drops the indexes that are no constraint; answers how each is made again."""
    found = connection.execute(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
        " WHERE indrelid = %s::regclass AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)",
        [table],
    ).fetchall()
    for name, _ in found:
        connection.execute(sql.SQL(f"DROP INDEX {name}"))
    return [definition for _, definition in found]


def fill(connection: psycopg.Connection, table: str, query: str) -> int:
    """Inserts the query's rows; a column that it leaves out and that has no default gets a blank."""
    named = [
        column.name
        for column in connection.execute(sql.SQL(f"SELECT * FROM ({query}) q LIMIT 0")).description or []
    ]
    wanting = connection.execute(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s"
        " AND is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO' AND column_name <> ALL(%s)",
        [table, named],
    ).fetchall()
    blanks = [BLANK.get(kind) or ("0" if kind in NUMBERS else "''") for _, kind in wanting]
    columns = sql.SQL(", ").join(map(sql.Identifier, [*named, *(name for name, _ in wanting)]))
    values = ", ".join([*(f'q."{name}"' for name in named), *blanks])
    statement = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM ({}) q").format(
        sql.Identifier(table), columns, sql.SQL(values), sql.SQL(query)
    )
    return connection.execute(statement).rowcount


def main() -> None:
    options = argparse.ArgumentParser(description="Fills a migrated database with years of jobs.")
    options.add_argument("--url", required=True)
    options.add_argument("--jobs", type=int, default=5_000_000)
    chosen = options.parse_args()
    seed(chosen.url, chosen.jobs)


if __name__ == "__main__":
    main()
