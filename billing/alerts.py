"""Telling organizations in time: at 50, 80 and 100 % of a month's budget, and when little credit is left.

Looked for once a minute beside the books, never in a job's own transaction: a hold costs no statement more for it. A row
that can be there only once says that something was reached, so two processes do not both tell it. What other rooms make
of it (ALERT_RAISED: webhooks) is written with the row. A letter that could not be sent is sent later, and a process that
dies while it sends may have sent: then it is sent once more.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from celery import shared_task
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import connection, transaction
from django.db.models.functions import Now
from django.urls import reverse
from django.utils.module_loading import import_string

from accounts import audit
from accounts.letters import compose
from accounts.models import Member, Organization
from accounts.scopes import ROLE_SCOPES
from accounts.tenancy import Caller
from billing.alert_models import Alert, AlertKind, AlertPlan
from billing.errors import BillingError
from billing.money import format_usd

log = logging.getLogger(__name__)

SHARES = (50, 80, 100)
AGAIN_MINUTES = 10
BATCH = 200

# Shares reached this month. Of several reached at once only the highest is told: the others are on record as told.
BUDGETS = """
INSERT INTO billing_alert (organization_id, kind, month, percent, limit_micros, found_micros, told_at)
SELECT s.organization_id, 'budget', s.month, share, b.micros, s.held_micros + s.spent_micros,
       CASE WHEN share < max(share) OVER (PARTITION BY s.organization_id) THEN now() END
FROM billing_monthspend s
LEFT JOIN billing_alertplan p ON p.organization_id = s.organization_id
LEFT JOIN billing_limits l ON l.organization_id = s.organization_id
CROSS JOIN LATERAL (SELECT coalesce(p.budget_micros, l.monthly_budget_micros) AS micros) b
CROSS JOIN unnest(%s::int[]) AS share
WHERE s.month = date_trunc('month', now() AT TIME ZONE 'UTC')::date AND b.micros > 0
  AND (s.held_micros + s.spent_micros) * 100 >= b.micros * share
ON CONFLICT (organization_id, month, percent, limit_micros) WHERE kind = 'budget' DO NOTHING
RETURNING id
"""
LOW = """
INSERT INTO billing_alert (organization_id, kind, percent, limit_micros, found_micros)
SELECT p.organization_id, 'balance', 0, p.low_balance_micros, a.balance_micros
FROM billing_alertplan p
JOIN billing_account a ON a.organization_id = p.organization_id AND a.kind = 'available'
WHERE a.balance_micros < p.low_balance_micros
ON CONFLICT (organization_id) WHERE kind = 'balance' AND over_at IS NULL DO NOTHING
RETURNING id
"""
ENOUGH = """
UPDATE billing_alert w SET over_at = now()
FROM billing_account a
LEFT JOIN billing_alertplan p ON p.organization_id = a.organization_id
WHERE w.kind = 'balance' AND w.over_at IS NULL AND a.organization_id = w.organization_id AND a.kind = 'available'
  AND a.balance_micros >= coalesce(p.low_balance_micros, a.balance_micros)
"""


def set_plan(caller: Caller, *, budget_micros: int | None, low_balance_micros: int | None) -> AlertPlan:
    """Both in micro-dollars; None asks for nothing. Raises BillingError."""
    if budget_micros is not None and budget_micros <= 0:
        raise BillingError("budget_invalid", "The budget must be more than zero.")
    if low_balance_micros is not None and low_balance_micros <= 0:
        raise BillingError("low_balance_invalid", "The low balance must be more than zero.")
    with transaction.atomic():
        before = AlertPlan.objects.for_org(caller.organization).select_for_update().first()
        wanted = {"budget_micros": budget_micros, "low_balance_micros": low_balance_micros}
        plan, _ = AlertPlan.objects.update_or_create(organization=caller.organization, defaults=wanted)
        old = {name: getattr(before, name) for name in wanted} if before else None
        audit.record("alerts.change", by=caller, target=plan, before=old, after=wanted)
    return plan


@dataclass(frozen=True)
class Standing:
    """What an organization asked to be told, and how far its month has gone; in micro-dollars."""

    wanted_budget: int | None
    low_balance: int | None
    # What the shares are counted of: the wish, else the budget that the operator set.
    budget: int | None
    used: int

    @property
    def used_usd(self) -> str:
        return format_usd(self.used)

    @property
    def budget_usd(self) -> str:
        return format_usd(self.budget) if self.budget else ""

    @property
    def percent(self) -> int:
        return min(100, self.used * 100 // self.budget) if self.budget else 0


STANDING = """
SELECT p.budget_micros, p.low_balance_micros, coalesce(p.budget_micros, l.monthly_budget_micros),
       coalesce(s.held_micros + s.spent_micros, 0)
FROM accounts_organization o
LEFT JOIN billing_alertplan p ON p.organization_id = o.id
LEFT JOIN billing_limits l ON l.organization_id = o.id
LEFT JOIN billing_monthspend s ON s.organization_id = o.id
    AND s.month = date_trunc('month', now() AT TIME ZONE 'UTC')::date
WHERE o.id = %s
"""


def standing(organization: Organization) -> Standing:
    """One statement, for the page."""
    with connection.cursor() as cursor:
        cursor.execute(STANDING, [organization.pk])
        return Standing(*cursor.fetchone())


def look() -> None:
    """Finds what was reached since the last look, and tells what nobody has told yet."""
    with transaction.atomic():
        raised = [import_string(name) for name in settings.ALERT_RAISED]
        for alert in Alert.objects.filter(pk__in=_found(), told_at=None).order_by("id"):
            for verb in raised:
                verb(alert)
    for pk in Alert.objects.untold().order_by("id").values_list("pk", flat=True)[:BATCH]:
        tell(pk)


def _found() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(BUDGETS, [list(SHARES)])
        rows = cursor.fetchall()
        cursor.execute(ENOUGH)
        cursor.execute(LOW)
        return [pk for (pk,) in rows + cursor.fetchall()]


def tell(pk: int) -> None:
    # Claimed by putting it off: a second process finds nothing to tell, and one that dies is made up for.
    rows = Alert.objects.filter(pk=pk)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE billing_alert SET tell_at = statement_timestamp() + make_interval(mins => %s)"
            " WHERE id = %s AND told_at IS NULL AND tell_at <= statement_timestamp()",
            [AGAIN_MINUTES, pk],
        )
        if not cursor.rowcount:
            return
    alert = rows.select_related("organization").get()
    try:
        _letter(alert).send()
    except OSError:  # every SMTP error is one
        log.warning("alert %s could not be mailed", pk, exc_info=True)
        return
    rows.update(told_at=Now())


def _letter(alert: Alert) -> EmailMultiAlternatives:
    name = alert.organization.name
    if alert.kind == AlertKind.BUDGET:
        subject, kind = f"{name} has used {alert.percent} % of its budget", "budget"
    else:
        subject, kind = f"{name} has little credit left", "low_balance"
    context = {
        "alert": alert,
        "organization": alert.organization,
        "page": settings.PUBLIC_URL + reverse("plan"),
        "pay": settings.PUBLIC_URL + reverse("billing"),
    }
    people = [
        member.user.email
        for member in Member.objects.for_org(alert.organization).select_related("user")
        if "billing:read" in ROLE_SCOPES[member.role] and "billing:write" in ROLE_SCOPES[member.role]
    ]
    return compose(subject, f"billing/email/{kind}", context, people)


@shared_task(name="billing.look_for_alerts")
def look_task() -> None:
    look()
