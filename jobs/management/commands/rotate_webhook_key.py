"""manage.py rotate_webhook_key: a new Ed25519 key for webhooks; the one before signs beside it for a while."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from jobs import signing


class Command(BaseCommand):
    help = "Makes a new key for the v1a signatures of webhooks; the old one stays published and signs as well meanwhile."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--overlap-hours", type=float, default=168.0, help="how long; a week by default")

    def handle(self, *args: Any, **options: Any) -> None:
        key = signing.rotate(timedelta(hours=options["overlap_hours"]))
        self.stdout.write(key.kid)
