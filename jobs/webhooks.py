"""Where an organization wants to be told of jobs and money: endpoints, their secrets, and trying a delivery again."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from celery import shared_task
from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.http import HttpRequest

from accounts import audit
from accounts.audit import Actor
from accounts.models import Organization
from accounts.tenancy import Caller
from jobs import fetch
from jobs.errors import Conflict, Invalid
from jobs.models import Delivery, DeliveryQuerySet, WebhookEndpoint
from jobs.secrets import SealBroken, seal, unseal
from jobs.states import ALERT_TYPES, EVENT_TYPES, EVERYTHING, FINAL, OURS, told_as
from jobs.types import least_id, new_id

MAX_ENDPOINTS = 10
MAX_DESCRIPTION = 200
PREFIX = "whsec_"
SECRET_BYTES = 32
OVERLAP = timedelta(days=1)
MAX_OVERLAP = timedelta(days=7)
PING = "ping"
BATCH = 500
MOST_REPLAYED = 1000
TYPES = (EVERYTHING, *(told_as(kind) for kind in EVENT_TYPES), *ALERT_TYPES.values())
DEFAULT_EVENTS = tuple(sorted(told_as(status) for status in FINAL))


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def add(
    caller: Caller,
    *,
    url: str,
    description: str = "",
    events: Sequence[str] = DEFAULT_EVENTS,
    enabled: bool = True,
) -> tuple[WebhookEndpoint, str]:
    """A new endpoint and its secret. Raises Invalid; Conflict when there are enough."""
    secret = new_secret()
    endpoint = WebhookEndpoint(organization=caller.organization, sealed=seal(secret))
    _set(endpoint, {"url": url, "description": description, "events": events})
    endpoint.enabled = enabled
    if not enabled:
        endpoint.disabled_at, endpoint.disabled_reason = Now(), WebhookEndpoint.Reason.CUSTOMER
    with transaction.atomic():
        # The organization's row is the lock: two requests must not both make the last one allowed.
        Organization.objects.select_for_update(no_key=True).get(pk=caller.organization.pk)
        if WebhookEndpoint.objects.for_org(caller.organization).live().count() >= MAX_ENDPOINTS:
            message = f"An organization may have {MAX_ENDPOINTS} webhook endpoints; delete one first."
            raise Conflict("webhook_limit", message)
        endpoint.save(force_insert=True)
        audit.record("webhook.create", by=caller, target=endpoint, after=_facts(endpoint))
    endpoint.refresh_from_db()
    return endpoint, secret


def change(caller: Caller, endpoint: WebhookEndpoint, changes: dict[str, Any]) -> WebhookEndpoint:
    """Change url, description, events, enabled. Switched on, its failures are forgotten; off, what waits is given up."""
    with transaction.atomic():
        row = _locked(endpoint.pk)
        before = _facts(row)
        _set(row, {name: value for name, value in changes.items() if name != "enabled"})
        row.save(update_fields=["url", "description", "events"])
        if changes.get("enabled") is True and not row.enabled:
            WebhookEndpoint.objects.filter(pk=row.pk).update(
                enabled=True, disabled_at=None, disabled_reason="", failing_since=None, tell_at=None
            )
        elif changes.get("enabled") is False and row.enabled:
            _switch_off(row, WebhookEndpoint.Reason.CUSTOMER)
        row.refresh_from_db()
        audit.record("webhook.change", by=caller, target=row, before=before, after=_facts(row))
    return row


def rotate(
    caller: Caller, endpoint: WebhookEndpoint, overlap: timedelta = OVERLAP
) -> tuple[WebhookEndpoint, str]:
    """A new secret; until `overlap` is over, messages are signed with the one before as well."""
    secret = new_secret()
    with transaction.atomic():
        row = _locked(endpoint.pk)
        WebhookEndpoint.objects.filter(pk=row.pk).update(
            sealed=seal(secret), previous_sealed=row.sealed, previous_until=Now() + overlap
        )
        audit.record(
            "webhook.rotate", by=caller, target=row, after={"overlap_seconds": overlap.total_seconds()}
        )
    row.refresh_from_db()
    return row, secret


def remove(caller: Caller, endpoint: WebhookEndpoint) -> None:
    """Nothing more is sent. The log of its deliveries stays for as long as any other."""
    with transaction.atomic():
        row = _locked(endpoint.pk)
        _switch_off(row, WebhookEndpoint.Reason.CUSTOMER)
        WebhookEndpoint.objects.filter(pk=row.pk).update(deleted_at=Now())
        audit.record("webhook.delete", by=caller, target=row, before=_facts(row))


def ping(endpoint: WebhookEndpoint) -> Delivery:
    """Send a test message, one at a time. Raises Conflict."""
    with transaction.atomic():
        row = _locked(endpoint.pk)
        _require_enabled(row)
        if Delivery.objects.due().filter(endpoint=row, type=PING).exists():
            raise Conflict(
                "webhook_test_pending", "The test before this one is still on its way.", retryable=True
            )
        delivery = Delivery.objects.create(
            id=new_id(),
            organization_id=row.organization_id,
            endpoint=row,
            type=PING,
            dialect=OURS,
            url=row.url,
            lane=str(row.pk),
        )
    delivery.refresh_from_db()
    return delivery


def replay(by: Actor, delivery: Delivery, *, request: HttpRequest | None = None) -> Delivery:
    """Try a delivery again from the start, under its own id. Raises Conflict: it is on its way, or nobody listens."""
    with transaction.atomic():
        if delivery.endpoint_id:
            _require_enabled(_locked(delivery.endpoint_id))
        before = _progress(Delivery.objects.select_for_update().get(pk=delivery.pk))
        if not _again(Delivery.objects.filter(pk=delivery.pk)):
            raise Conflict(
                "delivery_pending", "This delivery is still being tried; it needs no replay.", retryable=True
            )
        delivery.refresh_from_db()
        audit.record(
            "webhook.replay",
            by=by,
            target=delivery,
            organization=delivery.organization,
            before=before,
            after=_progress(delivery),
            request=request,
        )
    return delivery


def _progress(delivery: Delivery) -> dict[str, Any]:
    return {"status": delivery.status, "reason": delivery.reason, "tries": delivery.tries}


def replay_failed(by: Caller, endpoint: WebhookEndpoint, since: datetime) -> int:
    """Try again whatever was made for the endpoint since then and given up, the newest MOST_REPLAYED; how many.

    Raises Conflict where the endpoint is off.
    """
    with transaction.atomic():
        row = _locked(endpoint.pk)
        _require_enabled(row)
        failed = Delivery.objects.filter(
            endpoint=row, status=Delivery.Status.FAILED, pk__gte=least_id(since)
        ).order_by("-id")
        count = _again(
            Delivery.objects.filter(pk__in=list(failed.values_list("pk", flat=True)[:MOST_REPLAYED]))
        )
        if count:
            after = {"since": since.isoformat(), "deliveries": count}
            audit.record("webhook.replay_failed", by=by, target=row, after=after)
    return count


def _again(deliveries: DeliveryQuerySet) -> int:
    """From the start of the schedule, those that have ended; how many."""
    return deliveries.exclude(status=Delivery.Status.DUE).update(
        status=Delivery.Status.DUE,
        reason="",
        tries=0,
        scheduled_at=Now(),
        due_at=Now(),
        lease_until=None,
        finished_at=None,
    )


def disable(endpoint: WebhookEndpoint, reason: WebhookEndpoint.Reason) -> bool:
    """Stop sending to an endpoint that nobody minds any more; its people are told. False: it was off already."""
    with transaction.atomic():
        row = _locked(endpoint.pk)
        if not row.enabled:
            return False
        _switch_off(row, reason)
        WebhookEndpoint.objects.filter(pk=row.pk).update(tell_at=Now())
        after = {"reason": reason.value, "url": row.url}
        audit.record("webhook.disable", by=None, target=row, organization=row.organization, after=after)
    return True


def give_up(deliveries: DeliveryQuerySet) -> None:
    """What an endpoint that is off will not be told; the events stay in the feed."""
    deliveries.due().update(
        status=Delivery.Status.FAILED, reason=Delivery.Reason.DISABLED, finished_at=Now(), lease_until=None
    )


def forget() -> int:
    """Delete what was told or given up long ago, with its log; how many deliveries."""
    before = Now() - timedelta(days=settings.WEBHOOK_LOG_DAYS)
    old = Delivery.objects.filter(finished_at__lt=before).order_by("finished_at").values("pk")
    count = 0
    while found := Delivery.objects.filter(pk__in=list(old[:BATCH].values_list("pk", flat=True))).delete()[0]:
        count += found
    WebhookEndpoint.objects.filter(deleted_at__lt=before, deliveries=None).delete()
    return count


def secrets_of(endpoint: WebhookEndpoint) -> list[str]:
    """The secret in force, then the one it replaced while that is still good."""
    found = [unseal(endpoint.sealed)]
    replaced = WebhookEndpoint.objects.filter(pk=endpoint.pk, previous_until__gt=Now())
    if endpoint.previous_sealed and replaced.exists():
        with suppress(SealBroken):  # rotated because it could no longer be read
            found.append(unseal(endpoint.previous_sealed))
    return found


def _locked(endpoint_id: UUID) -> WebhookEndpoint:
    """Always before any of its deliveries is touched. Events go on being written to it meanwhile: no key changes."""
    return WebhookEndpoint.objects.select_for_update(no_key=True).get(pk=endpoint_id)


def _set(endpoint: WebhookEndpoint, changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        setattr(endpoint, name, value)
    try:
        fetch.check_url(endpoint.url)
    except fetch.FetchRefused as refusal:
        raise Invalid(refusal.code, refusal.message, field="url") from None
    if len(endpoint.description) > MAX_DESCRIPTION or not endpoint.description.isprintable():
        message = f"description may have {MAX_DESCRIPTION} printable characters."
        raise Invalid("parameter_invalid", message, field="description")
    unknown = sorted(set(endpoint.events) - set(TYPES))
    if unknown or not endpoint.events:
        message = f"events must name at least one of {', '.join(TYPES)}."
        raise Invalid("parameter_invalid", message, field="events")
    endpoint.events = sorted(set(endpoint.events))


def _switch_off(endpoint: WebhookEndpoint, reason: WebhookEndpoint.Reason) -> None:
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(
        enabled=False, disabled_at=Now(), disabled_reason=reason, tell_at=None
    )
    give_up(Delivery.objects.filter(endpoint=endpoint))


def _require_enabled(endpoint: WebhookEndpoint) -> None:
    if not endpoint.enabled:
        message = "The endpoint is disabled; enable it first (PATCH it with enabled: true)."
        raise Conflict("webhook_disabled", message)


def _facts(endpoint: WebhookEndpoint) -> dict[str, Any]:
    return {
        "url": endpoint.url,
        "description": endpoint.description,
        "events": endpoint.events,
        "enabled": endpoint.enabled,
    }


@shared_task(name="jobs.forget_deliveries")
def forget_task() -> None:
    forget()
