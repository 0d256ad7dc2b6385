"""The credit every new organization starts with, where the operator gives one (SIGNUP_CREDIT_USD)."""

from __future__ import annotations

from django.conf import settings

from accounts.models import Organization
from billing import ledger
from billing.money import parse_usd


def grant_welcome(organization: Organization) -> None:
    """Called by accounts for every new organization, inside the transaction that makes it."""
    micros = parse_usd(settings.SIGNUP_CREDIT_USD)
    if micros > 0:
        ledger.grant(
            organization, micros, reference=f"grant:welcome:{organization.pk}", reason="Welcome credit"
        )
