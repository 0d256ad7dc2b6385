"""Bring a job's inputs home: fetch, probe, price, raise the hold, queue. What is wrong fails the job, free."""

from __future__ import annotations

import logging
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import cast
from uuid import UUID

from celery import shared_task
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import Organization
from billing import ledger, quotas
from billing.errors import BillingError
from billing.quotes import Quote
from jobs import fetch, media, room, settle, storage
from jobs.errors import Invalid
from jobs.events import transition
from jobs.inputs import as_json, check_input
from jobs.media.results import UNDECIDED, Kind
from jobs.models import Asset, Job
from jobs.moderation import verdicts
from jobs.states import Status
from jobs.types import Failure, new_id
from jobs.wake import wake
from providers import catalogue, leases

log = logging.getLogger(__name__)

LEASE_SECONDS = 180
FETCH_SECONDS = 120
TRIES = 3
NOT_UPLOADED = Failure(
    "file_not_uploaded",
    "The file was announced but its bytes never arrived; upload it, then submit again.",
    True,
)
FLAGGED = Failure(
    "content_refused", "This file did not pass the content check.", hint="Use another picture or video."
)
UNJUDGED = Failure(
    verdicts.CheckFailed.code,
    "The content check did not answer, so the file cannot be used yet.",
    retryable=True,
    hint="Try again later.",
)


class Unfit(Exception):
    """An input cannot be used. args[0] is the Failure."""

    @property
    def failure(self) -> Failure:
        return self.args[0]  # type: ignore[no-any-return]  # a generic row or an argument kept by Exception


def prepare(job_id: str) -> None:
    """Prepare a job, if it still needs it and nobody else is at it. Safe to call at any time."""
    due = Job.objects.filter(pk=job_id, status=Status.PREPARING, due_at__lte=Now())
    for job in leases.claim(due.select_related("organization"), seconds=LEASE_SECONDS):
        try:
            with leases.kept(job, seconds=LEASE_SECONDS, given=Q(status=Status.PREPARING)) as claim:
                length_ms = _bring_inputs(job, claim)
        except leases.Lost:
            log.info("%s is prepared by somebody else, or ended", job.pk, extra={"job": job.pk})
        except Unfit as unfit:
            if unfit.failure.retryable and job.tries + 1 < TRIES and unfit.failure != NOT_UPLOADED:
                _try_again(job)
            else:
                settle.end(job, Status.FAILED, unfit.failure, fence=job.fence)
        else:
            _queue(job, length_ms)


def _try_again(job: Job) -> None:
    wait = settings.RETRY_STEP * 2**job.tries
    Job.objects.filter(pk=job.pk, fence=job.fence).update(
        tries=F("tries") + 1, lease_until=None, due_at=Now() + wait
    )


def _bring_inputs(job: Job, claim: leases.Kept) -> int:
    """Every input as a ready Asset of ours; returns the milliseconds to bill. Raises Unfit and leases.Lost."""
    model = catalogue.model(job.model)
    inputs = dict(job.inputs)
    length_ms = 0
    for role, source in job.inputs.items():
        claim.require()
        wanted = model.inputs[role]
        kind = cast(Kind, wanted.kind)
        asset = (
            _known(source["asset"], kind)
            if "asset" in source
            else fetched(job.organization, source["url"], kind)
        )
        try:
            check_input(wanted, asset)
        except Invalid as refusal:
            raise Unfit(Failure(refusal.code, refusal.message)) from None
        inputs[role] = as_json(asset)
        # Saved input by input: a worker that dies here does not make the next one fetch again.
        Job.objects.filter(pk=job.pk, fence=job.fence).update(inputs=inputs)
        if role == model.length_from:
            length_ms = asset.duration_ms
    return length_ms


def _known(asset_id: str, kind: Kind) -> Asset:
    asset = Asset.objects.get(id=UUID(asset_id))
    if asset.status != Asset.Status.READY:
        return look_into(asset, kind)
    if verdicts.lacks(asset.kind, asset.moderation):
        with tempfile.TemporaryDirectory(prefix="voicereel-judge-") as folder:
            path = Path(folder) / "input"
            storage.fetch(asset.key, path)
            judge(asset, path)
    return asset


PROBED = (
    *("status", "kind", "content_type", "bytes", "sha256"),
    *("duration_ms", "width", "height", "fps", "has_audio"),
)


def look_into(asset: Asset, kind: Kind | None) -> Asset:
    """Probe an uploaded file and remember what it is. Raises Unfit, remembering why, when it is no usable media; a file
    that nobody could judge is ready all the same, and judged before it is used.
    """
    size = storage.size(asset.key)
    if size is None:
        raise Unfit(NOT_UPLOADED)
    if size > settings.UPLOAD_MAX_BYTES:
        raise _refuse(
            asset, "file_too_large", f"The file has {size} bytes; {settings.UPLOAD_MAX_BYTES} are allowed."
        )
    if size > asset.bytes:
        try:
            room.found_larger(asset, size)
        except Invalid as full:
            raise _refuse(asset, full.code, full.message) from None
    with tempfile.TemporaryDirectory(prefix="voicereel-probe-") as folder:
        path = Path(folder) / "input"
        storage.fetch(asset.key, path)
        _describe(asset, path, kind)
        asset.save(update_fields=PROBED)
        judge(asset, path)
    return asset


