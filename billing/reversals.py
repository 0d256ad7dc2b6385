"""Money that goes back, of top-ups and of invoices: refunds, ours or made on Stripe's own pages, and disputes.

Each is one row, looked at again whenever anybody says it changed. What the books have taken back for it is brought to
what Stripe says now, by one transfer with a name of its own; in whatever order news come, the end is the same.
"""

from __future__ import annotations

from celery import shared_task
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Sum

from accounts import audit
from accounts.models import User
from billing import gateway, ledger
from billing.errors import CreditSpent, GatewayError, GatewayRefused
from billing.gateway_models import Invoice, Reversal, ReversalKind, TopUp
from billing.models import TransferKind
from billing.money import format_usd
from billing.wake import wake

LEASE_SECONDS = 60
REFUND_GONE = {"failed", "canceled"}
REFUND_FINAL = REFUND_GONE | {"succeeded"}
DISPUTE_FINAL = {"won", "lost", "warning_closed", "prevented"}


def refund(topup: TopUp, amount_micros: int, *, by: User, reason: str, spent_too: bool = False) -> Reversal:
    """Pays credit back to the card it came from. Only what is unspent, unless `spent_too`; either way it is audited.

    The credit leaves at once, so that it cannot be spent meanwhile; if Stripe refuses, it comes back.
    """
    with transaction.atomic():
        # One refund of a top-up at a time, or two could together return more than was paid.
        topup = TopUp.objects.select_for_update(of=("self",)).select_related("organization").get(pk=topup.pk)
        left = _check(topup, amount_micros)
        row = Reversal.objects.create(
            organization=topup.organization,
            topup=topup,
            kind=ReversalKind.REFUND,
            cents=_cents(topup, amount_micros),
            taken_micros=amount_micros,
            stages=1,
            reason=reason[:300],
            requested_by=by,
        )
        ledger.take_back(
            topup.organization,
            amount_micros,
            kind=TransferKind.REFUND,
            reference=f"{row.pk}:1",
            reason=reason,
            actor=by,
            unspent_only=not spent_too,
        )
        audit.record(
            "topup.refund",
            by=by,
            target=topup,
            organization=topup.organization,
            before={"left_usd": format_usd(left)},
            after={
                "left_usd": format_usd(left - amount_micros),
                "usd": format_usd(amount_micros),
                "reason": reason,
                "spent_too": spent_too,
            },
        )
        wake("billing.refresh_reversal", str(row.pk))
    return row


def _check(topup: TopUp, amount_micros: int) -> int:
    """How much of the top-up has not gone back yet; raises CreditSpent where that is less than the amount."""
    gone = topup.reversals.aggregate(micros=Sum("taken_micros"))["micros"] or 0
    left = topup.credited_micros - gone
    if amount_micros > left or amount_micros <= 0 or _cents(topup, amount_micros) == 0:
        raise CreditSpent(left_micros=left)
    return left


def _cents(topup: TopUp, micros: int) -> int:
    """What was paid for so much credit: with the tax on it."""
    return micros * topup.paid_cents // topup.credited_micros if topup.credited_micros else 0


def _micros(source: TopUp | Invoice, cents: int) -> int:
    """The credit that so much money bought, rounded to the nearest micro-dollar."""
    return (2 * cents * source.credited_micros + source.paid_cents) // (2 * source.paid_cents)


def notice(source: TopUp | Invoice, kind: ReversalKind, found: gateway.Snapshot) -> None:
    """Stripe has a refund or a dispute of what was paid: ours by its mark, or new to us."""
    row = Reversal.objects.filter(number=found["id"]).first() or _marked(source, found)
    if row is None:
        which = "topup" if isinstance(source, TopUp) else "invoice"
        facts = {"organization_id": source.organization_id, which: source, "kind": kind}
        row, _ = Reversal.objects.get_or_create(number=found["id"], defaults=facts)
    Reversal.objects.hint(row.pk)
    refresh(str(row.pk))


