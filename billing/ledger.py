"""The books' verbs. With `billing.posting` below them they are the only writers of the money tables.

Two phases for a job. `hold` moves the worst case from the organization's available account to its held
account, and is the only place where a limit is checked; `capture` moves the price to revenue and returns the
rest, or `release` returns everything. Hence no resolution can ever overdraw.

Every verb runs in its caller's transaction, with the caller's lock on the job (if any) taken before. It
  1. locks the organization's `available` row: one writer per organization, so nothing below can race;
  2. reads what decides in a NEW statement. A join in the locking statement would not do: under READ COMMITTED
     a statement that waited sees the locked row's latest version, but all other tables as before the wait;
  3. posts everything by one statement, in which the balances are computed from the very rows it inserts.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from accounts.models import ApiKey, BillingMode, Organization, User
from accounts.tenancy import OrgQuerySet
from billing.errors import (
    AlreadyResolved,
    BudgetReached,
    HoldMismatch,
    HoldMissing,
    InsufficientFunds,
    ReferenceTaken,
    SpendCapReached,
)
from billing.models import Account, Hold, HoldStatus, Kind, Transfer, TransferKind
from billing.posting import Move, lock, lock_by_job, one, post

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Balance:
    available_micros: int
    held_micros: int


# --- reads --------------------------------------------------------------------------------------------------


def balance(organization: Organization) -> Balance:
    rows = Account.objects.for_org(organization).filter(kind__in=[Kind.AVAILABLE, Kind.HELD])
    by_kind = dict(rows.values_list("kind", "balance_micros"))
    return Balance(by_kind.get(Kind.AVAILABLE, 0), by_kind.get(Kind.HELD, 0))


def history(organization: Organization) -> OrgQuerySet[Transfer]:
    """The organization's transfers, newest first."""
    return Transfer.objects.for_org(organization).order_by("-id")


# --- money in -----------------------------------------------------------------------------------------------


def grant(
    organization: Organization, amount_micros: int, *, reference: str, reason: str, actor: User | None = None
) -> Transfer:
    """Credit given, not bought. The same reference again returns the first transfer and posts nothing."""
    return _deposit(TransferKind.GRANT, organization, amount_micros, reference, reason, actor)


def topup(
    organization: Organization, amount_micros: int, *, reference: str, reason: str, actor: User | None = None
) -> Transfer:
    """Money the organization paid in: like a grant, and it counts towards the organization's tier."""
    return _deposit(TransferKind.TOPUP, organization, amount_micros, reference, reason, actor)


def _deposit(
    kind: TransferKind,
    organization: Organization,
    amount: int,
    reference: str,
    reason: str,
    actor: User | None,
) -> Transfer:
    if amount <= 0:
        raise ValueError(f"a {kind} must be more than zero, not {amount}")
    reference = f"{kind.value}:{reference}"
    lock(organization.pk)
    known = Transfer.objects.filter(reference=reference).first()
    if known is None:
        move = Move(reference, kind, Kind.FUNDING, Kind.AVAILABLE, amount)
        post(organization.pk, [move], note=reason, actor=f"user:{actor.pk}" if actor else "")
        return Transfer.objects.get(reference=reference)
    if (known.organization_id, known.amount_micros) != (organization.pk, amount):
        raise ReferenceTaken(reference)
    return known


# --- a job's money ------------------------------------------------------------------------------------------


def hold(
    organization: Organization,
    *,
    job_id: UUID,
    amount_micros: int,
    key: ApiKey | None = None,
    model: str = "",
) -> Hold:
    """Sets money aside for a job, or raises which limit forbids it and changes nothing. Three statements.

    The same hold asked for again is returned. `model` is the catalogue's slug, for usage by model.
    """
    if amount_micros < 0:
        raise ValueError(f"a hold cannot be negative: {amount_micros}")
    available = lock(organization.pk)
    facts = _facts(organization.pk, job_id, key.pk if key else None, month=None)
    if facts.has_hold:
        return _same(Hold.objects.get(job_id=job_id), organization, amount_micros)
    _check(facts, facts.funding, available, amount_micros)
    held = Hold(
        job_id=job_id,
        organization=organization,
        key=key,
        model=model,
        amount_micros=amount_micros,
        funding=facts.funding,
        month=facts.month,
    )
    move = Move(f"hold:{job_id}", TransferKind.HOLD, Kind.AVAILABLE, Kind.HELD, amount_micros)
    post(organization.pk, [move], hold=held, held=amount_micros)
    return held


def raise_hold(job_id: UUID, amount_micros: int) -> Hold:
    """Sets an open hold to another amount: more is checked like a hold, less returns the difference."""
    if amount_micros < 0:
        raise ValueError(f"a hold cannot be negative: {amount_micros}")
    found, available = _lock_hold(job_id)
    if found.status != HoldStatus.OPEN:
        raise AlreadyResolved(job_id, found.status)
    more = amount_micros - found.amount_micros
    if more == 0:
        return found
    if more > 0:
        facts = _facts(found.organization_id, job_id, found.key_id, month=found.month)
        _check(facts, found.funding, available, more)
    found.raises += 1
    found.amount_micros = amount_micros
    reference = f"hold:{job_id}:raise:{found.raises}"
    if more > 0:
        move = Move(reference, TransferKind.HOLD_RAISE, Kind.AVAILABLE, Kind.HELD, more)
    else:
        move = Move(reference, TransferKind.RELEASE, Kind.HELD, Kind.AVAILABLE, -more)
    post(found.organization_id, [move], hold=found, held=more)
    return found


