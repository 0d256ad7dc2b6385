"""Proves the books: recomputes every projection from the transfers and names each difference.

All rules are one SQL statement, hence one snapshot: it may run while jobs are held and captured, and sees
whole transactions only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from celery import shared_task
from django.db import connection

from billing.models import Account, Hold, KeySpend, MonthSpend, Transfer

log = logging.getLogger(__name__)

# Given the ids of jobs with open holds, answers those that are over and should hold nothing.
Over = Callable[[Sequence[UUID]], Collection[UUID]]
BATCH = 5000


@dataclass(frozen=True)
class Difference:
    """`subject` names an organization, account, hold, key or transfer. Amounts are micro-dollars."""

    rule: str
    subject: str
    expected: int
    found: int

    def __str__(self) -> str:
        return f"{self.rule}: {self.subject} should be {self.expected}, is {self.found}"


# Each rule answers rows of (rule, subject, expected, found), and none when the books are right.
RULES = {
    "the accounts of each organization add up to zero": """
        SELECT organization_id::text AS subject, 0 AS expected, sum(balance_micros) AS found
        FROM billing_account GROUP BY organization_id HAVING sum(balance_micros) <> 0
    """,
    "all accounts add up to zero": """
        SELECT 'all', 0, sum(balance_micros) FROM billing_account HAVING sum(balance_micros) <> 0
    """,
    "each balance is the fold of its transfers": """
        SELECT 'account ' || a.id, coalesce(t.micros, 0), a.balance_micros
        FROM billing_account a LEFT JOIN moved t ON t.account_id = a.id
        WHERE a.balance_micros <> coalesce(t.micros, 0)
    """,
    "a transfer stays within its organization": """
        SELECT t.reference, 0, t.amount_micros FROM billing_transfer t
        JOIN billing_account d ON d.id = t.debit_id JOIN billing_account c ON c.id = t.credit_id
        WHERE d.organization_id <> t.organization_id OR c.organization_id <> t.organization_id
    """,
    "an open hold is held, a resolved one is not": """
        SELECT 'hold of job ' || h.job_id, CASE h.status WHEN 'open' THEN h.amount_micros ELSE 0 END,
               coalesce(b.held, 0)
        FROM billing_hold h LEFT JOIN by_hold b ON b.hold_id = h.id
        WHERE coalesce(b.held, 0) <> CASE h.status WHEN 'open' THEN h.amount_micros ELSE 0 END
    """,
    "a resolved hold is its capture and its release": """
        SELECT 'hold of job ' || h.job_id, h.amount_micros, coalesce(b.captured + b.released, 0)
        FROM billing_hold h LEFT JOIN by_hold b ON b.hold_id = h.id
        WHERE h.status <> 'open' AND coalesce(b.captured + b.released, 0) <> h.amount_micros
    """,
    "a hold's captured amount is what reached revenue": """
        SELECT 'hold of job ' || h.job_id, coalesce(b.captured, 0), h.captured_micros
        FROM billing_hold h LEFT JOIN by_hold b ON b.hold_id = h.id
        WHERE h.captured_micros <> coalesce(b.captured, 0)
    """,
    "money is held and captured for holds only": """
        SELECT t.reference, 0, t.amount_micros FROM billing_transfer t
        LEFT JOIN billing_hold h ON h.id = t.hold_id
        WHERE t.kind IN ('hold', 'hold_raise', 'capture', 'release')
          AND (h.id IS NULL OR h.job_id IS DISTINCT FROM t.job_id OR h.organization_id <> t.organization_id)
    """,
    "a key's spend is the fold of the holds of its chain": """
        SELECT 'key ' || coalesce(s.key_id, f.key_id) || ' ' || side.name, coalesce(side.expected, 0),
               coalesce(side.found, 0)
        FROM billing_keyspend s FULL JOIN (
            SELECT coalesce(k.first_id, k.id) AS key_id,
                   sum(amount_micros) FILTER (WHERE status = 'open') AS held, sum(captured_micros) AS spent
            FROM billing_hold JOIN accounts_apikey k ON k.id = key_id GROUP BY 1
        ) f ON f.key_id = s.key_id
        CROSS JOIN LATERAL (VALUES ('held', f.held, s.held_micros), ('spent', f.spent, s.spent_micros))
            AS side (name, expected, found)
        WHERE coalesce(side.expected, 0) <> coalesce(side.found, 0)
    """,
    "a month's spend is the fold of its holds": """
        SELECT concat('month ', coalesce(s.month, f.month), ' of ',
                      coalesce(s.organization_id, f.organization_id), ' ', side.name),
               coalesce(side.expected, 0), coalesce(side.found, 0)
        FROM billing_monthspend s FULL JOIN (
            SELECT organization_id, month, sum(amount_micros) FILTER (WHERE status = 'open') AS held,
                   sum(captured_micros) AS spent
            FROM billing_hold GROUP BY organization_id, month
        ) f ON f.organization_id = s.organization_id AND f.month = s.month
        CROSS JOIN LATERAL (VALUES ('held', f.held, s.held_micros), ('spent', f.spent, s.spent_micros))
            AS side (name, expected, found)
        WHERE coalesce(side.expected, 0) <> coalesce(side.found, 0)
    """,
    "free use is the fold of the holds": """
        SELECT concat('free ', coalesce(u.model, h.model), ' of ', coalesce(u.organization_id, h.organization_id),
                      ' ', side.name),
               coalesce(side.expected, 0), coalesce(side.found, 0)
        FROM billing_freeuse u FULL JOIN (
            SELECT organization_id, model, sum(free) FILTER (WHERE status = 'open') AS held,
                   sum(free) FILTER (WHERE status = 'captured') AS used
            FROM billing_hold WHERE free > 0 GROUP BY organization_id, model
        ) h ON h.organization_id = u.organization_id AND h.model = u.model
        CROSS JOIN LATERAL (VALUES ('held', h.held, u.held), ('used', h.used, u.used))
            AS side (name, expected, found)
        WHERE coalesce(side.expected, 0) <> coalesce(side.found, 0)
    """,
    "the days of use are the fold of the captured holds": """
        SELECT concat('use of ', coalesce(d.model, h.model), ' by ', coalesce(d.organization_id, h.organization_id),
                      ' ', side.name),
               coalesce(side.expected, 0), coalesce(side.found, 0)
        FROM (
            SELECT organization_id, model, sum(jobs) AS jobs, sum(billed_ms) AS ms, sum(free) AS free,
                   sum(micros) AS micros
            FROM billing_dayuse GROUP BY organization_id, model
        ) d FULL JOIN (
            SELECT organization_id, model, count(*) AS jobs, sum(billed_ms) AS ms, sum(free) AS free,
                   sum(captured_micros) AS micros
            FROM billing_hold WHERE status = 'captured' GROUP BY organization_id, model
        ) h ON h.organization_id = d.organization_id AND h.model = d.model
        CROSS JOIN LATERAL (VALUES ('jobs', h.jobs, d.jobs), ('ms', h.ms, d.ms), ('free', h.free, d.free),
                                   ('micros', h.micros, d.micros))
            AS side (name, expected, found)
        WHERE coalesce(side.expected, 0) <> coalesce(side.found, 0)
    """,
}
# Two passes over the transfers feed all rules. A release is what came back when the hold was resolved: what a
# lowered hold gave back before is part of no resolution, and its reference says so.
FOLDS = """
WITH moved AS MATERIALIZED (
    SELECT account_id, sum(micros) AS micros FROM (
        SELECT debit_id AS account_id, -amount_micros AS micros FROM billing_transfer
        UNION ALL SELECT credit_id, amount_micros FROM billing_transfer
    ) sides GROUP BY account_id
), by_hold AS MATERIALIZED (
    SELECT t.hold_id,
           sum(CASE WHEN c.kind = 'held' THEN t.amount_micros ELSE -t.amount_micros END) AS held,
           coalesce(sum(t.amount_micros) FILTER (WHERE c.kind = 'revenue'), 0) AS captured,
           coalesce(sum(t.amount_micros) FILTER (WHERE t.reference = 'release:' || t.job_id), 0) AS released
    FROM billing_transfer t
    JOIN billing_account c ON c.id = t.credit_id
    JOIN billing_account d ON d.id = t.debit_id
    WHERE t.hold_id IS NOT NULL AND 'held' IN (c.kind, d.kind)
    GROUP BY t.hold_id
)
"""


def check(over: Over | None = None) -> list[Difference]:
    """Every difference, none when the books are right. `over` adds the open holds of jobs that ended."""
    part = "SELECT %s AS rule, r.* FROM ({}) AS r (subject, expected, found)"
    parts = [part.format(sql) for sql in RULES.values()]
    with connection.cursor() as cursor:
        cursor.execute(FOLDS + " UNION ALL ".join(parts), list(RULES))
        rows = cursor.fetchall()
    found = [Difference(rule, subject, int(expected), int(value)) for rule, subject, expected, value in rows]
    return found + (list(_forgotten(over)) if over else [])


def counts() -> dict[str, int]:
    """How many rows of each kind the rules went over."""
    tables = (Account, Transfer, Hold, KeySpend, MonthSpend)
    return {str(table._meta.verbose_name_plural): table._default_manager.count() for table in tables}  # noqa: SLF001  Django's documented name


def _forgotten(over: Over) -> Iterator[Difference]:
    holds = Hold.objects.open().order_by("id")
    after = 0
    while batch := list(holds.filter(id__gt=after)[:BATCH]):
        ended = set(over([hold.job_id for hold in batch]))
        for hold in batch:
            if hold.job_id in ended:
                yield Difference(
                    "a job that is over holds nothing", f"job {hold.job_id}", 0, hold.amount_micros
                )
        after = batch[-1].pk


@shared_task(name="billing.check_ledger")
def check_ledger() -> None:
    differences = check()
    for difference in differences:
        log.error("ledger: %s", difference)
    log.info("ledger: %d rules, %d differences", len(RULES), len(differences))
