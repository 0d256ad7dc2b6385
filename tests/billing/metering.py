"""Jobs of an organization that is invoiced, and what became of their seconds."""

from __future__ import annotations

import uuid
from datetime import timedelta
from decimal import Decimal

from django.db import transaction
from django.db.models import F

from billing import ledger
from billing.models import (
    Customer,
    UsageReport,
)
from billing.outbox import Use
from tests.stripe_double import subscriptions as stripes

USD = 1_000_000
RATE = 30_000
SECOND_EVENT = f"voicereel_seconds_at_{RATE}"


def job(organization, seconds: int, rate: int = RATE) -> uuid.UUID:
    """A finished job."""
    job_id = uuid.uuid4()
    with transaction.atomic():
        ledger.hold(organization, job_id=job_id, amount_micros=seconds * rate, model="wan-2.2-s2v")
    with transaction.atomic():
        ledger.capture(job_id, seconds * rate, use=Use("second", seconds, rate))
    return job_id


def metered(desk, event: str = SECOND_EVENT) -> Decimal:
    meter = next(meter for meter in desk.world.all("billing.meter") if meter["event_name"] == event)
    return stripes.metered(desk.world, Customer.objects.get().number, meter["id"])


def states() -> list[str]:
    return list(UsageReport.objects.order_by("id").values_list("state", flat=True))


def age(hours: float) -> None:
    """Our clock, too, is so much later: the reports are so much older."""
    past = timedelta(hours=hours)
    UsageReport.objects.update(created_at=F("created_at") - past, first_tried_at=F("first_tried_at") - past)
