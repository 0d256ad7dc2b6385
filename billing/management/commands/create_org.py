"""Makes an organization with an owner, a key and some credit: how an installation gets its first tenant.

It stands in billing because it grants credit, and accounts may not know of money.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email
from django.db import transaction

from accounts import keys
from accounts.models import Organization
from accounts.organizations import create_organization
from accounts.scopes import ALL_SCOPES
from accounts.users import ensure_user
from billing import ledger
from billing.models import Tier
from billing.money import format_usd, parse_usd


class Command(BaseCommand):
    help = (
        "Create an organization; the last line of the output is one JSON object with its login and API key."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="the organization's name")
        parser.add_argument("--email", required=True, help="its owner; made unless there is such a person")
        parser.add_argument(
            "--credit-usd", default="0", help="credit to start with, such as 20 or 0.5 (default 0)"
        )
        parser.add_argument("--tier", default="silver", help="rate and concurrency limits (default silver)")

    def handle(self, *args: Any, **options: Any) -> None:
        email = _email(options["email"])
        credit = _credit(options["credit_usd"])
        _check_tier(options["tier"])
        with transaction.atomic():
            user, password = ensure_user(email)
            organization = create_organization(options["name"], user, tier=options["tier"])
            _, text = keys.issue(organization, name="First key", by=user, scopes=ALL_SCOPES)
            if credit:
                _grant(organization, credit)
        self._tell(organization, user.email, password, text, credit)

    def _tell(
        self, organization: Organization, email: str, password: str | None, text: str, credit: int
    ) -> None:
        print(f"Organization   {organization.name} ({organization.slug}), tier {organization.tier}")
        print(f"Credit         {format_usd(credit)} USD")
        print(f"Sign in as     {email}")
        print(f"Password       {password or 'unchanged: this person had an account already'}")
        print("The API key, and a new password, are shown this once and stored nowhere:")
        facts = {"organization": str(organization.pk), "login": email, "password": password, "api_key": text}
        print(json.dumps(facts))


def _grant(organization: Organization, micros: int) -> None:
    reference = f"grant:create_org:{organization.pk}"
    ledger.grant(organization, micros, reference=reference, reason="Starting credit")


def _email(text: str) -> str:
    email = text.strip()
    try:
        validate_email(email)
    except ValidationError:
        raise CommandError(f"--email {text!r} is no e-mail address.") from None
    return email


def _check_tier(slug: str) -> None:
    tiers = list(Tier.objects.values_list("slug", flat=True))
    if slug not in tiers:
        raise CommandError(f"--tier {slug!r} does not exist. There are {', '.join(tiers)}.")


def _credit(text: str) -> int:
    try:
        micros = parse_usd(text)
    except ValueError as error:
        raise CommandError(f"--credit-usd: {error}") from None
    if micros < 0:
        raise CommandError("--credit-usd must not be negative.")
    return micros
