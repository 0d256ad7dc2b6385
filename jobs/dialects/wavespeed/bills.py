"""What was used and what it cost, in this API's shapes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from django.utils import timezone

from accounts.models import Organization
from billing import quotes, usage
from billing.models import Transfer, TransferKind
from billing.money import to_number
from jobs.dialects.wavespeed.wire.models import TYPES, path_of
from jobs.dialects.wavespeed.wire.predictions import moment
from jobs.models import Job
from jobs.states import Status

SPAN = timedelta(days=30)
# The vendor's list of types is not published; these words are ours.
BILLING_TYPES = {
    TransferKind.CAPTURE: "consumption",
    TransferKind.TOPUP: "topup",
    TransferKind.GRANT: "grant",
    TransferKind.REFUND: "refund",
    TransferKind.ADJUSTMENT: "adjustment",
}
KINDS = {word: kind for kind, word in BILLING_TYPES.items()}


def usage_stats(
    organization: Organization, start: datetime | None, end: datetime | None, slug: str | None
) -> dict[str, Any]:
    """By model and by day; without times, of the last 30 days. Days are UTC."""
    end = end or timezone.now()
    start = start or end - SPAN
    models = usage.by_model(organization, start, end, model=slug)
    days = usage.by_day(organization, start, end, model=slug)
    rates = {price.model: price.micros_per_unit for price in reversed(quotes.price_list(organization))}
    asked = Job.objects.for_org(organization).filter(created_at__gte=start, created_at__lt=end)
    asked = asked.filter(model=slug) if slug else asked
    return {
        "per_model_usage": [
            {
                "model_uuid": path_of(row.model),
                "model_type": TYPES.get(row.model, ""),
                "unit_price": to_number(rates.get(row.model, 0)),
                "total_cost": to_number(row.micros),
                "total_count": row.jobs,
                "last_used_date": moment(row.last_used),
            }
            for row in models
        ],
        "daily_usage": [
            {"date": row.day.isoformat(), "amount": to_number(row.micros), "count": row.jobs} for row in days
        ],
        "summary": {
            "total_cost": to_number(sum(row.micros for row in models)),
            "total_requests": asked.count(),
            "success_requests": asked.filter(status=Status.SUCCEEDED).count(),
        },
    }


def billing(transfer: Transfer) -> dict[str, Any]:
    """One line of the bill."""
    kind = TransferKind(transfer.kind)
    job = transfer.job_id
    line: dict[str, Any] = {
        "uuid": uuid5(NAMESPACE_URL, transfer.reference).hex,
        "billing_type": BILLING_TYPES[kind],
        "price": to_number(transfer.amount_micros),
        "created_at": moment(transfer.created_at),
        "access_key_name": transfer.key.name if transfer.key else "",
        "access_key_uuid": transfer.key.pk.hex if transfer.key else "",
        "order": {},
        "prediction": {},
        "consumption": {},
    }
    if job is not None:
        model = path_of(transfer.hold.model) if transfer.hold and transfer.hold.model else ""
        line["prediction"] = {"id": job.hex, "model": model}
        line["consumption"] = {"amount": to_number(transfer.amount_micros)}
    else:
        line["order"] = {"amount": to_number(transfer.amount_micros), "note": transfer.note}
    return line
