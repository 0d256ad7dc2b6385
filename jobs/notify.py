"""Outgoing webhooks: rows first, then ten tries over 75.6 hours, every one through the pinned transport."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import accumulate
from typing import cast

import httpx
from django.conf import settings
from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Greatest, Least, Now
from django.utils.module_loading import import_string

from billing.models import Alert
from jobs import fetch, webhooks
from jobs.lanes import behind, lane_of
from jobs.live import let_go
from jobs.models import Delivery, DeliveryTry, Job, WebhookEndpoint
from jobs.states import ALERT_TYPES, EVERYTHING, OURS, told_as

log = logging.getLogger(__name__)

# Seconds to wait after the 1st, 2nd, ... failed try: 0, 5 s, 5 m, 30 m, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h in all.
WAITS = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
# When the 2nd, 3rd, ... try is planned, from the first on.
PLANNED = tuple(accumulate(WAITS))
# What a receiver may ask for by Retry-After, over all tries of one delivery.
PATIENCE_SECONDS = 86_400
FAILING_DAYS = 5
GONE = 410
EXCERPT = 1000
READ_BYTES = 4096
AGENT = "Voicereel-Webhooks/1"

# (job, None for a test; delivery) -> headers and body of the dialect
Renderer = Callable[[Job | None, Delivery], tuple[dict[str, str], bytes]]


@dataclass(frozen=True)
class Answer:
    """What came of one try. `status` is None where no answer came; `ours` when that was our own fault."""

    status: int | None
    text: str
    retry_after: float = 0
    ours: bool = False

    @property
    def heard(self) -> bool:
        return self.status is not None and httpx.codes.is_success(self.status)


def enqueue(job: Job) -> None:
    """Insert the delivery of a job that just ended to the job's own address, in the transaction that ends it."""
    if not job.webhook_url or job.dialect not in settings.DIALECT_WEBHOOKS:
        return
    delivery = Delivery(
        organization_id=job.organization_id,
        job=job,
        type=told_as(job.status),
        dialect=job.dialect,
        url=job.webhook_url,
        lane=lane_of(job.organization_id, job.webhook_url),
    )
    Delivery.objects.bulk_create([delivery], ignore_conflicts=True)


def enqueue_alert(alert: Alert) -> None:
    """Insert a delivery to each endpoint that asked for it, in the transaction that raises the alert."""
    name = ALERT_TYPES[alert.kind]
    asked = WebhookEndpoint.objects.filter(
        organization_id=alert.organization_id, enabled=True, events__overlap=[EVERYTHING, name]
    )
    Delivery.objects.bulk_create(
        Delivery(
            organization_id=alert.organization_id,
            endpoint=endpoint,
            alert=alert,
            type=name,
            dialect=OURS,
            url=endpoint.url,
            lane=str(endpoint.pk),
        )
        for endpoint in asked
    )


def attempt(delivery: Delivery) -> None:
    """One try of a delivery that was claimed."""
    if delivery.endpoint and not delivery.endpoint.enabled:
        webhooks.give_up(Delivery.objects.filter(pk=delivery.pk, fence=delivery.fence))
        return
    start = time.monotonic()
    answer = _sent(delivery)
    record(delivery, answer, duration_ms=int((time.monotonic() - start) * 1000))


def drawn(delivery: Delivery) -> tuple[dict[str, str], bytes]:
    """Headers and body as they would be sent now."""
    render = cast(Renderer, import_string(settings.DIALECT_WEBHOOKS[delivery.dialect]))
    return render(delivery.job, delivery)


def _sent(delivery: Delivery) -> Answer:
    try:
        headers, body = drawn(delivery)
    except Exception:
        # A body that cannot be drawn counts as a try like any other, or it would be tried for ever.
        log.exception("webhook %s could not be made", delivery.pk, extra={"job": delivery.job_id})
        return Answer(None, "The message could not be made.", ours=True)
    let_go()
    try:
        return _post(delivery.address, {**headers, "User-Agent": AGENT}, body)
    except fetch.FetchRefused as refusal:
        return Answer(None, refusal.message)
    except httpx.TimeoutException:
        return Answer(None, f"No answer within {settings.WEBHOOK_TIMEOUT_SECONDS:g} seconds.")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Answer(None, f"The connection failed ({type(error).__name__}).")


