"""Ask the content check about files: shows whether it is set up, and what it says."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from jobs.moderation import verdicts


class Command(BaseCommand):
    help = "Say what the content check makes of pictures and films."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="+", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.MODERATION_CHECKER:
            raise CommandError("The content check is off: set MODERATION_CHECKER.")
        for path in options["files"]:
            try:
                found = verdicts.verdict(path)
            except verdicts.CheckFailed as failed:
                raise CommandError(f"{path}: {failed}") from None
            word = "flagged" if found.flagged else "fine"
            self.stdout.write(f"{path}: {word} ({found.label} {found.share:.3f})")
