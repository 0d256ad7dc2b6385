"""How the ledger writes: the lock that makes one writer per organization, and the one statement that posts.

Nothing but `billing.ledger` imports this. A hold is one call of a function in the database, every other verb two or
three statements whatever it posts, because the organization's other requests wait while it holds the lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.transaction import TransactionManagementError

from billing.free import Terms
from billing.models import Account, Hold, Kind, TransferKind

# NO KEY: the foreign keys of other tables may still be checked against the row while we hold it.
LOCK = """
SELECT FROM billing_account a
WHERE a.organization_id = %s AND a.kind = 'available'
FOR NO KEY UPDATE
"""
# A hold never changes its organization, so reading that before the lock is safe; the rest is read after it.
LOCK_OF_HOLD = """
SELECT FROM billing_hold h
JOIN billing_account a ON a.organization_id = h.organization_id AND a.kind = 'available'
WHERE h.job_id = %s
FOR NO KEY UPDATE OF a
"""


def lock(organization_id: UUID) -> None:
    """Until the caller's transaction ends nobody else posts for this organization. Opens its accounts on first use."""
    if one(LOCK, [organization_id]) is None:
        accounts = [Account(organization_id=organization_id, kind=kind) for kind in Kind]
        # Two first users may race: the loser waits for the winner's commit, inserts nothing, and queues.
        Account.objects.bulk_create(accounts, ignore_conflicts=True)
        one(LOCK, [organization_id])


def lock_by_job(job_id: UUID) -> bool:
    """The same for the organization of the job's hold; false where the job has none."""
    return one(LOCK_OF_HOLD, [job_id]) is not None


@dataclass(frozen=True)
class Move:
    reference: str
    kind: TransferKind
    debit: Kind
    credit: Kind
    amount_micros: int


# Limits are checked in `billing_facts` (0006_place_hold) and nowhere else; giving money back is never refused.
FACTS = """facts AS (
    SELECT * FROM billing_facts(%(organization)s, %(key)s, %(job)s, %(funding)s, %(month)s, %(needed)s)
), """
PLACE = """
SELECT * FROM billing_place_hold(%(organization)s, %(job)s, %(key)s, %(model)s, %(reference)s, %(price)s,
                                 %(unit)s, %(unit_micros)s, %(unit_takes)s)
"""

# A posting begins with no hold or a changed one; where `held` comes out empty nothing else is written. PostgreSQL
# runs every part of a WITH exactly once, whether or not another part reads it. The first hold opens the rows of
# key and month; later changes are no upserts, because the row an upsert proposes must pass the check against
# negatives even when it is never inserted.
NO_HOLD = "held AS (SELECT NULL::bigint AS id, now() AS created_at)"
CHANGED_HOLD = """held AS (
    UPDATE billing_hold
    SET amount_micros = %(amount)s, captured_micros = %(captured)s, status = %(status)s, raises = %(raises)s,
        billed_ms = %(billed_ms)s, free = %(free)s, free_micros = %(free_micros)s,
        resolved_at = CASE WHEN %(status)s = 'open' THEN NULL ELSE now() END
    WHERE job_id = %(job)s AND {given}
    RETURNING id, created_at
), by_key AS (
    UPDATE billing_keyspend
    SET held_micros = held_micros + %(held)s, spent_micros = spent_micros + %(captured)s
    FROM held WHERE key_id = billing_key_chain(%(key)s)
), by_month AS (
    UPDATE billing_monthspend
    SET held_micros = held_micros + %(held)s, spent_micros = spent_micros + %(captured)s
    FROM held WHERE organization_id = %(organization)s AND month = %(month)s
), by_free AS (
    UPDATE billing_freeuse SET held = billing_freeuse.held + %(free_held)s, used = used + %(free_used)s
    FROM held WHERE organization_id = %(organization)s AND model = %(model)s AND (%(free_held)s, %(free_used)s) <> (0, 0)
)"""
OPEN_FREE_USE = """
INSERT INTO billing_freeuse (organization_id, model, held, used) VALUES (%s, %s, 0, 0) ON CONFLICT DO NOTHING
"""
RAISED_HOLD = CHANGED_HOLD.format(given="(SELECT refusal IS NULL FROM facts)")
RESOLVED_HOLD = CHANGED_HOLD.format(given="status = 'open'")
MOVES = """, posted AS (
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
"""
WRITTEN = "SELECT (SELECT count(*) FROM posted), held.id, held.created_at"
POST = "WITH {held}" + MOVES + WRITTEN + " FROM held"
POST_IF_IT_FITS = (
    "WITH " + FACTS + RAISED_HOLD + MOVES + WRITTEN + ", facts.* FROM facts LEFT JOIN held ON true"
)