def _marked(source: TopUp | Invoice, found: gateway.Snapshot) -> Reversal | None:
    mark = (found.get("metadata") or {}).get("reversal", "")
    try:
        return source.reversals.filter(pk=mark, number="").first() if mark else None
    except ValidationError:  # metadata is anybody's text
        return None


def refresh(reversal_id: str) -> None:
    """Asks for the refund if that is still to be done, then brings the books to what Stripe says."""
    row = Reversal.objects.claim(reversal_id, seconds=LEASE_SECONDS)
    if row is None:
        return
    try:
        found = _found(row) or _asked_for(row)
    except GatewayError as error:
        Reversal.objects.later(row, str(error))
    else:
        if found:
            _apply(row, found)
        else:
            # It was never made, so its credit comes back.
            _settle(row, "refused", taken=0, cents=0, final=True)


def _found(row: Reversal) -> gateway.Snapshot | None:
    """What Stripe has of it. An earlier try may have been done although its answer was lost."""
    if row.kind == ReversalKind.DISPUTE:
        return gateway.dispute(row.number)
    if row.number:
        return gateway.refund(row.number)
    made = (found for found in gateway.refunds_of(row.source.payment) if _mark(found) == str(row.pk))
    return next(made, None)


def _asked_for(row: Reversal) -> gateway.Snapshot | None:
    """The refund, made now; nothing if Stripe refuses it. Only this very answer may say so."""
    try:
        return gateway.create_refund(
            payment=row.source.payment,
            cents=row.cents,
            metadata={"reversal": str(row.pk), "organization": str(row.organization_id)},
            key=f"refund:{row.pk}",
        )
    except GatewayRefused:
        return None


def _mark(found: gateway.Snapshot) -> str:
    return str((found.get("metadata") or {}).get("reversal", ""))


def _apply(row: Reversal, found: gateway.Snapshot) -> None:
    status = found["status"] or ""
    Reversal.objects.mine(row).filter(number="").update(number=found["id"])
    cents = cents_gone(row.kind, found)
    final = status in (DISPUTE_FINAL if row.kind == ReversalKind.DISPUTE else REFUND_FINAL)
    own = row.taken_micros if cents == row.cents and row.stages == 1 else _micros(row.source, cents)
    _settle(row, status, taken=max(0, own), cents=cents, final=final)


def cents_gone(kind: str, found: gateway.Snapshot) -> int:
    """What is away by it, as of now."""
    if kind == ReversalKind.DISPUTE:
        # The bank takes the money when it opens a real dispute, and gives it back when we win.
        return -sum(int(moved["amount"]) for moved in found["balance_transactions"])
    return 0 if found["status"] in REFUND_GONE else int(found["amount"])


def _settle(row: Reversal, status: str, *, taken: int, cents: int, final: bool) -> None:
    """Under the row's lock, and only for whoever still has it: nobody posts the same stage twice."""
    with transaction.atomic():
        mine = Reversal.objects.mine(row).select_for_update(of=("self",)).first()
        if mine is None:
            return
        more = taken - mine.taken_micros
        if more:
            _post(row, mine.stages + 1, more)
        fields = {"status": status[:30], "cents": cents, "taken_micros": taken}
        Reversal.objects.mine(row).update(stages=mine.stages + (1 if more else 0), **fields)
        if final:
            Reversal.objects.mine(row).update(waiting=False, lease_until=None, problem="")
        else:
            Reversal.objects.later(row, "")


def _post(row: Reversal, stage: int, more: int) -> None:
    kind = TransferKind.DISPUTE if row.kind == ReversalKind.DISPUTE else TransferKind.REFUND
    verb = ledger.take_back if more > 0 else ledger.give_back
    verb(
        row.organization,
        abs(more),
        kind=kind,
        reference=f"{row.pk}:{stage}",
        reason=row.reason or f"{kind.label} {row.number}",
    )


@shared_task(name="billing.refresh_reversal")
def refresh_reversal(reversal_id: str) -> None:
    refresh(reversal_id)
