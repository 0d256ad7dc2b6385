"""The books' verbs. With `billing.posting` below them they are the only writers of the money tables.

Two phases for a job. `hold` moves the worst case from the organization's available account to its held
account, and is the only place where a limit is checked; `capture` moves the price to revenue and returns the
rest, or `release` returns everything. Hence no resolution can ever overdraw. What is free of a price (`billing.free`)
never becomes money: the hold keeps it beside its amount, and it is used up before anything is paid.

Every verb runs in its caller's transaction, with the caller's lock on the job (if any) taken before. It
  1. locks the organization's `available` row: one writer per organization, so nothing below can race;
  2. reads what decides in a NEW statement. A join in the locking statement would not do: under READ COMMITTED
     a statement that waited sees the locked row's latest version, but all other tables as before the wait;
  3. posts everything by one statement, in which the balances are computed from the very transfers it inserts.

A hold does all three in one call of `billing_place_hold`, a function in the database: its plans are kept.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from accounts.models import ApiKey, Organization, User
from accounts.tenancy import OrgQuerySet
from billing import free, outbox, rollups
from billing.errors import (
    AlreadyResolved,
    BillingError,
    BudgetReached,
    CreditSpent,
    HoldMismatch,
    HoldMissing,
    InsufficientFunds,
    OwesLess,
    ReferenceTaken,
    SpendCapReached,
)
from billing.free import Terms
from billing.models import Account, Hold, HoldStatus, Kind, Transfer, TransferKind
from billing.posting import Facts, Move, change, deposit, lock, lock_by_job, place, resolve

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
    """Credit given, not bought. The same reference again returns the first transfer and posts nothing.

    It is stored as "grant:<reference>", whether or not the caller wrote the word before it.
    """
    move = _move(TransferKind.GRANT, amount_micros, reference)
    return _post(organization, move, reason, actor)


def topup(
    organization: Organization, amount_micros: int, *, reference: str, reason: str, actor: User | None = None
) -> Transfer:
    """Money the organization paid in: like a grant, and it counts towards the organization's tier."""
    move = _move(TransferKind.TOPUP, amount_micros, reference)
    return _post(organization, move, reason, actor)


def take_back(
    organization: Organization,
    amount_micros: int,
    *,
    kind: TransferKind,
    reference: str,
    reason: str,
    actor: User | None = None,
    unspent_only: bool = False,
) -> Transfer:
    """Credit that leaves again, because its money did: a refund, a dispute. It may take the balance below zero,
    unless `unspent_only`: then CreditSpent is raised.
    """
    move = _move(kind, amount_micros, reference, debit=Kind.AVAILABLE, credit=Kind.FUNDING)
    if unspent_only:
        lock(organization.pk)
        left = balance(organization).available_micros
        if amount_micros > left and not Transfer.objects.filter(reference=move.reference).exists():
            raise CreditSpent(left_micros=left)
    return _post(organization, move, reason, actor)


def give_back(
    organization: Organization, amount_micros: int, *, kind: TransferKind, reference: str, reason: str
) -> Transfer:
    """What `take_back` took: the refund failed, the dispute was won."""
    return _post(organization, _move(kind, amount_micros, reference), reason, None)


def write_off(
    organization: Organization, amount_micros: int, *, reference: str, reason: str, actor: User | None = None
) -> Transfer:
    """Gives up what the organization owes, at most all of it: a debt nobody will pay."""
    move = _move(TransferKind.WRITE_OFF, amount_micros, reference)
    lock(organization.pk)
    owed = -balance(organization).available_micros
    if amount_micros > owed and not Transfer.objects.filter(reference=move.reference).exists():
        raise OwesLess(owed_micros=owed)
    return _post(organization, move, reason, actor)


def _move(
    kind: TransferKind,
    amount: int,
    reference: str,
    *,
    debit: Kind = Kind.FUNDING,
    credit: Kind = Kind.AVAILABLE,
) -> Move:
    if amount <= 0:
        raise ValueError(f"a {kind} must be more than zero, not {amount}")
    named = f"{kind.value}:" + reference.removeprefix(f"{kind.value}:")
    return Move(named, kind, debit, credit, amount)


def _post(organization: Organization, move: Move, reason: str, actor: User | None) -> Transfer:
    lock(organization.pk)
    known = Transfer.objects.filter(reference=move.reference).first()
    if known is None:
        deposit(organization.pk, move, note=reason, actor=f"user:{actor.pk}" if actor else "")
        return Transfer.objects.get(reference=move.reference)
    if (known.organization_id, known.amount_micros) != (organization.pk, move.amount_micros):
        raise ReferenceTaken(move.reference)
    return known


# --- a job's money ------------------------------------------------------------------------------------------


def hold(
    organization: Organization,
    *,
    job_id: UUID,
    amount_micros: int,
    key: ApiKey | None = None,
    model: str = "",
    terms: Terms | None = None,
) -> Hold:
    """Sets the price of a job aside, or raises which limit forbids it and changes nothing. One statement.

    The same hold asked for again is returned. `model` is the catalogue's slug, for usage by model. `terms` say how
    much of the price may be free: what is left of the model's quota is taken, and only the rest is money.
    """
    if amount_micros < 0:
        raise ValueError(f"a hold cannot be negative: {amount_micros}")
    held = Hold(job_id=job_id, organization=organization, key=key, model=model, amount_micros=amount_micros)
    facts = place(held, f"hold:{job_id}", terms)
    if facts.has_hold:
        return _same(Hold.objects.get(job_id=job_id), organization, amount_micros)
    if held.pk is None:
        raise _refusal(facts, held.amount_micros)
    return held


