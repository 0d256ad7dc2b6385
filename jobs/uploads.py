"""Take a customer's file: through us (`store`), or straight into storage by a ticket (`ticket`)."""

from __future__ import annotations

import logging
import re
import tempfile
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from celery import shared_task
from django.conf import settings
from django.core.files import File
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import Organization
from accounts.tenancy import Caller
from jobs import fetch, gallery, media, prepare, room, storage
from jobs.errors import Conflict, Invalid
from jobs.media.results import UNDECIDED
from jobs.models import Asset
from jobs.storage import SignedPut
from jobs.types import new_id
from jobs.wake import wake

log = logging.getLogger(__name__)

TICKET_SECONDS = 3600
# An upload that began in the last second may take its time.
TICKET_OVER = timedelta(seconds=TICKET_SECONDS, hours=1)
BATCH = 500
CONTENT_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]*/[a-z0-9][a-z0-9.+-]*", re.ASCII)
MAX_CONTENT_TYPE = 100


def ticket(
    organization: Organization,
    *,
    filename: str,
    size: int,
    content_type: str = "",
    sha256: str = "",
    exact: bool = False,
    by: Caller,
) -> tuple[Asset, SignedPut]:
    """Announce a file: its Asset, pending until it is probed, and the address that takes its bytes once.

    `exact`: the address takes the very number of bytes that was announced. A file with another SHA-256 than the one
    announced is refused by the probe.
    """
    del by  # every holder of the organization's keys may upload; files are the organization's
    _check_size(size)
    asset = _asset(organization, filename, content_type.strip())
    put = storage.signed_put(
        asset.key,
        content_type=asset.content_type or None,
        max_bytes=size if exact else settings.UPLOAD_MAX_BYTES,
        seconds=TICKET_SECONDS,
        exact=exact,
    )
    asset.bytes, asset.sha256 = size, sha256
    room.keep(asset)
    return asset, put


def complete(asset: Asset) -> Asset:
    """Look into an announced file now that its bytes are here: it becomes ready, or refused with its reasons.

    Raises Conflict while there are no bytes, Invalid (retryable) when the look itself went wrong. A file that was
    looked into before stays as it is. Files that nobody completes are looked into at their first use.
    """
    if asset.status != Asset.Status.PENDING:
        return asset
    try:
        return prepare.look_into(asset, None)
    except prepare.Unfit as unfit:
        failure = unfit.failure
        if asset.status != Asset.Status.PENDING:  # refused; or ready, but nobody has judged it yet
            return asset
        kind = Conflict if failure == prepare.NOT_UPLOADED else Invalid
        raise kind(failure.code, failure.message, retryable=failure.retryable) from None


def unfinished() -> QuerySet[Asset]:
    """Announced files whose address takes no bytes any more, and that nobody has looked into."""
    late = Asset.objects.live().filter(
        status=Asset.Status.PENDING, origin=Asset.Origin.UPLOAD, created_at__lt=Now() - TICKET_OVER
    )
    return late.order_by("created_at")


def finish(asset_id: str) -> None:
    """What becomes of an unfinished one: dropped when its bytes never came, else looked into."""
    asset = unfinished().filter(pk=asset_id).first()
    if asset is None:
        return
    try:
        complete(asset)
    except Conflict:
        gallery.drop(Asset.objects.live().filter(pk=asset.pk))
    except Invalid:
        log.warning("an uploaded file could not be looked into; tried again in an hour", exc_info=True)


def store(
    organization: Organization,
    *,
    file: File[bytes],
    filename: str,
    content_type: str = "",
    by: Caller,
    asset_id: UUID | None = None,
) -> Asset:
    """Keep an uploaded file and look into it at once. Raises Invalid with the probe's code.

    `asset_id`: for a dialect whose clients choose the name by which they ask for the file later.
    """
    del by
    _check_size(file.size or 0)
    asset = _asset(organization, filename, content_type.strip(), asset_id)
    with tempfile.TemporaryDirectory(prefix="voicereel-upload-") as folder:
        path = Path(folder) / "input"
        with path.open("wb") as copy:
            for chunk in file.chunks():
                copy.write(chunk)
        _describe(asset, path)
        _judge(asset, path)
        _keep(asset, path)
    return asset