def _post(url: str, headers: dict[str, str], body: bytes) -> Answer:
    # identity: what is kept is read as it came; a compressed answer could grow a thousandfold.
    headers["Accept-Encoding"] = "identity"
    fetch.check_url(url)
    with (
        fetch.client(timeout=settings.WEBHOOK_TIMEOUT_SECONDS) as client,
        client.stream("POST", url, content=body, headers=headers) as response,
    ):
        return Answer(response.status_code, _excerpt(response), retry_after(response.headers))


def _excerpt(response: httpx.Response) -> str:
    """The beginning of the answer. The status has spoken already: a body that breaks off changes nothing."""
    read = b""
    try:
        for chunk in response.iter_raw(READ_BYTES):
            read += chunk
            if len(read) >= READ_BYTES:
                break
    except httpx.HTTPError:
        pass
    text = read[:READ_BYTES].decode(errors="replace").replace("\x00", "\ufffd")  # PostgreSQL keeps no NUL
    return text[:EXCERPT]


def retry_after(headers: httpx.Headers) -> float:
    """Seconds that the receiver asks for, given as such or as a date; 0 when it asks for none that can be read."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        then = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max((then - datetime.now(UTC)).total_seconds(), 0)


def record(delivery: Delivery, answer: Answer, *, duration_ms: int) -> None:
    """Write down a try and what follows from it, unless somebody else has the delivery by now."""
    with transaction.atomic():
        # The endpoint is locked before its deliveries, as everywhere: whoever disables it gives all of them up.
        endpoints = WebhookEndpoint.objects.select_for_update(no_key=True)
        endpoint = endpoints.get(pk=delivery.endpoint_id) if delivery.endpoint_id else None
        if not _moved(delivery, answer):
            return
        DeliveryTry.objects.create(
            delivery=delivery, status=answer.status, answer=answer.text, duration_ms=duration_ms
        )
        if endpoint and not answer.ours:
            _judge(endpoint, answer)


def _moved(delivery: Delivery, answer: Answer) -> bool:
    mine = Delivery.objects.filter(pk=delivery.pk, fence=delivery.fence)
    seen = {
        "tries": F("tries") + 1,
        "last_status": answer.status,
        "last_answer": answer.text,
        "lease_until": None,
    }
    if answer.heard:
        # Also one that was given up while it was on its way: it has arrived.
        moved = mine.update(status=Delivery.Status.DELIVERED, reason="", finished_at=Now(), **seen)
    elif answer.status == GONE or delivery.tries >= len(WAITS):
        reason = Delivery.Reason.GONE if answer.status == GONE else Delivery.Reason.TRIES
        moved = mine.due().update(status=Delivery.Status.FAILED, reason=reason, finished_at=Now(), **seen)
    else:
        due_at = _next_try(delivery.tries, answer.retry_after)
        moved = mine.due().update(due_at=due_at, **seen)
        if moved:
            then = Delivery.objects.filter(pk=delivery.pk).values("due_at")
            behind(delivery).update(due_at=then[:1])
        return bool(moved)
    if moved and (following := behind(delivery).values_list("pk", flat=True).first()):
        Delivery.objects.due().filter(pk=following).update(due_at=Now())
    return bool(moved)


def _next_try(tries: int, asked: float) -> Greatest:
    """After the wait of the schedule, or when the receiver asks, but not later than its patience allows."""
    # a tenth more or less, so that many deliveries do not come back in one instant
    planned = Now() + timedelta(seconds=WAITS[tries] * random.uniform(0.9, 1.1))
    latest = F("scheduled_at") + Value(timedelta(seconds=PLANNED[tries] + PATIENCE_SECONDS))
    return Greatest(planned, Least(Now() + timedelta(seconds=asked), latest))


def _judge(endpoint: WebhookEndpoint, answer: Answer) -> None:
    """Remember since when an endpoint only fails; disable one that is gone, or that has failed for days."""
    row = WebhookEndpoint.objects.filter(pk=endpoint.pk, enabled=True)
    if answer.heard:
        if endpoint.failing_since is not None:
            row.update(failing_since=None)
        return
    if endpoint.failing_since is None:
        row.update(failing_since=Now())
    if answer.status == GONE:
        webhooks.disable(endpoint, WebhookEndpoint.Reason.GONE)
    elif row.filter(failing_since__lt=Now() - timedelta(days=FAILING_DAYS)).exists():
        webhooks.disable(endpoint, WebhookEndpoint.Reason.FAILING)
