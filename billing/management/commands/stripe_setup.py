"""Makes what the Stripe account needs: meters, prices, the portal, webhook endpoints. Safe to run again at any time."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing import gateway_setup
from billing.errors import GatewayError


class Command(BaseCommand):
    help = (
        "Create or check meters, prices, the customer portal and the webhook endpoints in the Stripe account."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        secrets = []
        try:
            for done in gateway_setup.set_up():
                note = f" ({done.note})" if done.note else ""
                print(f"{'made ' if done.made else 'found'} {done.what} {done.number}{note}")
                if done.secret:
                    secrets.append(done.secret)
        except GatewayError as error:
            raise CommandError(
                f"{error.message} ({error})" if str(error) != error.message else error.message
            ) from None
        if secrets:
            print("Add these to STRIPE_WEBHOOK_SECRETS. They are shown this once:")
            print(",".join(secrets))