def _keep(asset: Asset, path: Path) -> None:
    """The row first, still pending: its room is taken, and whoever dies before the bytes are there leaves a file that
    `finish` drops.
    """
    known, asset.status = asset.status, Asset.Status.PENDING
    room.keep(asset)
    try:
        storage.put(asset.key, path, content_type=asset.content_type or "application/octet-stream")
    except Exception:
        asset.delete()
        raise
    if known != asset.status:
        asset.status = known
        asset.save(update_fields=["status"])


def store_data(caller: Caller, value: str, *, role: str, asset_id: UUID | None = None) -> Asset:
    """Keep what a `data:` address holds, looked into at once. Raises Invalid, naming the role."""
    with tempfile.TemporaryDirectory(prefix="voicereel-data-") as folder:
        path = Path(folder) / "data"
        try:
            fetch.data_uri(value, path, settings.UPLOAD_MAX_BYTES)
            with path.open("rb") as opened:
                file = File(opened)
                return store(caller.organization, file=file, filename=role, by=caller, asset_id=asset_id)
        except (fetch.FetchRefused, Invalid) as refusal:
            raise Invalid(refusal.code, f"{role}: {refusal.message}", field=role) from None


def is_data(value: str) -> bool:
    return value[:5].lower() == "data:"


def _asset(
    organization: Organization, filename: str, content_type: str, asset_id: UUID | None = None
) -> Asset:
    kind = content_type.lower()
    if content_type and not (CONTENT_TYPE.fullmatch(kind) and len(kind) <= MAX_CONTENT_TYPE):
        raise Invalid("content_type_invalid", "content_type must look like image/png.", field="content_type")
    asset_id = asset_id or new_id()
    return Asset(
        id=asset_id,
        organization=organization,
        origin=Asset.Origin.UPLOAD,
        key=storage.new_key(organization.pk, asset_id, filename),
        filename=_shown(filename),
        content_type=kind,
        expires_at=timezone.now() + timedelta(days=organization.retention_days),
    )


def _shown(filename: str) -> str:
    """The customer's name for it, for pages and answers; no path, nothing that does not print."""
    base = re.split(r"[/\\]", filename)[-1]
    return "".join(character for character in base if character.isprintable())[:255] or "file"


def _check_size(size: int) -> None:
    if size <= 0:
        raise Invalid("file_empty", "The file is empty.", field="size")
    if size > settings.UPLOAD_MAX_BYTES:
        most = settings.UPLOAD_MAX_BYTES / 1024**2
        raise Invalid("file_too_large", f"The file is larger than {most:.4g} MiB.", field="size")


def _describe(asset: Asset, path: Path) -> None:
    asset.bytes = path.stat().st_size
    try:
        probe = media.probe(path)
    except media.MediaRefused as refusal:
        if refusal.code not in UNDECIDED:
            raise Invalid(refusal.code, f"{refusal.message} {refusal.hint}".strip(), field="file") from None
        return
    asset.status, asset.kind, asset.content_type = Asset.Status.READY, probe.kind, probe.content_type
    asset.sha256, asset.duration_ms = probe.sha256, probe.duration_ms
    asset.width, asset.height, asset.fps, asset.has_audio = (
        probe.width,
        probe.height,
        probe.fps,
        probe.has_audio,
    )


def _judge(asset: Asset, path: Path) -> None:
    """Nothing of a refused file is kept; one that nobody could judge is judged before it is used."""
    try:
        prepare.judge(asset, path)
    except prepare.Unfit as unfit:
        if unfit.failure != prepare.UNJUDGED:
            message = f"{unfit.failure.message} {unfit.failure.hint}".strip()
            raise Invalid(unfit.failure.code, message, field="file") from None


@shared_task(name="jobs.finish_upload")
def finish_task(asset_id: str) -> None:
    finish(asset_id)


@shared_task(name="jobs.finish_uploads")
def finish_all_task() -> None:
    for pk in unfinished().values_list("pk", flat=True)[:BATCH]:
        wake("jobs.finish_upload", str(pk))
