"""/status: how the product is doing, in words for its users. Answers while any of its parts is away."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import DatabaseError
from django.db.models import Count, Min, Q
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.http import require_GET

from config.health import database_answers, redis_answers
from jobs import storage
from jobs.models import Delivery, Job
from jobs.states import Status
from jobs.types import least_id
from providers import circuit
from providers.models import Route

# However many people look, the parts are asked this often.
KEPT_SECONDS = 5.0
LONG_WAIT = timedelta(minutes=10)
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Part:
    """One line of the page. `tone` is a badge's: good, busy or bad."""

    name: str
    words: str
    state: str = "Working"
    tone: str = "good"


class Kept:
    """The last answer, shared by the threads of this process. One of them looks anew; a part that hangs holds only it
    up, the others are told what was found before.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.until = 0.0
        self.answer: dict[str, Any] = {}

    def get(self, look: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if time.monotonic() >= self.until and self.lock.acquire(blocking=not self.answer):
            try:
                if time.monotonic() >= self.until:
                    self.answer = look()
                    self.until = time.monotonic() + KEPT_SECONDS
            finally:
                self.lock.release()
        return self.answer

    def forget(self) -> None:
        self.until, self.answer = 0.0, {}


kept = Kept()


@require_GET
def status(request: HttpRequest) -> HttpResponse:
    """Rendered without the request: whose session it is would have to be asked of a database that may be away."""
    return HttpResponse(
        render_to_string("status.html", kept.get(look)), headers={"Cache-Control": "no-store"}
    )


@require_GET
def note(request: HttpRequest) -> HttpResponse:
    """What every page of the dashboard fetches when it is loaded: 204 while all is well, else what is degraded."""
    found = kept.get(look)
    degraded = [part for part in found["parts"] if part.tone != "good"]
    if not degraded:
        return HttpResponse(status=204, headers={"Cache-Control": "no-store"})
    context = {"parts": degraded, "tone": found["tone"]}
    return HttpResponse(render_to_string("status_note.html", context), headers={"Cache-Control": "no-store"})


def look() -> dict[str, Any]:
    parts = [*_servers(), *_work()]
    bad = [part.name for part in parts if part.tone == "bad"]
    slow = [part.name for part in parts if part.tone == "busy"]
    if bad:
        summary, tone = f"Not everything works: {', '.join(bad).lower()}.", "bad"
    elif slow:
        summary, tone = f"Everything works, but slowly: {', '.join(slow).lower()}.", "busy"
    else:
        summary, tone = "Everything works.", "good"
    return {"parts": parts, "summary": summary, "tone": tone, "at": timezone.now()}


def _servers() -> list[Part]:
    database = "Accounts, jobs and billing."
    redis = "Live progress and rate limits. Without it pages refresh more slowly; no job is lost."
    files = "Uploads and finished videos. Without it nothing can be uploaded or watched; what is stored is not lost."
    return [
        Part("Website and API", "This page answered."),
        _part("Database", database, database_answers()),
        _part("Live updates", redis, redis_answers()),
        _part("Files", files, storage.answers()),
    ]


def _part(name: str, words: str, works: bool) -> Part:  # noqa: FBT001  reads well where it is called
    return Part(name, words) if works else Part(name, words, "Away", "bad")


def _work() -> list[Part]:
    try:
        return [_rendering(), _webhooks()]
    except DatabaseError:
        unknown = "Cannot be told while the database is away."
        return [Part("Rendering", unknown, "Unknown", "bad"), Part("Webhooks", unknown, "Unknown", "bad")]


def _rendering() -> Part:
    """By how long the next job has waited; what organizations hold back by their own limits waits as well."""
    queue = Job.objects.filter(status=Status.QUEUED).aggregate(n=Count("pk"), since=Min("queued_at"))
    running = Job.objects.filter(status__in=[Status.RUNNING, Status.SAVING]).count()
    ended = Job.objects.filter(pk__gte=least_id(timezone.now() - HOUR)).aggregate(
        good=Count("pk", filter=Q(status=Status.SUCCEEDED)),
        failed=Count("pk", filter=Q(status__in=[Status.FAILED, Status.EXPIRED])),
    )
    words = (
        f"{running} at work, {queue['n']} waiting. Of those ordered within the last hour {ended['good']} "
        f"have finished and {ended['failed']} failed."
    )
    waited = timezone.now() - queue["since"] if queue["since"] else timedelta(0)
    if silent := _silent_models():
        trouble = f"Nobody renders {', '.join(silent)} at the moment; such jobs are tried again, and free if they fail."
        return Part("Rendering", f"{trouble} {words}", "Disturbed", "bad")
    if waited > LONG_WAIT:
        return Part("Rendering", f"{words} The oldest has waited {_minutes(waited)}.", "Slow", "busy")
    return Part("Rendering", words)


def _silent_models() -> list[str]:
    """The models of which every way to render them, of those for everybody, failed lately."""
    shut, tried = circuit.opened()
    if not (failing := shut | tried):
        return []
    by_model: dict[str, set[int]] = defaultdict(set)
    rows = Route.objects.filter(organization=None, enabled=True).values_list("model", "pk")
    for model, route in rows:
        by_model[model].add(route)
    return sorted(model for model, routes in by_model.items() if routes <= failing)


def _webhooks() -> Part:
    late = Delivery.objects.filter(status=Delivery.Status.DUE, tries=0, due_at__lt=Now() - LONG_WAIT).exists()
    words = "Messages to your servers when a job ends."
    return Part("Webhooks", words, "Slow", "busy") if late else Part("Webhooks", words)


def _minutes(span: timedelta) -> str:
    return f"{int(span.total_seconds() // 60)} minutes"
