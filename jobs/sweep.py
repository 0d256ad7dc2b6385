"""The sweeper: re-wakes whatever is due. It alone guarantees progress; every other wake-up only saves time.

One process leads, by an advisory lock on a connection of its own: when it dies, the lock goes with the connection.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
from django.conf import settings
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from billing import due as billing_due
from jobs import detect, erasing, parts, request_log, switches
from jobs.models import Job, WebhookEndpoint
from jobs.personal import DataExport, Erasure, JobLetter
from jobs.states import OPEN, Status
from jobs.wake import wake
from providers.leases import FREE

log = logging.getLogger(__name__)

LEADER_LOCK = 0x73776565
BATCH = 200
# The same row is not woken again sooner: a busy worker's queue must not fill with copies.
AGAIN_SECONDS = 5.0
# A wake-up published at commit gets this long before the sweeper doubts that it arrived.
GRACE = timedelta(seconds=2)

Wakeup = tuple[str, ...]


class Sweeper:
    """Remembers what it woke, and holds the leader's lock while it lives."""

    def __init__(self) -> None:
        self.woken: dict[Wakeup, float] = {}
        self.session: psycopg.Connection | None = None

    def tick(self) -> int:
        """Wake what is due, if this process leads; how many rows were woken."""
        if not self.leads():
            return 0
        now = time.monotonic()
        self.woken = {key: at for key, at in self.woken.items() if now - at < AGAIN_SECONDS}
        fresh = [wakeup for wakeup in due() if wakeup not in self.woken]
        for wakeup in fresh:
            self.woken[wakeup] = now
            wake(*wakeup)
        request_log.drain()
        return len(fresh)

    def leads(self) -> bool:
        try:
            if self.session is None or self.session.closed:
                self.session = psycopg.connect(settings.DATABASE_URL, autocommit=True)
                return self._locked(self.session)
            self.session.execute("SELECT 1")
        except psycopg.Error:
            self.close()
            return False
        return True

    def _locked(self, session: psycopg.Connection) -> bool:
        row = session.execute("SELECT pg_try_advisory_lock(%s)", [LEADER_LOCK]).fetchone()
        if row and row[0]:
            return True
        self.close()
        return False

    def close(self) -> None:
        if self.session is not None:
            self.session.close()
            self.session = None


def due() -> Iterator[Wakeup]:
    """(task, arguments) of everything that should be worked on and that nobody has."""
    late = Now() - GRACE
    for status, task in ((Status.PREPARING, "jobs.prepare"), (Status.SAVING, "jobs.save")):
        for pk in _ids(Job.objects.filter(FREE, status=status, due_at__lte=late)):
            yield task, pk
    for pk in _ids(parts.between().filter(FREE, due_at__lte=late)):
        yield "jobs.next_part", pk
    if Job.objects.filter(status=Status.QUEUED, due_at__lte=Now()).exists():
        yield ("jobs.dispatch",)
    for pk in _ids(
        Job.objects.filter(status__in=[Status.RUNNING, Status.SAVING], cancel_requested_at__lt=late)
    ):
        yield "jobs.cancel", pk
    if switches.killed().filter(FREE).exists():
        yield ("jobs.kill",)
    for pk in _ids(Job.objects.filter(status__in=OPEN, deadline_at__lt=Now())):
        yield "jobs.expire", pk
    for look_id in detect.lost():
        yield "jobs.give_back_look", str(look_id)
    for pk in _ids(WebhookEndpoint.objects.filter(tell_at__lte=Now())):
        yield "jobs.tell_disabled", pk
    yield from _personal()
    yield from billing_due.due()


def _personal() -> Iterator[Wakeup]:
    """Copies and deletions of data, and the letters about them and about jobs."""
    for pk in _ids(DataExport.objects.filter(FREE, status=DataExport.Status.WAITING, due_at__lte=Now())):
        yield "jobs.export", pk
    for pk in _ids(erasing.running()):
        yield "jobs.stop_all", pk
    # A person goes after the organizations that go along.
    endings = Erasure.objects.filter(FREE, status__in=Erasure.OPEN, due_at__lte=Now())
    for pk in _ids(endings.order_by(F("user").asc(nulls_first=True))):
        yield "jobs.erase", pk
    for rows, task in ((DataExport, "export"), (Erasure, "erasure"), (JobLetter, "ended")):
        for pk in _ids(rows.objects.filter(tell_at__lte=Now())):
            yield f"jobs.tell_{task}", pk


def _ids(rows: QuerySet[Any]) -> Iterator[str]:
    for pk in rows.values_list("pk", flat=True)[:BATCH]:
        yield str(pk)
