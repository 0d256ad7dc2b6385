"""What the books keep of an organization that is erased: its transfers and totals, as numbers."""

from __future__ import annotations

from accounts.models import Organization
from billing import ledger
from billing.alert_models import Alert, AlertPlan
from billing.gateway_models import PAYING, AutoTopUp, Customer
from billing.money import format_usd


def hindrance(organization: Organization) -> str:
    """Why it cannot be closed yet, as a sentence; nothing if it can."""
    if Customer.objects.for_org(organization).filter(subscription_status__in=PAYING).exists():
        return "You pay by invoice. End the subscription first, under Billing."
    left = ledger.balance(organization).available_micros
    if left < 0:
        return f"There are {format_usd(-left)} USD to be paid. Top up first, under Billing."
    return ""


def forget_organization(organization: Organization) -> None:
    """Inside the caller's transaction. The card goes; the customer's number stays with the invoices made for it."""
    AutoTopUp.objects.for_org(organization).update(enabled=False)
    Customer.objects.for_org(organization).update(card="", card_text="")
    for rows in (Alert, AlertPlan):
        rows.objects.for_org(organization).delete()
