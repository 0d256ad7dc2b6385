"""Is a picture fit for a model? Answered at once by a provider that can tell, and billed by the picture.

A refused picture costs as much as a good one: looking is the work. A look that fails costs nothing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from celery import shared_task
from django.db import transaction
from django.db.models.functions import Now

from accounts.models import Organization
from accounts.tenancy import Caller
from billing import ledger, quotas, quotes, throttles
from billing.errors import BillingError, RateLimited
from billing.models import Hold, Unit
from billing.rollups import Made
from jobs import prepare, storage
from jobs.errors import Conflict, Invalid, JobError, NoRoute, Unpayable
from jobs.inputs import check_input
from jobs.models import Asset
from jobs.submit import source
from jobs.types import new_id
from providers import errors, routing
from providers.base import InputFile, Verdict
from providers.calls import call
from providers.catalogue import Input
from providers.models import Route
from providers.registry import adapter

log = logging.getLogger(__name__)

# What may be asked: slugs of routes and of the price book. They are no models, for nothing is rendered.
S2V, EMO = "wan-2.2-s2v-detect", "emo-detect"
# Our own machines' look, which the studio takes before anything is paid: its price is nothing.
OURS = "picture-check"
DETECTORS = (S2V, EMO, OURS)
OURS_PER_HOUR = 120
IMAGE = Input(role="image", kind="image", required=True, description="The picture.")
CHECK_SECONDS = 75
FILE_SECONDS = 600
# Longer than any look may take: what is still held then was lost with its process.
LOST = timedelta(minutes=10)


@dataclass(frozen=True)
class Look:
    """What was found, and what it cost."""

    verdict: Verdict
    charged_micros: int


def detect(caller: Caller, detector: str, image: str, *, ratio: str = "") -> Look:
    """Raises jobs.errors and billing.errors.RateLimited; whatever is raised, nothing is charged."""
    if detector == OURS:
        throttles.free_allowed(caller.organization, detector, OURS_PER_HOUR)
    else:
        throttles.submit_allowed(caller.organization, caller.key)
    routes = routing.open_routes(detector, caller.organization.pk)
    if not routes:
        raise NoRoute("no_route", "Nobody can look at pictures at the moment.", retryable=True)
    look_id = _hold(caller, detector)
    try:
        asset = _picture(caller.organization, image)
        verdict = _ask(routes[0], detector, asset, ratio)
    except BaseException:
        with transaction.atomic():
            ledger.release(look_id, reason="the picture was not looked at")
        raise
    with transaction.atomic():
        hold = Hold.objects.get(job_id=look_id)
        charged = ledger.capture(look_id, hold.price_micros, made=_made(routes[0]))
    return Look(verdict, charged)


def _made(route: Route) -> Made:
    """A route to a detector has its price by the picture."""
    cost = 0 if route.own_key else route.cost_micros_per_second
    return Made(provider=route.provider, cost_micros=cost, route_id=route.pk, unit=Unit.IMAGE)


def _hold(caller: Caller, detector: str) -> UUID:
    look_id = new_id()
    try:
        quote = quotes.quote(caller.organization, model=detector, resolution="", unit=Unit.IMAGE, count=1)
        with transaction.atomic():
            ledger.hold(
                caller.organization,
                job_id=look_id,
                amount_micros=quote.total_micros,
                key=caller.key,
                model=detector,
                terms=quote.terms,
            )
            quotas.may_use(caller.organization, detector)
    except RateLimited:
        raise
    except BillingError as refusal:
        raise Unpayable(refusal.code, refusal.message, retryable=refusal.retryable) from refusal
    return look_id


def _picture(organization: Organization, value: str) -> Asset:
    """A ready picture of the organization's."""
    found = source(organization, IMAGE.role, value)
    try:
        asset = found.asset or prepare.fetched(organization, found.url, "image")
        if asset.status != Asset.Status.READY:
            asset = prepare.look_into(asset, "image")
    except prepare.Unfit as unfit:
        failure = unfit.failure
        message = f"{failure.message} {failure.hint}".strip()
        kind = Conflict if failure == prepare.NOT_UPLOADED else Invalid
        raise kind(failure.code, message, field=IMAGE.role, retryable=failure.retryable) from None
    check_input(IMAGE, asset)
    return asset


def _ask(route: Route, detector: str, asset: Asset, ratio: str) -> Verdict:
    file = InputFile(
        url=storage.signed_get(asset.key, seconds=FILE_SECONDS),
        content_type=asset.content_type,
        bytes=asset.bytes,
        width=asset.width,
        height=asset.height,
    )
    try:
        provider = adapter(route.provider, route.account_id)
        return call(CHECK_SECONDS, provider.check, detector, file, ratio)
    except errors.Refused as refusal:
        message = refusal.customer_message or "This picture cannot be looked at."
        raise Invalid(refusal.code, message, field=IMAGE.role) from refusal
    except (errors.ProviderError, TimeoutError) as error:
        log.warning("%s did not look at a picture: %s", route, error)
        raise JobError(
            "provider_unavailable", "The picture could not be looked at. Please try again.", retryable=True
        ) from error


def lost() -> list[UUID]:
    """Looks whose process died before it said what becomes of the money."""
    rows = Hold.objects.open().filter(model__in=DETECTORS, created_at__lt=Now() - LOST)
    return list(rows.values_list("job_id", flat=True)[:100])


def give_back(look_id: str) -> None:
    with transaction.atomic():
        ledger.release(UUID(look_id), reason="the look was lost")


@shared_task(name="jobs.give_back_look")
def give_back_task(look_id: str) -> None:
    give_back(look_id)
