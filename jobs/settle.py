"""The end of a job: its files, its money, its event, once.

`save` copies and checks the outputs outside any transaction; `succeed` and `end` are one transaction each, and
whoever's guarded update touches no row stops without a trace.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from celery import shared_task
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, Sum
from django.db.models.functions import Now
from django.utils import timezone

from billing import ledger, rollups
from billing.outbox import Use
from billing.quotes import Quote
from billing.rollups import NO_ROUTE, Made
from jobs import chain, fetch, inputs, media, notices, notify, storage
from jobs.events import append, transition
from jobs.gallery import workspace_prefix
from jobs.media.results import UNDECIDED, Kind
from jobs.models import Asset, Attempt, Job
from jobs.moderation import verdicts
from jobs.states import OPEN, AttemptStatus, Status
from jobs.types import Failure, new_id
from jobs.wake import wake
from providers import circuit, errors, leases
from providers.base import Output
from providers.calls import call
from providers.registry import adapter, adapter_class

log = logging.getLogger(__name__)

SAVE_LEASE_SECONDS = 180
SAVE_TRIES = 8
# A decoder that broke or ran out of time may do better: so often it is given the film.
LOOKS = 3
# The pause between two tries doubles so often at most: with the usual step to 17 minutes.
MOST_DOUBLINGS = 9
# A container may round its last frame or its last audio packet; more than this is a wrong result.
LENGTH_TOLERANCE_MS = 250
OUTPUT_MAX_BYTES = 2 * 1024**3
DOWNLOAD_SECONDS = 600

# What is kept of a finished job, by role.
SUFFIX = {"video": "mp4", "poster": "jpg", "preview": "mp4"}
UNUSABLE = Failure("output_unusable", "The provider's result could not be used.", retryable=True)
NOT_HAD = Failure(
    "output_unusable",
    "The video was made, but it could not be fetched from where it lay; nothing was charged.",
    retryable=True,
)
WITHHELD = Failure(
    "content_withheld",
    "The finished video did not pass the content check; nothing was charged.",
    hint="Use another picture, voice or prompt.",
)
UNJUDGED = Failure(
    verdicts.CheckFailed.code,
    "The content check did not answer, so the video was not handed out; nothing was charged.",
    retryable=True,
    hint="Order again later.",
)


class Withheld(Exception):
    """The video was flagged, and flagged ones are not handed out here."""


@dataclass(frozen=True)
class Saved:
    """A checked output in our storage, not yet visible."""

    role: str
    asset: Asset


def save(job_id: str) -> None:
    """Copy, check and settle a job in `saving`, if nobody else is at it. Safe to call at any time."""
    due = Job.objects.filter(pk=job_id, status=Status.SAVING, due_at__lte=Now())
    for job in leases.claim(due.select_related("organization"), seconds=SAVE_LEASE_SECONDS):
        attempt = job.attempts.filter(status=AttemptStatus.SUCCEEDED).latest("number")
        try:
            with leases.kept(job, seconds=SAVE_LEASE_SECONDS, given=Q(status=Status.SAVING)) as claim:
                saved = _copy_outputs(job, attempt, claim)
        except leases.Lost:
            log.info("%s is saved by somebody else, or ended", job.pk, extra={"job": job.pk})
        except Withheld:
            end(job, Status.FAILED, WITHHELD, fence=job.fence)
            count_well_made(attempt, job)
        except Exception as error:  # noqa: BLE001  sorted there
            not_saved(job, attempt, error)
        else:
            if succeed(job, saved):
                count_well_made(attempt, job)


def count_well_made(attempt: Attempt, job: Job) -> None:
    """Its film was found good: only that, and no provider's word, speaks for the route."""
    circuit.take_in(
        attempt.route_id,
        good=True,
        began_at=attempt.created_at,
        ended_at=attempt.finished_at,
        length_ms=chain.length_ms(attempt, job),
    )


