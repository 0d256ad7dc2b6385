"""How the ledger writes: the lock that makes one writer per organization, and the one statement that posts.

Nothing but `billing.ledger` imports this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.transaction import TransactionManagementError

from billing.models import Account, Hold, Kind, TransferKind

# NO KEY: the foreign keys of other tables may still be checked against the row while we hold it.
LOCK = """
SELECT a.balance_micros FROM billing_account a
WHERE a.organization_id = %s AND a.kind = 'available'
FOR NO KEY UPDATE
"""
# A hold never changes its organization, so reading that before the lock is safe; the rest is read after it.
LOCK_OF_HOLD = """
SELECT a.balance_micros FROM billing_hold h
JOIN billing_account a ON a.organization_id = h.organization_id AND a.kind = 'available'
WHERE h.job_id = %s
FOR NO KEY UPDATE OF a
"""


def lock(organization_id: UUID) -> int:
    """The available balance, locked until the caller's transaction ends. Opens the accounts on first use."""
    row = one(LOCK, [organization_id])
    if row is None:
        accounts = [Account(organization_id=organization_id, kind=kind) for kind in Kind]
        # Two first users may race: the loser waits for the winner's commit, inserts nothing, and queues.
        Account.objects.bulk_create(accounts, ignore_conflicts=True)
        row = one(LOCK, [organization_id])
    assert row is not None
    return int(row[0])


def lock_by_job(job_id: UUID) -> int | None:
    """The same for the organization of the job's hold; None where the job has none."""
    row = one(LOCK_OF_HOLD, [job_id])
    return None if row is None else int(row[0])


@dataclass(frozen=True)
class Move:
    reference: str
    kind: TransferKind
    debit: Kind
    credit: Kind
    amount_micros: int


# The three ways a posting begins: with no hold, with a new one, with a change of one. PostgreSQL runs every
# part of a WITH exactly once, whether or not another part reads it. The first hold opens the rows of key
# and month; later changes are no upserts, because the row an upsert proposes must pass the check against
# negatives even when it is never inserted.
NO_HOLD = "held AS (SELECT NULL::bigint AS id, now() AS created_at)"
NEW_HOLD = """held AS (
    INSERT INTO billing_hold (job_id, organization_id, key_id, model, amount_micros, captured_micros, status,
                              funding, raises, month, created_at)
    VALUES (%(job)s, %(organization)s, %(key)s, %(model)s, %(amount)s, 0, 'open',
            %(funding)s, 0, %(month)s, now())
    RETURNING id, created_at
), by_key AS (
    INSERT INTO billing_keyspend AS s (key_id, held_micros, spent_micros)
    SELECT %(key)s, %(held)s, 0 WHERE %(key)s IS NOT NULL
    ON CONFLICT (key_id) DO UPDATE SET held_micros = s.held_micros + excluded.held_micros
), by_month AS (
    INSERT INTO billing_monthspend AS s (organization_id, month, held_micros, spent_micros)
    VALUES (%(organization)s, %(month)s, %(held)s, 0)
    ON CONFLICT (organization_id, month) DO UPDATE SET held_micros = s.held_micros + excluded.held_micros
)"""
OLD_HOLD = """held AS (
    UPDATE billing_hold
    SET amount_micros = %(amount)s, captured_micros = %(captured)s, status = %(status)s, raises = %(raises)s,
        resolved_at = CASE WHEN %(status)s = 'open' THEN NULL ELSE now() END
    WHERE job_id = %(job)s
    RETURNING id, created_at
), by_key AS (
    UPDATE billing_keyspend
    SET held_micros = held_micros + %(held)s, spent_micros = spent_micros + %(captured)s
    WHERE key_id = %(key)s
), by_month AS (
    UPDATE billing_monthspend
    SET held_micros = held_micros + %(held)s, spent_micros = spent_micros + %(captured)s
    WHERE organization_id = %(organization)s AND month = %(month)s
)"""
POST = """
WITH {beginning}, posted AS (
    INSERT INTO billing_transfer (reference, kind, debit_id, credit_id, amount_micros, hold_id, job_id,
                                  organization_id, key_id, note, actor, created_at)
    SELECT m.reference, m.kind, d.id, c.id, m.amount, held.id, %(job)s,
           %(organization)s, %(key)s, %(note)s, %(actor)s, now()
    FROM held, unnest(%(references)s::text[], %(kinds)s::text[], %(debits)s::text[], %(credits)s::text[],
                      %(amounts)s::bigint[]) AS m (reference, kind, debit, credit, amount)
    JOIN billing_account d ON d.organization_id = %(organization)s AND d.kind = m.debit
    JOIN billing_account c ON c.organization_id = %(organization)s AND c.kind = m.credit
    RETURNING debit_id, credit_id, amount_micros
), changed AS (
    SELECT account_id, sum(micros) AS micros FROM (
        SELECT debit_id AS account_id, -amount_micros AS micros FROM posted
        UNION ALL SELECT credit_id, amount_micros FROM posted
    ) sides GROUP BY account_id
), balances AS (
    UPDATE billing_account a SET balance_micros = a.balance_micros + changed.micros
    FROM changed WHERE a.id = changed.account_id
)
SELECT held.id, held.created_at, (SELECT count(*) FROM posted) FROM held
"""


def post(
    organization_id: UUID,
    moves: Sequence[Move],
    *,
    hold: Hold | None = None,
    held: int = 0,
    note: str = "",
    actor: str = "",
) -> None:
    """Posts the moves that are not empty, and changes every projection with them.

    A new `hold` is inserted, an old one saved; `held` is by how much its key and its month hold more.
    """
    moves = [move for move in moves if move.amount_micros]
    values = {
        "organization": organization_id,
        "references": [move.reference for move in moves],
        "kinds": [move.kind.value for move in moves],
        "debits": [move.debit.value for move in moves],
        "credits": [move.credit.value for move in moves],
        "amounts": [move.amount_micros for move in moves],
        "held": held,
        "note": note[:300],
        "actor": actor,
        **_values_of(hold),
    }
    beginning = NO_HOLD if hold is None else NEW_HOLD if hold.pk is None else OLD_HOLD
    row = one(POST.format(beginning=beginning), values)
    assert row is not None
    assert row[2] == len(moves)
    if hold is not None:
        hold.pk, hold.created_at = row[0], row[1]


def _values_of(hold: Hold | None) -> dict[str, Any]:
    if hold is None:
        return {"job": None, "key": None}
    return {
        "job": hold.job_id,
        "key": hold.key_id,
        "month": hold.month,
        "model": hold.model,
        "amount": hold.amount_micros,
        "captured": hold.captured_micros,
        "status": str(hold.status),
        "funding": str(hold.funding),
        "raises": hold.raises,
    }


def one(sql: str, values: Sequence[Any] | dict[str, Any]) -> tuple[Any, ...] | None:
    if not connection.in_atomic_block:
        raise TransactionManagementError("The ledger's verbs run inside transaction.atomic().")
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        row: tuple[Any, ...] | None = cursor.fetchone()
        return row
