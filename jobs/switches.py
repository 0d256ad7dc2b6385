"""An operator's switches of routes and of accounts. Every dispatch reads them anew.

drained: nothing new is ordered, what runs is finished. killed: what runs is stopped too, and its jobs go elsewhere. An
order whose answer was lost stays unknown even so: it may be on its way, and a second one would be paid twice.
"""

from __future__ import annotations

import asyncio
import logging

from asgiref.sync import sync_to_async
from celery import shared_task
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest

from accounts import audit
from jobs import chain, poll
from jobs.dispatch import STOPPED, give_up
from jobs.models import Attempt
from jobs.states import ATTEMPT_POLLED, AttemptStatus
from jobs.wake import wake
from providers import leases
from providers.calls import call
from providers.models import ProviderAccount, Route
from providers.registry import adapter

log = logging.getLogger(__name__)

Switched = Route | ProviderAccount

CANCEL_SECONDS = 5
LEASE_SECONDS = 60
AT_ONCE = 32
BATCH = 200


def drain(target: Switched, *, by: audit.Actor, request: HttpRequest | None = None) -> None:
    _switch(target, "drain", by, request, enabled=False, killed_at=None)


def kill(target: Switched, *, by: audit.Actor, request: HttpRequest | None = None) -> None:
    _switch(target, "kill", by, request, enabled=False, killed_at=Now())


def reopen(target: Switched, *, by: audit.Actor, request: HttpRequest | None = None) -> None:
    _switch(target, "reopen", by, request, enabled=True, killed_at=None)


def _switch(
    target: Switched, what: str, by: audit.Actor, request: HttpRequest | None, **fields: object
) -> None:
    kind = type(target)
    before = {"enabled": target.enabled, "killed": target.killed_at is not None}
    with transaction.atomic():
        kind._default_manager.filter(pk=target.pk).update(**fields)  # noqa: SLF001  Django's documented name
        target.refresh_from_db()
        after = {"name": str(target), "enabled": target.enabled, "killed": target.killed_at is not None}
        action = f"{kind._meta.model_name}.{what}"  # noqa: SLF001  Django's documented name
        audit.record(action, by=by, target=target, before=before, after=after, request=request)
        wake("jobs.kill" if target.killed_at else "jobs.dispatch")


def killed() -> QuerySet[Attempt]:
    """What runs where nothing shall run any more."""
    routes = Route.objects.filter(killed_at__isnull=False, enabled=False).values("pk")
    accounts = ProviderAccount.objects.filter(killed_at__isnull=False, enabled=False).values("pk")
    return Attempt.objects.filter(
        Q(route_id__in=routes) | Q(account_id__in=accounts), status__in=ATTEMPT_POLLED
    )


def stop_killed() -> int:
    """Stop a batch of it; how many it were. Whoever is polled at this moment is stopped a moment later."""
    attempts = leases.claim(killed().select_related("job"), seconds=LEASE_SECONDS, limit=BATCH)
    stopped = call(LEASE_SECONDS, _stop_all, attempts) if attempts else []
    for attempt, free in zip(attempts, stopped, strict=True):
        _give_up(attempt, free=free)
    return len(attempts)


async def _stop_all(attempts: list[Attempt]) -> list[bool]:
    places = asyncio.Semaphore(AT_ONCE)

    async def stopped(attempt: Attempt) -> bool:
        async with places:
            return await _stopped(attempt)

    return await asyncio.gather(*map(stopped, attempts))


async def _stopped(attempt: Attempt) -> bool:
    """Whether the provider stops it; one that does not answer may go on and charge for it."""
    try:
        provider = await sync_to_async(adapter)(attempt.provider, attempt.account_id)
        return await asyncio.wait_for(provider.cancel(attempt.external_id), CANCEL_SECONDS)
    except Exception:
        log.warning("could not cancel %s", attempt.external_id, exc_info=True)
        return False


def _give_up(attempt: Attempt, *, free: bool) -> None:
    note = "stopped by an operator" + ("" if free else "; it may run on there, and is booked as if it did")
    cost = 0 if free else poll.cost(attempt, chain.length_ms(attempt, attempt.job))
    give_up(attempt, STOPPED, to=AttemptStatus.CANCELED, note=note, cost_micros=cost)


@shared_task(name="jobs.kill")
def kill_task() -> None:
    if stop_killed() == BATCH:
        wake("jobs.kill")