def judge(asset: Asset, path: Path) -> None:
    """Have an input's content judged, where that is still to be done, and remember the word. Raises Unfit."""
    if not verdicts.lacks(asset.kind, asset.moderation):
        return
    try:
        found = verdicts.verdict(path)
    except verdicts.CheckFailed as failed:
        log.error("file %s could not be judged: %s", asset.pk, failed)  # noqa: TRY400  operators need no trace
        if settings.MODERATION_FAILED == "refuse":
            raise Unfit(UNJUDGED) from None
        asset.moderation = dict(verdicts.FAILED)
    else:
        asset.moderation = found.as_json()
    if not asset._state.adding:  # noqa: SLF001  Django's documented flag
        asset.save(update_fields=["moderation"])
    if verdicts.flagged(asset.moderation):
        raise _refuse(asset, FLAGGED.code, FLAGGED.message, FLAGGED.hint)


def _describe(asset: Asset, path: Path, kind: Kind | None) -> None:
    """Fill in what the probe finds; does not save."""
    try:
        probe = media.probe(path, expect=kind)
    except media.MediaRefused as refusal:
        if refusal.code in UNDECIDED:
            raise Unfit(Failure(refusal.code, refusal.message, retryable=True, hint=refusal.hint)) from None
        raise _refuse(asset, refusal.code, refusal.message, refusal.hint) from None
    if asset.sha256 not in {"", probe.sha256}:
        message = "The file is not the one that was announced: its SHA-256 is another."
        raise _refuse(asset, "checksum_mismatch", message)
    asset.status = Asset.Status.READY
    asset.kind, asset.content_type, asset.bytes, asset.sha256 = (
        probe.kind,
        probe.content_type,
        probe.bytes,
        probe.sha256,
    )
    asset.duration_ms, asset.width, asset.height = probe.duration_ms or 0, probe.width or 0, probe.height or 0
    asset.fps, asset.has_audio = probe.fps or 0.0, probe.has_audio


def _refuse(asset: Asset, code: str, message: str, hint: str = "") -> Unfit:
    # A refusal for being of another kind says nothing against the file in another role, so it is not remembered.
    if code != "wrong_type" and not asset._state.adding:  # noqa: SLF001  Django's documented flag
        asset.refusal = {"code": code, "message": message, "hint": hint}
        asset.status = Asset.Status.REFUSED
        asset.save(update_fields=["refusal", "status"])
    return Unfit(Failure(code, message, hint=hint))


def fetched(organization: Organization, url: str, kind: Kind) -> Asset:
    """Fetch a foreign address into an Asset of the organization. Raises Unfit."""
    asset = Asset(id=new_id(), organization=organization, origin=Asset.Origin.FETCHED)
    asset.expires_at = timezone.now() + timedelta(days=organization.retention_days)
    asset.filename = url.split("?", maxsplit=1)[0].rsplit("/", 1)[-1][:100] or "input"
    asset.key = storage.new_key(organization.pk, asset.id, kind)
    with tempfile.TemporaryDirectory(prefix="voicereel-fetch-") as folder:
        path = Path(folder) / "input"
        try:
            fetch.download(url, path, max_bytes=settings.UPLOAD_MAX_BYTES, timeout_seconds=FETCH_SECONDS)
        except fetch.FetchRefused as refusal:
            raise Unfit(Failure(refusal.code, refusal.message, refusal.retryable)) from None
        _describe(asset, path, kind)
        judge(asset, path)
        storage.put(asset.key, path, content_type=asset.content_type)
    try:
        room.keep(asset)
    except Invalid as full:
        storage.delete([asset.key])
        raise Unfit(Failure(full.code, full.message)) from None
    return asset


def _queue(job: Job, length_ms: int) -> None:
    """The length is known, and the price a second was frozen at submit: raise the hold and queue, in one transaction."""
    quote = Quote.from_json(job.quote).at(length_ms)
    fields = {
        "length_ms": length_ms,
        "quote": quote.as_json(),
        "quoted_micros": quote.total_micros,
        "queued_at": Now(),
        "lease_until": None,
        "tries": 0,
        "due_at": Now(),
    }
    try:
        with transaction.atomic():
            data = {"quoted_micros": quote.total_micros, "length_ms": length_ms}
            given = frozenset({Status.PREPARING})
            if transition(job, Status.QUEUED, given=given, fence=job.fence, data=data, **fields):
                quotas.may_last(job.organization, length_ms)
                held = ledger.raise_hold(job.id, quote.total_micros, terms=quote.terms)
                Job.objects.filter(pk=job.pk).update(free_micros=held.free_micros)
                wake("jobs.dispatch")
    except BillingError as refusal:
        job.status = Status.PREPARING
        settle.end(job, Status.FAILED, Failure(refusal.code, refusal.message), fence=job.fence)


@shared_task(name="jobs.prepare")
def prepare_task(job_id: str) -> None:
    prepare(job_id)
