"""Claiming work: a lease says who has it until when, a fence says whether a late writer still does.

Times are the database's own, so the clocks of workers do not matter.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, TypeVar

from django.db import models, transaction
from django.db.models import F, Q
from django.db.models.functions import Now

M = TypeVar("M", bound=models.Model)

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


def renew(row: models.Model, *, seconds: float) -> bool:
    """Keep the claim for another `seconds`. False: somebody else has it now, stop at once."""
    rows = type(row)._default_manager.filter(pk=row.pk, fence=row.fence)  # type: ignore[attr-defined]  # noqa: SLF001  Django's documented name
    return bool(rows.update(lease_until=Now() + timedelta(seconds=seconds)) == 1)
