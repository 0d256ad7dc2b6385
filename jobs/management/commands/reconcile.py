"""manage.py reconcile: hold the books, Stripe and the jobs against each other, now."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.control_models import Difference
from billing.reconcile import RULES, SETTLED
from jobs import reconcile


class Command(BaseCommand):
    help = "Goes through the rules R1 to R7; exits 1 if anything differs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--fresh",
            action="store_true",
            help="Also what happened within the last hour, news of which may be on their way.",
        )

    def handle(self, *_args: Any, fresh: bool, **_options: Any) -> None:
        report = reconcile.run(settled=timedelta() if fresh else SETTLED)
        rows = list(Difference.objects.filter(resolved_at=None).order_by("rule", "pk"))
        broken = {row.rule for row in rows}
        for rule in RULES:
            word = "DIFFERS" if rule in broken else "skipped" if rule in report.skipped else "ok"
            self.stdout.write(f"{word:>7}  {rule}  {report.skipped.get(rule, '')}".rstrip())
        for row in rows:
            self.stderr.write(str(row))
        if rows:
            raise CommandError(f"{len(rows)} differences", returncode=1)
