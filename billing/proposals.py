"""Money that an operator moves by hand: grants, payments by bank, write-offs, refunds; and credit limits that are raised.

What one operator does alone for one organization within a day stays within TWO_PERSON_USD; more is written down as a
proposal, and a second operator approves or declines it. Cutting a sum into small ones therefore wins nothing.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Sum
from django.db.models.functions import Now
from django.http import HttpRequest

from accounts import audit
from accounts.models import Organization, User
from billing import gateway, ledger, quotas, reversals
from billing.control_models import Act, Proposal, ProposalStatus
from billing.errors import OwnProposal, ProposalClosed, RefundOff
from billing.gateway_models import TopUp
from billing.models import Limits
from billing.money import format_usd, parse_usd
from billing.posting import lock

ALONE = timedelta(days=1)


def propose(
    organization: Organization,
    kind: Act,
    amount_micros: int,
    *,
    reason: str,
    by: User,
    once: UUID,
    topup: TopUp | None = None,
    spent_too: bool = False,
    request: HttpRequest | None = None,
) -> Proposal:
    """Does it, or leaves it to a second operator. The same `once` again answers the first and does nothing."""
    if kind == Act.REFUND and not gateway.configured():
        raise RefundOff
    with transaction.atomic():
        # What this operator has done alone is added up under the lock, or two forms could together do more.
        _lock(organization, topup)
        known = Proposal.objects.filter(once=once).first()
        if known:
            return known
        alone = _alone(organization, by) + amount_micros <= parse_usd(settings.TWO_PERSON_USD)
        proposal = Proposal.objects.create(
            once=once,
            kind=kind,
            status=ProposalStatus.DONE if alone else ProposalStatus.OPEN,
            organization=organization,
            topup=topup,
            amount_micros=amount_micros,
            reason=reason,
            spent_too=spent_too,
            proposed_by=by,
        )
        if alone:
            _carry_out(proposal, by=by, request=request)
        else:
            _record(proposal, "proposal.open", by=by, after=_facts(proposal), request=request)
    quotas.forget()  # money paid in may have raised the tier
    return proposal


def approve(proposal_id: int, *, by: User, request: HttpRequest | None = None) -> Proposal:
    """By a second operator: it is done now, as it was proposed."""
    with transaction.atomic():
        proposal = _open(proposal_id)
        if proposal.proposed_by_id == by.pk:
            raise OwnProposal
        _lock(proposal.organization, proposal.topup)
        _decide(proposal, ProposalStatus.DONE, "proposal.approve", by=by, request=request)
        _carry_out(proposal, by=by, request=request)
    quotas.forget()
    return proposal


def decline(proposal_id: int, *, by: User, request: HttpRequest | None = None) -> Proposal:
    """Nothing is moved. Whoever proposed it may take it back like this."""
    with transaction.atomic():
        proposal = _open(proposal_id)
        _decide(proposal, ProposalStatus.DECLINED, "proposal.decline", by=by, request=request)
    return proposal


def _open(proposal_id: int) -> Proposal:
    rows = Proposal.objects.select_for_update(of=("self",)).select_related("organization", "topup")
    proposal = rows.get(pk=proposal_id)
    if proposal.status != ProposalStatus.OPEN:
        raise ProposalClosed(proposal.status)
    return proposal


def _lock(organization: Organization, topup: TopUp | None) -> None:
    """In the order of `reversals.refund`: the top-up, then the books."""
    if topup:
        TopUp.objects.select_for_update(of=("self",)).get(pk=topup.pk)
    lock(organization.pk)


def _alone(organization: Organization, operator: User) -> int:
    done = Proposal.objects.for_org(organization).filter(
        proposed_by=operator,
        status=ProposalStatus.DONE,
        decided_by=None,
        created_at__gt=Now() - ALONE,
    )
    return done.aggregate(micros=Sum("amount_micros"))["micros"] or 0


def _decide(
    proposal: Proposal, status: ProposalStatus, action: str, *, by: User, request: HttpRequest | None
) -> None:
    before = _facts(proposal)
    changed = Proposal.objects.filter(pk=proposal.pk, status=ProposalStatus.OPEN).update(
        status=status, decided_by=by, decided_at=Now()
    )
    if not changed:
        raise ProposalClosed(proposal.status)
    proposal.status, proposal.decided_by = status, by
    _record(proposal, action, by=by, before=before, after=_facts(proposal), request=request)


def _carry_out(proposal: Proposal, *, by: User, request: HttpRequest | None) -> None:
    before = _moved(proposal)
    _move(proposal)
    after = {"usd": proposal.usd, "reason": proposal.reason, **_moved(proposal)}
    if proposal.decided_by_id:
        after["proposed_by"] = proposal.proposed_by.email
    _record(
        proposal,
        f"ledger.{proposal.kind}",
        by=by,
        before=before,
        after=after,
        request=request,
    )


def _move(proposal: Proposal) -> None:
    if proposal.kind == Act.REFUND and proposal.topup:
        if not gateway.configured():
            raise RefundOff  # proposed while there was a key
        reversals.refund(
            proposal.topup,
            proposal.amount_micros,
            by=proposal.proposed_by,
            reason=proposal.reason,
            spent_too=proposal.spent_too,
        )
        return
    if proposal.kind == Act.CREDIT:
        _raise_credit(proposal)
        return
    verbs = {Act.GRANT: ledger.grant, Act.TOPUP: ledger.topup, Act.WRITE_OFF: ledger.write_off}
    verbs[Act(proposal.kind)](
        proposal.organization,
        proposal.amount_micros,
        reference=f"console:{proposal.once}",
        reason=proposal.reason,
        actor=proposal.proposed_by,
    )


def _raise_credit(proposal: Proposal) -> None:
    Limits.objects.get_or_create(organization=proposal.organization)
    rows = Limits.objects.filter(organization=proposal.organization)
    rows.update(credit_limit_micros=F("credit_limit_micros") + proposal.amount_micros)


def _moved(proposal: Proposal) -> dict[str, object]:
    """What the proposal is about, as it is now."""
    if proposal.kind == Act.CREDIT:
        return {"credit_limit_usd": format_usd(quotas.credit_limit(proposal.organization))}
    return {"available_usd": format_usd(ledger.balance(proposal.organization).available_micros)}


def _facts(proposal: Proposal) -> dict[str, object]:
    return {
        "kind": proposal.kind,
        "status": proposal.status,
        "usd": proposal.usd,
        "reason": proposal.reason,
        "topup": str(proposal.topup_id or ""),
        "proposed_by": proposal.proposed_by.email,
    }


def _record(
    proposal: Proposal,
    action: str,
    *,
    by: User,
    after: dict[str, object],
    before: dict[str, object] | None = None,
    request: HttpRequest | None,
) -> None:
    audit.record(
        action,
        by=by,
        target=proposal,
        organization=proposal.organization,
        before=before,
        after=after,
        request=request,
    )