def not_saved(job: Job, attempt: Attempt, error: Exception) -> None:
    """What becomes of a job whose result could not be had: the result is fetched again later, or the job takes another
    route, and fails, free, where none is left.

    A refused film is of no use at once. Where somebody was only not there, the provider or our storage, it is tried until
    the provider drops the result; whatever says that there is nothing to be had is believed after SAVE_TRIES,
    as is a content check that does not answer; a decoder that breaks is believed after LOOKS.
    """
    told = {"job": job.pk, "attempt": attempt.pk}
    if isinstance(error, media.OutputRefused | media.MediaRefused):
        log.warning("the output of %s was refused: %s", job.pk, error, extra=told)
        again = error.code in UNDECIDED and job.tries + 1 < LOOKS
    elif _may_come(error):
        log.warning("no output of %s yet: %s", job.pk, error, extra=told)
        again = _still_kept(attempt)
    else:
        said = isinstance(error, fetch.FetchRefused | errors.ProviderError | verdicts.CheckFailed)
        log.error("no output of %s: %s", job.pk, error, exc_info=None if said else error, extra=told)
        again = job.tries + 1 < SAVE_TRIES
    Attempt.objects.filter(pk=attempt.pk).update(note=f"its result: {error}"[:500])
    if not again:
        _of_no_use(job, attempt, error)
        return
    pause = settings.RETRY_STEP * 2 ** min(job.tries, MOST_DOUBLINGS)
    Job.objects.filter(pk=job.pk, fence=job.fence).update(
        tries=F("tries") + 1, lease_until=None, due_at=Now() + pause
    )


def _of_no_use(job: Job, attempt: Attempt, error: Exception) -> None:
    """There is no result after all. The attempt failed, and what it cost us stays; the job goes to another route, unless
    it is too late for that, or the content check is what failed.
    """
    if isinstance(error, verdicts.CheckFailed):
        end(job, Status.FAILED, UNJUDGED, fence=job.fence)
        return
    failure = UNUSABLE if isinstance(error, media.OutputRefused | media.MediaRefused) else NOT_HAD
    with transaction.atomic():
        mine = Job.objects.filter(pk=job.pk, fence=job.fence, status=job.status)
        if not list(mine.select_for_update().values_list("pk")):
            return
        Attempt.objects.filter(pk=attempt.pk, status=AttemptStatus.SUCCEEDED).update(
            status=AttemptStatus.FAILED,
            error_code=failure.code,
            error_message=failure.message,
            error_retryable=failure.retryable,
        )
        append(job, "attempt_ended", {"attempt": attempt.number, "code": failure.code})
        if mine.filter(cancel_requested_at=None, deadline_at__gt=Now()).exists():
            fields: dict[str, Any] = {"due_at": Now(), "lease_until": None, "tries": 0, "progress": 0.0}
            transition(
                job, Status.QUEUED, given=frozenset({Status.SAVING, Status.RUNNING}), phase="", **fields
            )
            wake("jobs.dispatch")
        else:
            end(job, Status.FAILED, failure)
    if not isinstance(error, storage.StorageUnavailable):  # which says nothing of the route
        circuit.take_in(attempt.route_id, good=False, began_at=attempt.created_at)


def _may_come(error: Exception) -> bool:
    """Whether nobody said that there is nothing: the provider, its store or ours did not answer."""
    if isinstance(error, fetch.FetchRefused):
        return error.retryable
    return isinstance(
        error, storage.StorageUnavailable | errors.Throttled | errors.Unavailable | TimeoutError
    )


def _still_kept(attempt: Attempt) -> bool:
    """Whether the provider still has the result, as far as its adapter knows."""
    kept = timedelta(seconds=adapter_class(attempt.provider).keeps_seconds)
    return Attempt.objects.filter(pk=attempt.pk, finished_at__gt=Now() - kept).exists()


