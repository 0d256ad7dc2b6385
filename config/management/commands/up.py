"""Runs the whole platform on this machine, in the foreground, until Ctrl-C."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.embedded.home import home_at
from config.embedded.process import StartError
from config.embedded.stack import Stack


class Command(BaseCommand):
    help = "Start PostgreSQL, Redis, web, workers, poller and beat as one tree; Ctrl-C stops all of it."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--port", type=int, default=0, help="where to serve (default: 8000 or the next free)"
        )
        parser.add_argument("--home", help="where the data lies (default: VOICEREEL_HOME, else .voicereel)")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            stack = Stack(home_at(options["home"]).make(), port=options["port"], out=sys.stdout)
            stack.run(when_ready=lambda: print(f"ready {stack.url}", flush=True))
        except StartError as error:
            raise CommandError(str(error)) from None
