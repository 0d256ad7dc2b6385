"""The balance of each account after each transfer, as a statement shows it: read from the newest back to the oldest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from uuid import UUID

from django.core import signing
from django.db import connection

from billing.models import Transfer

# An organization's transfers rise in commit order, so what came later than one has a greater id. What came since is
# taken off today's balance, or what came until then is counted up: whichever end is nearer, by the ids. One statement:
# the balances and what they are made of are of one moment. An index holds all that it reads.
AFTER = """
WITH side AS MATERIALIZED (
    SELECT %(id)s - min(id) < max(id) - %(id)s AS early FROM (
        (SELECT id FROM billing_transfer WHERE organization_id = %(organization)s ORDER BY id LIMIT 1) UNION ALL
        (SELECT id FROM billing_transfer WHERE organization_id = %(organization)s ORDER BY id DESC LIMIT 1)
    ) AS ends (id)
), moved AS MATERIALIZED (
    SELECT debit_id, credit_id, sum(amount_micros) AS micros FROM billing_transfer
    WHERE (SELECT early FROM side) AND organization_id = %(organization)s AND id <= %(id)s GROUP BY 1, 2
    UNION ALL
    SELECT debit_id, credit_id, sum(amount_micros) FROM billing_transfer
    WHERE NOT (SELECT early FROM side) AND organization_id = %(organization)s AND id > %(id)s GROUP BY 1, 2
), taken AS (
    SELECT a.id, a.balance_micros, coalesce((
        SELECT sum(CASE WHEN m.debit_id = a.id THEN m.micros ELSE -m.micros END) FROM moved m
        WHERE a.id IN (m.debit_id, m.credit_id)
    ), 0) AS micros
    FROM billing_account a WHERE a.organization_id = %(organization)s
)
SELECT id, (CASE WHEN (SELECT early FROM side) THEN -micros ELSE balance_micros + micros END)::bigint FROM taken
"""

Balances = dict[int, int]


def after(organization: UUID, transfer_id: int) -> Balances:
    """By account, in micro-dollars: as they were when that transfer was posted."""
    with connection.cursor() as cursor:
        cursor.execute(AFTER, {"id": transfer_id, "organization": organization})
        return dict(cursor.fetchall())


def back(transfers: Iterable[Transfer], balances: Balances) -> Iterator[tuple[Transfer, Balances]]:
    """Each with the balances after it, the newest first; `balances` are those after the first. None may be left out
    that moves what is looked at.
    """
    for transfer in transfers:
        yield transfer, balances
        balances = before(transfer, balances)


def before(transfer: Transfer, balances: Balances) -> Balances:
    """Those after it, without it."""
    return {
        **balances,
        transfer.debit_id: balances[transfer.debit_id] + transfer.amount_micros,
        transfer.credit_id: balances[transfer.credit_id] - transfer.amount_micros,
    }


# --- on the way from one page to the next: what was counted once need not be counted again ---


def written(place: str, balances: Balances) -> str:
    """For an address. Signed with its place, so that nobody is shown a balance that never was."""
    return _signer(place).sign_object({str(account): micros for account, micros in balances.items()})


def read(place: str, text: str) -> Balances | None:
    """None of what we did not write, or wrote for another place."""
    try:
        found = _signer(place).unsign_object(text)
    except signing.BadSignature:
        return None
    return {int(account): micros for account, micros in found.items()}


def _signer(place: str) -> signing.Signer:
    return signing.Signer(salt=f"ledger {place}")
