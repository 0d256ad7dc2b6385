"""Credit that is bought by itself: when little is left, the saved card is charged while nobody is there.

Only with consent, which is kept with the plan; never more than the plan's daily cap; one payment at a time (the database
holds that); and after a decline less and less often, until somebody has looked at it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

from celery import shared_task
from django.db import transaction
from django.db.models import Exists, OuterRef, Sum
from django.db.models.functions import Now

from accounts import audit
from accounts.models import BillingMode, Organization
from accounts.tenancy import Caller
from billing import topups
from billing.errors import CardMissing, TopUpPlanWrong
from billing.gateway_models import UNPAID, AutoTopUp, Customer, TopUp, TopUpStatus
from billing.models import Account, Kind
from billing.money import format_usd

DAY = timedelta(hours=24)
# After the first and the second failure in a row; the third switches the plan off.
WAITS = (timedelta(hours=1), timedelta(hours=24))


def plan_of(organization: Organization) -> AutoTopUp | None:
    return AutoTopUp.objects.for_org(organization).first()


def switch_on(
    caller: Caller, *, threshold_micros: int, amount_micros: int, daily_cap_micros: int
) -> AutoTopUp:
    """Consent, by a person, to charge the saved card whenever less than the threshold is left."""
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
        AutoTopUp.objects.update_or_create(organization=caller.organization, defaults=fields)
        plan = AutoTopUp.objects.get(organization=caller.organization)
        audit.record("autotopup.on", by=caller, target=plan, after=plan.facts())
    return plan


def switch_off(caller: Caller) -> None:
    with transaction.atomic():
        plan = AutoTopUp.objects.for_org(caller.organization).select_for_update().first()
        if plan and plan.enabled:
            AutoTopUp.objects.filter(pk=plan.pk).update(enabled=False, problem="")
            audit.record("autotopup.off", by=caller, target=plan, before=plan.facts())


def low() -> Iterator[str]:
    """Organizations whose plan should buy credit now."""
    enough = Account.objects.filter(
        organization=OuterRef("organization"),
        kind=Kind.AVAILABLE,
        balance_micros__gte=OuterRef("threshold_micros"),
    )
    buying = TopUp.objects.filter(organization=OuterRef("organization"), automatic=True, status__in=UNPAID)
    plans = AutoTopUp.objects.filter(
        ~Exists(enough),
        ~Exists(buying),
        enabled=True,
        next_at__lte=Now(),
        organization__billing_mode=BillingMode.PREPAID,
        organization__suspended_at=None,
    )
    for pk in plans.values_list("pk", flat=True):
        yield str(pk)


def start(organization_id: str) -> None:
    """Buys once, if the plan still says so: asked again under the plan's lock."""
    with transaction.atomic():
        plan = (
            AutoTopUp.objects.select_for_update(of=("self",))
            .filter(organization=UUID(organization_id))
            .first()
        )
        if plan is None or organization_id not in set(low()) or not _may(plan):
            return
        topup = TopUp.objects.create(
            organization_id=plan.pk,
            created_by_id=plan.consent_by_id,
            automatic=True,
            amount_micros=plan.amount_micros,
        )
    topups.refresh(str(topup.pk))


def _may(plan: AutoTopUp) -> bool:
    """Neither the cap nor earlier failures forbid it. What forbids it is written down with the time to ask again."""
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
        AutoTopUp.objects.filter(pk=plan.pk).update(
            enabled=False, problem="Switched off after three failed payments."
        )
        return False
    if tries and failed.filter(created_at__gt=Now() - WAITS[tries - 1]).exists():
        return _wait(plan, timedelta(minutes=10), "The last payment failed; it is tried again later.")
    return True


def _wait(plan: AutoTopUp, pause: timedelta, problem: str) -> bool:
    AutoTopUp.objects.filter(pk=plan.pk).update(next_at=Now() + pause, problem=problem)
    return False


@shared_task(name="billing.auto_topup")
def auto_topup(organization_id: str) -> None:
    start(organization_id)