def capture(job_id: UUID, amount_micros: int) -> int:
    """Takes the price, at most the hold, and returns the rest; answers what was taken.

    A second capture answers the first's amount and posts nothing. After a release it raises AlreadyResolved.
    """
    if amount_micros < 0:
        raise ValueError(f"a capture cannot be negative: {amount_micros}")
    found, _ = _lock_hold(job_id)
    if found.status == HoldStatus.CAPTURED:
        return found.captured_micros
    if found.status == HoldStatus.RELEASED:
        raise AlreadyResolved(job_id, found.status)
    if amount_micros > found.amount_micros:
        # The customer agreed to the hold, never to more: the difference is ours.
        log.error(
            "job %s costs %d micros but holds %d: captured at the hold",
            job_id,
            amount_micros,
            found.amount_micros,
        )
    taken = min(amount_micros, found.amount_micros)
    moves = [
        Move(f"capture:{job_id}", TransferKind.CAPTURE, Kind.HELD, Kind.REVENUE, taken),
        Move(
            f"release:{job_id}", TransferKind.RELEASE, Kind.HELD, Kind.AVAILABLE, found.amount_micros - taken
        ),
    ]
    _resolve(found, HoldStatus.CAPTURED, moves, taken)
    return taken


def release(job_id: UUID, *, reason: str) -> None:
    """Returns everything held. Again: nothing happens. After a capture it raises AlreadyResolved."""
    found, _ = _lock_hold(job_id)
    if found.status == HoldStatus.RELEASED:
        return
    if found.status == HoldStatus.CAPTURED:
        raise AlreadyResolved(job_id, found.status)
    move = Move(f"release:{job_id}", TransferKind.RELEASE, Kind.HELD, Kind.AVAILABLE, found.amount_micros)
    _resolve(found, HoldStatus.RELEASED, [move], 0, note=reason)


def _resolve(found: Hold, status: HoldStatus, moves: Sequence[Move], taken: int, note: str = "") -> None:
    found.status = status
    found.captured_micros = taken
    post(found.organization_id, moves, hold=found, held=-found.amount_micros, note=note)


def _same(found: Hold, organization: Organization, amount: int) -> Hold:
    if found.organization_id != organization.pk:
        raise HoldMismatch(found.job_id)
    if found.status != HoldStatus.OPEN:
        raise AlreadyResolved(found.job_id, found.status)
    if found.amount_micros != amount:
        raise HoldMismatch(found.job_id)
    return found


def _lock_hold(job_id: UUID) -> tuple[Hold, int]:
    """The hold and the available balance of its organization, both as they are under the lock."""
    available = lock_by_job(job_id)
    if available is None:
        raise HoldMissing(job_id)
    return Hold.objects.get(job_id=job_id), available


# --- limits -------------------------------------------------------------------------------------------------

FACTS = """
SELECT now_in.month, o.billing_mode, coalesce(l.credit_limit_micros, 0),
       l.monthly_budget_micros, coalesce(m.held_micros + m.spent_micros, 0),
       k.spend_cap_micros, coalesce(s.held_micros + s.spent_micros, 0),
       EXISTS (SELECT FROM billing_hold h WHERE h.job_id = %(job)s)
FROM accounts_organization o
CROSS JOIN LATERAL (
    SELECT coalesce(%(month)s, date_trunc('month', now() AT TIME ZONE 'UTC')::date) AS month
) now_in
LEFT JOIN billing_limits l ON l.organization_id = o.id
LEFT JOIN billing_monthspend m ON m.organization_id = o.id AND m.month = now_in.month
LEFT JOIN accounts_apikey k ON k.id = %(key)s
LEFT JOIN billing_keyspend s ON s.key_id = k.id
WHERE o.id = %(organization)s
"""


@dataclass(frozen=True)
class Facts:
    """What decides a hold, read under the lock."""

    month: date
    funding: str
    credit_limit_micros: int
    budget_micros: int | None
    month_used_micros: int
    cap_micros: int | None
    key_used_micros: int
    has_hold: bool


def _facts(organization_id: UUID, job_id: UUID, key_id: UUID | None, *, month: date | None) -> Facts:
    row = one(FACTS, {"organization": organization_id, "job": job_id, "key": key_id, "month": month})
    assert row is not None
    return Facts(*row)


def _check(facts: Facts, funding: str, available: int, needed: int) -> None:
    """The key's cap, the month's budget, the money: the customer's own limits speak first."""
    if facts.cap_micros is not None and facts.key_used_micros + needed > facts.cap_micros:
        raise SpendCapReached(
            cap_micros=facts.cap_micros, used_micros=facts.key_used_micros, needed_micros=needed
        )
    if facts.budget_micros is not None and facts.month_used_micros + needed > facts.budget_micros:
        raise BudgetReached(
            budget_micros=facts.budget_micros, used_micros=facts.month_used_micros, needed_micros=needed
        )
    credit = facts.credit_limit_micros if funding == BillingMode.POSTPAID else 0
    # A free job passes even where the balance is below zero.
    if needed and needed > available + credit:
        raise InsufficientFunds(needed_micros=needed, available_micros=available + credit)
