"""Credit that is bought by itself: when little is left, the saved card is charged while nobody is there.

Only with consent, which is kept with the plan; never more than the plan's daily cap; one payment at a time (the database
holds that); and after a decline less and less often, until somebody has looked at it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

from celery import shared_task
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Sum
from django.db.models.functions import Now

from accounts import audit
from accounts.models import Organization
from accounts.tenancy import Caller
from billing import topups
from billing.errors import CardMissing, TaxNeedsPage, TopUpPlanWrong
from billing.gateway_models import (
    FREE,
    UNPAID,
    AutoTopUp,
    AutoTopUpQuerySet,
    Customer,
    TopUp,
    TopUpStatus,
)
from billing.models import Account, Kind
from billing.money import format_usd
from billing.wake import wake

DAY = timedelta(hours=24)
# After the first and the second failure in a row; the third switches the plan off.
WAITS = (timedelta(hours=1), timedelta(hours=24))


def plan_of(organization: Organization) -> AutoTopUp | None:
    return AutoTopUp.objects.for_org(organization).first()


def switch_on(
    caller: Caller, *, threshold_micros: int, amount_micros: int, daily_cap_micros: int
) -> AutoTopUp:
    """Consent, by a person, to charge the saved card whenever less than the threshold is left."""
    if settings.STRIPE_TAX:
        raise TaxNeedsPage
    topups.check_amount(amount_micros)
    if threshold_micros <= 0 or daily_cap_micros < amount_micros:
        raise TopUpPlanWrong
    if not Customer.objects.for_org(caller.organization).exclude(card="").exists():
        raise CardMissing
    fields = {
        "enabled": True,
        "threshold_micros": threshold_micros,
        "amount_micros": amount_micros,
        "daily_cap_micros": daily_cap_micros,
        "consent_by": caller.user,
        "consent_at": Now(),
        "next_at": Now(),
        "problem": "",
    }
    with transaction.atomic():
        old = AutoTopUp.objects.for_org(caller.organization).select_for_update().first()
        AutoTopUp.objects.update_or_create(organization=caller.organization, defaults=fields)
        plan = AutoTopUp.objects.get(organization=caller.organization)
        before = {"enabled": old.enabled, **old.facts()} if old else {"enabled": False}
        audit.record(
            "autotopup.on", by=caller, target=plan, before=before, after={"enabled": True, **plan.facts()}
        )
    return plan


def switch_off(caller: Caller) -> None:
    with transaction.atomic():
        plan = AutoTopUp.objects.for_org(caller.organization).select_for_update().first()
        if plan and plan.enabled:
            AutoTopUp.objects.filter(pk=plan.pk).update(enabled=False, problem="")
            _look_at_pending(plan)
            audit.record("autotopup.off", by=caller, target=plan, before=plan.facts())


def _look_at_pending(plan: AutoTopUp) -> None:
    """Whoever comes to the row of a payment finds what was paid, or ends it. One who is at it now ends it by himself: his
    fence stays, since the payment that he may be making is his to write down.
    """
    pending = TopUp.objects.filter(organization_id=plan.pk, automatic=True, status__in=UNPAID, waiting=True)
    for pk in pending.filter(FREE).values_list("pk", flat=True):
        TopUp.objects.filter(FREE, pk=pk).update(due_at=Now())
        wake("billing.refresh_topup", str(pk))


def low() -> Iterator[str]:
    """Organizations whose plan should buy credit now."""
    for pk in _low().values_list("pk", flat=True):
        yield str(pk)


def _low() -> AutoTopUpQuerySet:
    enough = Account.objects.filter(
        organization=OuterRef("organization"),
        kind=Kind.AVAILABLE,
        balance_micros__gte=OuterRef("threshold_micros"),
    )
    buying = TopUp.objects.filter(organization=OuterRef("organization"), automatic=True, status__in=UNPAID)
    return AutoTopUp.objects.in_force().filter(~Exists(enough), ~Exists(buying), next_at__lte=Now())


def start(organization_id: str) -> None:
    """Buys once, if the plan still says so: asked again under the plan's lock."""
    with transaction.atomic():
        plan = (
            AutoTopUp.objects.select_for_update(of=("self",))
            .filter(organization=UUID(organization_id))
            .first()
        )
        if plan is None or not _low().filter(pk=plan.pk).exists() or not _may(plan):
            return
        topup = TopUp.objects.create(
            organization_id=plan.pk,
            created_by_id=plan.consent_by_id,
            automatic=True,
            amount_micros=plan.amount_micros,
        )
    topups.refresh(str(topup.pk))


def _may(plan: AutoTopUp) -> bool:
    """Neither tax, the cap nor earlier failures forbid it. What forbids it is written down with the time to ask again."""
    if settings.STRIPE_TAX:
        return _end(plan, TaxNeedsPage().message)
    mine = TopUp.objects.filter(organization_id=plan.pk, automatic=True)
    today = mine.filter(created_at__gt=Now() - DAY).exclude(
        status__in=[TopUpStatus.FAILED, TopUpStatus.EXPIRED]
    )
    spent = today.aggregate(micros=Sum("amount_micros"))["micros"] or 0
    if spent + plan.amount_micros > plan.daily_cap_micros:
        return _wait(
            plan, timedelta(hours=1), f"The daily cap of {format_usd(plan.daily_cap_micros)} USD is reached."
        )
    failed = mine.filter(status=TopUpStatus.FAILED, created_at__gt=plan.consent_at)
    paid = mine.filter(status=TopUpStatus.PAID).order_by("-created_at").first()
    if paid:
        failed = failed.filter(created_at__gt=paid.created_at)
    tries = failed.count()
    if tries > len(WAITS):
        return _end(plan, "Switched off after three failed payments.")
    if tries and failed.filter(created_at__gt=Now() - WAITS[tries - 1]).exists():
        return _wait(plan, timedelta(minutes=10), "The last payment failed; it is tried again later.")
    return True


def _wait(plan: AutoTopUp, pause: timedelta, problem: str) -> bool:
    AutoTopUp.objects.filter(pk=plan.pk).update(next_at=Now() + pause, problem=problem)
    return False


def _end(plan: AutoTopUp, problem: str) -> bool:
    AutoTopUp.objects.filter(pk=plan.pk).update(enabled=False, problem=problem)
    return False


@shared_task(name="billing.auto_topup")
def auto_topup(organization_id: str) -> None:
    start(organization_id)
