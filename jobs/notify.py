"""Outgoing webhooks: rows first, then tries over 75.6 hours, every one through the pinned transport."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from datetime import timedelta
from typing import cast

import httpx
from celery import shared_task
from django.conf import settings
from django.db.models import F
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from jobs import fetch
from jobs.models import Delivery, Job
from jobs.wake import wake
from providers import leases

log = logging.getLogger(__name__)

# Seconds to wait after the 1st, 2nd, ... failed try: 0, 5 s, 5 m, 30 m, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h in all.
WAITS = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
TIMEOUT_SECONDS = 15
LEASE_SECONDS = 60
GONE = 410
EXCERPT = 1000

# (job, delivery) -> headers and body of the dialect
Renderer = Callable[[Job, Delivery], tuple[dict[str, str], bytes]]


def enqueue(job: Job) -> None:
    """Insert the delivery of a job that just ended, in the transaction that ends it."""
    if not job.webhook_url or job.dialect not in settings.DIALECT_WEBHOOKS:
        return
    delivery, created = Delivery.objects.get_or_create(
        job=job,
        url=job.webhook_url,
        defaults={"organization_id": job.organization_id, "dialect": job.dialect},
    )
    if created:
        wake("jobs.deliver", str(delivery.pk))


def deliver(delivery_id: str) -> None:
    """One try, if it is due and nobody else is at it."""
    due = Delivery.objects.filter(pk=delivery_id, status=Delivery.Status.DUE, due_at__lte=Now())
    for delivery in leases.claim(due.select_related("job"), seconds=LEASE_SECONDS):
        status, answer, retry_after = _post(delivery)
        _record(delivery, status, answer, retry_after)


def _post(delivery: Delivery) -> tuple[int | None, str, float]:
    """The receiver's status (None: no answer), an excerpt of its answer, and its Retry-After in seconds."""
    render = cast(Renderer, import_string(settings.DIALECT_WEBHOOKS[delivery.dialect]))
    try:
        headers, body = render(delivery.job, delivery)
        with fetch.client(timeout=TIMEOUT_SECONDS) as client:
            fetch.check_url(delivery.url)
            response = client.post(delivery.url, content=body, headers=headers)
    except fetch.FetchRefused as refusal:
        return None, refusal.message, 0
    except httpx.HTTPError as error:
        return None, type(error).__name__, 0
    except Exception:
        # A body that cannot be drawn counts as a try like any other, or it would be tried for ever.
        log.exception("webhook %s could not be sent", delivery.pk, extra={"job": delivery.job_id})
        return None, "The message could not be made.", 0
    after = response.headers.get("retry-after", "")
    return response.status_code, response.text[:EXCERPT], float(after) if after.isdigit() else 0


def _record(delivery: Delivery, status: int | None, answer: str, retry_after: float) -> None:
    mine = Delivery.objects.filter(pk=delivery.pk, fence=delivery.fence)
    seen = {"tries": F("tries") + 1, "last_status": status, "last_answer": answer, "lease_until": None}
    if status is not None and httpx.codes.is_success(status):
        mine.update(status=Delivery.Status.DELIVERED, finished_at=Now(), **seen)
    elif status == GONE or delivery.tries >= len(WAITS):
        mine.update(status=Delivery.Status.FAILED, finished_at=Now(), **seen)
    else:
        # up to a tenth more, so that many deliveries do not come back in one instant
        wait = max(WAITS[delivery.tries], retry_after) * random.uniform(1.0, 1.1)
        mine.update(due_at=Now() + timedelta(seconds=wait), **seen)


@shared_task(name="jobs.deliver")
def deliver_task(delivery_id: str) -> None:
    deliver(delivery_id)
