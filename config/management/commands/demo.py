"""Shows the platform at work: starts it, renders the sample through the public API, and prints the bill."""

from __future__ import annotations

import sys
import threading
from argparse import ArgumentParser
from typing import Any

import httpx
from django.core.management.base import BaseCommand, CommandError

from config.embedded.home import home_at
from config.embedded.process import StartError
from config.embedded.showcase import DemoError, Showcase
from config.embedded.stack import Stack

PATIENCE = 120.0


class Command(BaseCommand):
    help = "Start the platform, render the sample through its API, show the bill, and keep serving."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--port", type=int, default=0, help="where to serve (default: 8000 or the next free)"
        )
        parser.add_argument("--home", help="where the data lies (default: VOICEREEL_HOME, else .voicereel)")
        parser.add_argument(
            "--once", action="store_true", help="stop after the render; exit 0 if the video is good"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        home = home_at(options["home"]).make()
        log = home.logs / "stack.log"
        print(f"Starting PostgreSQL, Redis, web and workers in {home.root} (log: {log})", flush=True)
        with log.open("w") as out:
            try:
                stack = Stack(home, port=options["port"], out=out)
                demo = Demo(stack, once=options["once"])
                stack.run(when_ready=demo.start, patience=PATIENCE)
            except StartError as error:
                raise CommandError(f"{error} The log is {log}") from None
        if demo.failure:
            raise CommandError(f"{demo.failure} The log is {log}")
        if options["once"] and not demo.done:
            raise CommandError("Stopped before the video was ready.")


class Demo:
    """The customer's part, in a thread of its own: the supervisor must have the main one."""

    def __init__(self, stack: Stack, *, once: bool) -> None:
        self.stack = stack
        self.once = once
        self.done = False
        self.failure = ""

    def start(self) -> None:
        print(f"ready {self.stack.url}", flush=True)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            Showcase(self.stack.home, url=self.stack.url, env=self.stack.env, out=sys.stdout).run()
            self.done = True
        except (DemoError, httpx.HTTPError) as error:
            self.failure = str(error)
        if self.once or self.failure:
            self.stack.ask_stop()
        else:
            print("Serving until Ctrl-C; the data stays.", flush=True)