@dataclass(frozen=True)
class Facts:
    """What decided a hold, read under the lock. The order is that of the columns of `facts`."""

    has_hold: bool
    month: date
    funding: str
    spendable: int
    cap: int | None
    key_used: int
    budget: int | None
    month_used: int
    refusal: str | None


def place(hold: Hold, reference: str, terms: Terms | None) -> Facts:
    """Locks, takes what is free, inserts the hold and posts the rest if every limit allows it: then, and only then, the
    hold has a pk. Its amount is the whole price before, what is to be paid afterwards.
    """
    values = {
        "organization": hold.organization_id,
        "job": hold.job_id,
        "key": hold.key_id,
        "model": hold.model,
        "reference": reference,
        "price": hold.amount_micros,
        "unit": terms.unit if terms else None,
        "unit_micros": terms.micros if terms else 0,
        "unit_takes": terms.takes if terms else 0,
    }
    row = one(PLACE, values)
    if row is None:
        lock(hold.organization_id)  # opens the accounts
        row = one(PLACE, values)
    assert row is not None
    facts = Facts(*row[4:])
    hold.free, hold.free_micros = row[2], row[3]
    hold.amount_micros -= hold.free_micros
    if row[0] is not None:
        hold.pk, hold.created_at, hold.month, hold.funding = row[0], row[1], facts.month, facts.funding
    return facts


def change(hold: Hold, move: Move, *, by: int, free_by: int) -> Facts | None:
    """Saves the hold and posts its move; the facts that forbid it if a limit does. `free_by`: thousandths more."""
    if free_by:
        with connection.cursor() as cursor:
            cursor.execute(OPEN_FREE_USE, [hold.organization_id, hold.model])
    values = {
        **_values(hold.organization_id, [move]),
        **_values_of(hold),
        "held": by,
        "needed": by,
        "free_held": free_by,
        "free_used": 0,
    }
    row = one(POST_IF_IT_FITS, values)
    assert row is not None
    facts = Facts(*row[3:])
    if facts.refusal:
        return facts
    _written(row, [move])
    return None


def resolve(hold: Hold, moves: Sequence[Move], *, free_held: int, free_used: int, note: str = "") -> None:
    """Saves the hold, now captured or released, and posts what becomes of its money. Of the thousandths that were held
    `free_used` are used up.
    """
    values = {
        **_values(hold.organization_id, moves, note=note),
        **_values_of(hold),
        "held": -hold.amount_micros,
        "free_held": -free_held,
        "free_used": free_used,
    }
    _written(one(POST.format(held=RESOLVED_HOLD), values), moves)


def deposit(organization_id: UUID, move: Move, *, note: str, actor: str) -> None:
    values = {**_values(organization_id, [move], note=note, actor=actor), "job": None, "key": None}
    _written(one(POST.format(held=NO_HOLD), values), [move])


def _written(row: tuple[Any, ...] | None, moves: Sequence[Move]) -> None:
    """A missing account would drop a move in silence: nothing may be committed then."""
    assert row is not None
    assert row[0] == sum(1 for move in moves if move.amount_micros)


def _values(
    organization_id: UUID, moves: Sequence[Move], *, note: str = "", actor: str = ""
) -> dict[str, Any]:
    """A move of nothing is not posted."""
    real = [move for move in moves if move.amount_micros]
    return {
        "organization": organization_id,
        "references": [move.reference for move in real],
        "kinds": [move.kind.value for move in real],
        "debits": [move.debit.value for move in real],
        "credits": [move.credit.value for move in real],
        "amounts": [move.amount_micros for move in real],
        "note": note[:300],
        "actor": actor,
    }


def _values_of(hold: Hold) -> dict[str, Any]:
    return {
        "job": hold.job_id,
        "key": hold.key_id,
        "month": hold.month,
        "model": hold.model,
        "amount": hold.amount_micros,
        "captured": hold.captured_micros,
        "billed_ms": hold.billed_ms,
        "free": hold.free,
        "free_micros": hold.free_micros,
        "status": str(hold.status),
        "funding": hold.funding or None,
        "raises": hold.raises,
    }


def one(sql: str, values: Sequence[Any] | dict[str, Any]) -> tuple[Any, ...] | None:
    if not connection.in_atomic_block:
        raise TransactionManagementError("The ledger's verbs run inside transaction.atomic().")
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        row: tuple[Any, ...] | None = cursor.fetchone()
        return row