def raise_hold(job_id: UUID, amount_micros: int, *, terms: Terms | None = None) -> Hold:
    """Sets an open hold to another price: more is checked like a hold, less returns the difference. What is free of it is
    taken anew; without `terms` nothing is.
    """
    if amount_micros < 0:
        raise ValueError(f"a hold cannot be negative: {amount_micros}")
    found = _lock_hold(job_id)
    if found.status != HoldStatus.OPEN:
        raise AlreadyResolved(job_id, found.status)
    if amount_micros == found.price_micros:
        return found
    had, had_free = found.amount_micros, found.free
    mine = had_free + free.left(found.organization_id, found.model, terms)
    found.free, found.free_micros = terms.part(amount_micros, mine) if terms else (0, 0)
    found.amount_micros = amount_micros - found.free_micros
    found.raises += 1
    more = found.amount_micros - had
    reference = f"hold:{job_id}:raise:{found.raises}"
    if more > 0:
        move = Move(reference, TransferKind.HOLD_RAISE, Kind.AVAILABLE, Kind.HELD, more)
    else:
        move = Move(reference, TransferKind.RELEASE, Kind.HELD, Kind.AVAILABLE, -more)
    if forbidding := change(found, move, by=more, free_by=found.free - had_free):
        raise _refusal(forbidding, more)
    return found


def capture(
    job_id: UUID,
    amount_micros: int,
    *,
    billed_ms: int = 0,
    use: outbox.Use | None = None,
    made: rollups.Made = rollups.NOT_KNOWN,
) -> int:
    """Takes the price, at most the hold, and returns the rest; answers what was paid: free units are used up first.
    `billed_ms` of video and how it was `made` are for usage; `use` says the length in the units of its price, in which
    postpaid jobs are reported.

    A second capture answers the first's amount and posts nothing. After a release it raises AlreadyResolved.
    """
    if amount_micros < 0:
        raise ValueError(f"a capture cannot be negative: {amount_micros}")
    found = _lock_hold(job_id)
    if found.status == HoldStatus.CAPTURED:
        return found.captured_micros
    if found.status == HoldStatus.RELEASED:
        raise AlreadyResolved(job_id, found.status)
    if amount_micros > found.price_micros:
        # The customer agreed to the hold, never to more: the difference is ours.
        log.error(
            "job %s costs %d micros but holds %d: captured at the hold",
            job_id,
            amount_micros,
            found.price_micros,
        )
    price = min(amount_micros, found.price_micros)
    free_micros = min(price, found.free_micros)
    taken = price - free_micros
    moves = [
        Move(f"capture:{job_id}", TransferKind.CAPTURE, Kind.HELD, Kind.REVENUE, taken),
        Move(
            f"release:{job_id}", TransferKind.RELEASE, Kind.HELD, Kind.AVAILABLE, found.amount_micros - taken
        ),
    ]
    found.billed_ms = billed_ms
    _resolve(found, HoldStatus.CAPTURED, moves, taken, free_micros=free_micros)
    outbox.enqueue(found, taken, use)
    rollups.count(found, taken, made)
    return taken


def release(job_id: UUID, *, reason: str) -> None:
    """Returns everything held. Again: nothing happens. After a capture it raises AlreadyResolved."""
    found = _lock_hold(job_id)
    if found.status == HoldStatus.RELEASED:
        return
    if found.status == HoldStatus.CAPTURED:
        raise AlreadyResolved(job_id, found.status)
    move = Move(f"release:{job_id}", TransferKind.RELEASE, Kind.HELD, Kind.AVAILABLE, found.amount_micros)
    _resolve(found, HoldStatus.RELEASED, [move], 0, note=reason)


def _resolve(
    found: Hold,
    status: HoldStatus,
    moves: Sequence[Move],
    taken: int,
    *,
    free_micros: int = 0,
    note: str = "",
) -> None:
    """`taken` is what is paid, `free_micros` what the free units that are used up would have cost."""
    held = found.free
    # A started unit is a used one.
    used = -(-held * free_micros // found.free_micros) if free_micros else 0
    found.free, found.free_micros = used, free_micros
    found.status = status
    found.captured_micros = taken
    resolve(found, moves, free_held=held, free_used=used, note=note)


def _same(found: Hold, organization: Organization, amount: int) -> Hold:
    if found.organization_id != organization.pk:
        raise HoldMismatch(found.job_id)
    if found.status != HoldStatus.OPEN:
        raise AlreadyResolved(found.job_id, found.status)
    if found.price_micros != amount:
        raise HoldMismatch(found.job_id)
    return found


def _lock_hold(job_id: UUID) -> Hold:
    """The hold as it is under its organization's lock."""
    if not lock_by_job(job_id):
        raise HoldMissing(job_id)
    return Hold.objects.get(job_id=job_id)


def _refusal(facts: Facts, needed: int) -> BillingError:
    if facts.cap is not None and facts.refusal == "key_spend_cap":
        return SpendCapReached(cap_micros=facts.cap, used_micros=facts.key_used, needed_micros=needed)
    if facts.budget is not None and facts.refusal == "monthly_budget":
        return BudgetReached(budget_micros=facts.budget, used_micros=facts.month_used, needed_micros=needed)
    return InsufficientFunds(needed_micros=needed, available_micros=facts.spendable)
