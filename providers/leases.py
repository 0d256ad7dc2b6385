"""Claiming work: a lease says who has it until when, a fence says whether a late writer still does.

Times are the database's own, so the clocks of workers do not matter.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

from django.db import DatabaseError, connection, models, transaction
from django.db.models import F, Q
from django.db.models.functions import Now

log = logging.getLogger(__name__)

M = TypeVar("M", bound=models.Model)

# So often a kept claim is renewed in a lease: one time may fail. Work that hangs does not keep it for ever.
BEATS = 3
MOST_SECONDS = 2 * 3600

# No holder, or one that stopped renewing.
FREE = Q(lease_until=None) | Q(lease_until__lt=Now())


def claim(due: models.QuerySet[M], *, seconds: float, limit: int = 1) -> list[M]:
    """Up to `limit` free rows of `due`, now ours for `seconds`: each comes back with its raised fence.

    Rows another worker is claiming at this moment are passed over (SKIP LOCKED).
    """
    with transaction.atomic():
        rows: list[Any] = list(due.filter(FREE).select_for_update(skip_locked=True, of=("self",))[:limit])
        if rows:
            mine = due.model._default_manager.filter(pk__in=[row.pk for row in rows])  # noqa: SLF001  Django's name
            mine.update(lease_until=Now() + timedelta(seconds=seconds), fence=F("fence") + 1)
        for row in rows:
            row.fence += 1
    return rows


def renew(row: models.Model, *, seconds: float, given: Q | None = None) -> bool:
    """Keep the claim for another `seconds`. False: somebody else has it now, or the row is not as `given` any more; stop
    at once.
    """
    rows = type(row)._default_manager.filter(given or Q(), pk=row.pk, fence=row.fence)  # type: ignore[attr-defined]  # noqa: SLF001  Django's documented name
    return bool(rows.update(lease_until=Now() + timedelta(seconds=seconds)) == 1)


class Lost(Exception):
    """The claim is not ours any more: whatever was begun under it is left as it is."""


class Kept:
    """A claim that a thread of its own renews while the work goes on."""

    def __init__(self, row: models.Model, seconds: float, given: Q) -> None:
        self.row, self.seconds, self.given = row, seconds, given
        self.lost = False
        self.over = threading.Event()

    def require(self) -> None:
        """Raises Lost once a renewal was refused. Call it before each step that takes long."""
        if self.lost:
            raise Lost

    def beat(self) -> None:
        end = time.monotonic() + MOST_SECONDS
        while not self.lost and not self.over.wait(self.seconds / BEATS):
            try:
                self.lost = time.monotonic() > end or not renew(
                    self.row, seconds=self.seconds, given=self.given
                )
            except DatabaseError:
                log.warning("could not renew the claim of %s; trying again", self.row, exc_info=True)
            finally:
                connection.close()


@contextmanager
def kept(row: models.Model, *, seconds: float, given: Q) -> Iterator[Kept]:
    """Keep a claim of `seconds` for as long as the block runs and the row is as `given`. Afterwards nothing renews it."""
    claim = Kept(row, seconds, given)
    thread = threading.Thread(target=claim.beat, name="lease", daemon=True)
    thread.start()
    try:
        yield claim
    finally:
        claim.over.set()
        thread.join()
