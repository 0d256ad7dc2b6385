"""manage.py check_ledger: recompute the books and compare."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing import ledger_check


class Command(BaseCommand):
    help = "Recomputes every balance from the transfers; exits 1 if anything differs."

    def handle(self, *_args: Any, **_options: Any) -> None:
        started = time.monotonic()
        differences = ledger_check.check()
        broken = {difference.rule for difference in differences}
        for rule in ledger_check.RULES:
            self.stdout.write(f"{'DIFFERS' if rule in broken else 'ok':>7}  {rule}")
        for difference in differences:
            self.stderr.write(str(difference))
        looked_at = ", ".join(f"{count} {name}" for name, count in ledger_check.counts().items())
        self.stdout.write(f"{looked_at}; {time.monotonic() - started:.2f} s")
        if differences:
            raise CommandError(f"{len(differences)} differences", returncode=1)
