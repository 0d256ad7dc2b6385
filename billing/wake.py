"""Wake-ups of billing's own work. The row is the truth: `due` finds whatever a lost message was about."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

from celery import current_app
from django.db import transaction
from django.db.models.functions import Now

from billing.gateway_models import (
    Customer,
    DueQuerySet,
    Invoice,
    Reversal,
    StripeEvent,
    TopUp,
    UsageLine,
    UsageReport,
)

BATCH = 200
# A wake-up published at commit gets this long before it is doubted.
GRACE = timedelta(seconds=2)


def wake(task: str, *args: str) -> None:
    """Publish the task once the running transaction has committed. A broker that is away is only logged."""
    transaction.on_commit(partial(current_app.send_task, task, args=args, retry=False), robust=True)


def due() -> Iterator[tuple[str, ...]]:
    """(task, argument) of everything that waits for Stripe and that nobody has."""
    waiting: tuple[tuple[str, DueQuerySet[Any]], ...] = (
        ("billing.apply_event", StripeEvent.objects.all()),
        ("billing.refresh_topup", TopUp.objects.all()),
        ("billing.refresh_reversal", Reversal.objects.all()),
        ("billing.refresh_customer", Customer.objects.all()),
        ("billing.refresh_invoice", Invoice.objects.all()),
        ("billing.report_use", UsageReport.objects.all()),
        ("billing.send_line", UsageLine.objects.all()),
    )
    for task, rows in waiting:
        for pk in rows.due().filter(due_at__lte=Now() - GRACE).values_list("pk", flat=True)[:BATCH]:
            yield task, str(pk)
