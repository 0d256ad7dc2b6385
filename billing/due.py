"""Everything of billing's that waits and that nobody has: the sweeper wakes it, whatever became of the messages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.db.models.functions import Now

from billing import autotopup
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
    for organization_id in autotopup.low():
        yield "billing.auto_topup", organization_id