def _copy_outputs(job: Job, attempt: Attempt, claim: leases.Kept) -> list[Saved]:
    """The video, checked, with a poster and a preview made of it, all in our storage. Raises leases.Lost."""
    outputs: list[dict[str, Any]] = attempt.result["outputs"]
    with tempfile.TemporaryDirectory(prefix="voicereel-save-") as folder:
        files = {role: Path(folder) / role for role in SUFFIX}
        video = files["video"]
        output = next(output for output in outputs if output["kind"] == "video")
        if attempt.part:
            last = Path(folder) / "last"
            bring(attempt, output, last)
            claim.require()
            chain.join(job, last, Path(folder), video)
        else:
            bring(attempt, output, video)
        claim.require()
        probes = _looked_at(job, files)
        claim.require()
        judged = _judged(job, video, said=_provider_flagged(job, attempt))
        claim.require()
        return [Saved(role, _store(job, role, path, probes[role], judged)) for role, path in files.items()]


def _provider_flagged(job: Job, attempt: Attempt) -> bool | None:
    """What the provider's own content check said of the video, or of any of its parts; None: nothing."""
    made = chain.finished(list(job.attempts.order_by("number"))) if attempt.part else [attempt]
    said = [output.get("flagged") for part in made for output in part.result["outputs"]]
    words = [word for word in said if word is not None]
    return any(words) if words else None


def _judged(job: Job, video: Path, *, said: bool | None) -> dict[str, Any]:
    """What is known of what the video shows, by our own check and by what the provider `said`.

    Raises Withheld and CheckFailed.
    """
    known: dict[str, Any] = {} if said is None else {"flagged": said}
    if not said and verdicts.checks(verdicts.OUTPUT):
        try:
            known = verdicts.verdict(video).as_json()
        except verdicts.CheckFailed as failed:
            if settings.MODERATION_FAILED == "refuse":
                raise
            log.error("%s goes out without a judgement: %s", job.pk, failed, extra={"job": job.pk})  # noqa: TRY400  operators need no trace
            known |= verdicts.FAILED
    if verdicts.flagged(known) and settings.MODERATION_FLAGGED == "withhold":
        raise Withheld
    return known


def _looked_at(job: Job, files: dict[str, Path]) -> dict[str, media.Probe]:
    """Check the video; make its poster and preview meanwhile. Each is a child process, so threads run side by side."""
    video = files["video"]

    def checked() -> media.Probe:
        return media.verify_output(
            video, expect_ms=job.length_ms, tolerance_ms=LENGTH_TOLERANCE_MS, expect_audio=inputs.sounds(job)
        )

    def made(make: Callable[[Path, Path], None], role: str, kind: Kind) -> media.Probe:
        make(video, files[role])
        return media.probe(files[role], expect=kind)

    with ThreadPoolExecutor(len(files)) as pool:
        check = pool.submit(checked)
        poster = pool.submit(made, media.poster, "poster", "image")
        preview = pool.submit(made, media.preview, "preview", "video")
        # The check first: its refusal says best what is wrong.
        return {"video": check.result(), "poster": poster.result(), "preview": preview.result()}


def bring(attempt: Attempt, output: dict[str, Any], to: Path) -> None:
    """The provider's output as a local file: out of the attempt's workspace, or from the provider's address."""
    if output.get("name"):
        storage.fetch(f"{workspace_prefix(attempt)}/{output['name']}", to)
    elif output.get("held"):
        provider = adapter(attempt.provider, attempt.account_id)
        held = Output(output["kind"], held=True)
        call(DOWNLOAD_SECONDS, provider.bring, attempt.external_id, held, to)
    else:
        fetch.download(output["url"], to, max_bytes=OUTPUT_MAX_BYTES, timeout_seconds=DOWNLOAD_SECONDS)


def _store(job: Job, role: str, path: Path, probe: media.Probe, judged: dict[str, Any]) -> Asset:
    name = f"{job.model}-{job.id.hex[-8:]}{'' if role == 'video' else '-' + role}.{SUFFIX[role]}"
    asset = Asset(
        id=new_id(),
        organization_id=job.organization_id,
        job_id=job.id,
        role=role,
        origin=Asset.Origin.OUTPUT,
        status=Asset.Status.READY,
        kind=probe.kind,
        filename=name,
        content_type=probe.content_type,
        bytes=probe.bytes,
        sha256=probe.sha256,
        duration_ms=probe.duration_ms or 0,
        width=probe.width or 0,
        height=probe.height or 0,
        fps=probe.fps or 0.0,
        has_audio=probe.has_audio,
        moderation=judged,
        expires_at=timezone.now() + timedelta(days=job.organization.retention_days),
    )
    asset.key = storage.new_key(job.organization_id, asset.id, name)
    storage.put(asset.key, path, content_type=probe.content_type)
    return asset


def succeed(job: Job, saved: list[Saved]) -> bool:
    """Outputs become visible, the quoted price is captured, the event is written: one transaction.

    False: the job was ended by somebody else meanwhile; the copies are dropped.
    """
    quote = Quote.from_json(job.quote)
    payable = quote.total_micros - job.free_micros
    with transaction.atomic():
        fields = {
            "progress": 1.0,
            "phase": "",
            "finished_at": Now(),
            "lease_until": None,
            "charged_micros": payable,
            "billed_units": quote.billed_units,
        }
        data = {"charged_micros": payable, "billed_units": quote.billed_units}
        won = transition(
            job, Status.SUCCEEDED, given=frozenset({Status.SAVING}), fence=job.fence, data=data, **fields
        )
        if won:
            Asset.objects.bulk_create([item.asset for item in saved])
            use = Use(quote.unit, quote.billed_units, quote.micros_per_unit)
            made = _made(job, quote)
            captured = ledger.capture(
                job.id, quote.total_micros, billed_ms=quote.billed_ms, use=use, made=made
            )
            if captured != payable:
                log.error("job %s captured %s of %s", job.pk, captured, payable, extra={"job": job.pk})
                Job.objects.filter(pk=job.pk).update(charged_micros=captured)
            notify.enqueue(job)
            notices.owe(job)
            wake("jobs.dispatch")  # one place fewer is taken
    if not won:
        storage.delete([item.asset.key for item in saved])
    return won


def _made(job: Job, quote: Quote) -> Made:
    """Who filmed it by which route, and what all attempts cost us."""
    rows = job.attempts.order_by("number").values_list("status", "provider", "route_id", "cost_micros")
    attempts = list(rows)
    provider, route = next(
        ((name, route) for status, name, route, _ in reversed(attempts) if status == AttemptStatus.SUCCEEDED),
        ("", NO_ROUTE),
    )
    return Made(quote.resolution, provider, sum(cost for *_, cost in attempts), route, quote.unit)


def end(
    job: Job,
    to: Status,
    failure: Failure,
    *,
    given: frozenset[Status] = OPEN,
    fence: int | None = None,
) -> bool:
    """Fail, cancel or expire a job: the hold goes back whole, so it costs nothing. False: somebody was faster."""
    with transaction.atomic():
        fields = {
            "error_code": failure.code,
            "error_message": failure.message[:500],
            "error_hint": failure.hint[:300],
            "error_retryable": failure.retryable,
            "finished_at": Now(),
            "lease_until": None,
            "charged_micros": 0,
            "phase": "",
        }
        data = {
            "code": failure.code,
            "message": failure.message,
            "retryable": failure.retryable,
            "charged_micros": 0,
        }
        if failure.hint:
            data["hint"] = failure.hint
        won = transition(job, to, given=given, fence=fence, data=data, **fields)
        if won:
            ledger.release(job.id, reason=failure.code)
            _spend(job)
            notify.enqueue(job)
            notices.owe(job)
            wake("jobs.dispatch")
    return won


def _spend(job: Job) -> None:
    """What its attempts cost us although nobody pays for it."""
    paid = job.attempts.filter(cost_micros__gt=0).values_list("provider", "route_id")
    resolution, unit = (str(job.quote.get(name, "")) for name in ("resolution", "unit"))
    for provider, route, cost in paid.annotate(cost=Sum("cost_micros")):
        made = Made(resolution, provider, cost, route, unit)
        rollups.spend(job.organization_id, job.key_id, job.model, made)


@shared_task(name="jobs.save")
def save_task(job_id: str) -> None:
    save(job_id)
