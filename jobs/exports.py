"""A copy of all that is kept of an organization, or of a person: one archive of JSON lines and files.

The row is the order. Whoever claims it builds the archive on disk and stores it where the organization's other files are,
so that it goes with them; the sweeper wakes what is due, so a process that dies costs only time.
"""

from __future__ import annotations

import json
import logging
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from celery import shared_task
from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models, transaction
from django.db.models import Case, F, Value, When
from django.db.models.functions import Now
from django.utils import timezone

from accounts import audit
from accounts.models import ApiKey, AuditEntry, Invitation, Member, Organization, User
from accounts.tenancy import Caller
from billing.models import DayUse, Transfer
from jobs import notices, storage
from jobs.errors import Conflict
from jobs.models import Asset, Job, JobEvent, Share, WebhookEndpoint
from jobs.personal import DataExport
from jobs.wake import wake
from providers import leases

log = logging.getLogger(__name__)

LEASE_SECONDS = 600
TRIES = 5
CHUNK = 2000
NAME = "voicereel-data.zip"
README = """This is everything that Voicereel keeps of {whom}, as of {now} UTC.

Each .jsonl file holds one JSON object a line. Times are UTC, money is in micro-dollars (1,000,000 are one US dollar).
{files}
"""
# What each file of an organization's archive holds; never a digest, a secret or another organization's row.
KEYS: tuple[str, ...] = (
    "id",
    "name",
    "last4",
    "scopes",
    "expires_at",
    "allowed_networks",
    "spend_cap_micros",
    "created_at",
)
KEYS += ("last_used_at", "last_used_address", "revoked_at", "created_by__email")
JOBS: tuple[str, ...] = (
    "id",
    "created_at",
    "status",
    "model",
    "dialect",
    "inputs",
    "options",
    "tags",
    "webhook_url",
)
JOBS += ("quoted_micros", "charged_micros", "billed_units", "error_code", "error_message", "queued_at")
JOBS += ("started_at", "finished_at", "deleted_at", "key_id", "user__email")
FILES: tuple[str, ...] = (
    "id",
    "job_id",
    "role",
    "origin",
    "kind",
    "filename",
    "content_type",
    "bytes",
    "sha256",
    "duration_ms",
)
FILES += ("width", "height", "created_at", "expires_at", "deleted_at")
USE = ("day", "key_id", "model", "resolution", "jobs", "billed_ms", "micros")
YOU = ("email", "name", "date_joined", "last_login", "letters_when_finished")
AUDIT: tuple[str, ...] = ("created_at", "action", "target_type", "target_id", "before", "after")


def ask(caller: Caller) -> DataExport:
    """An archive of the organization. Raises Conflict while one is being made."""
    assert caller.user is not None
    return _order(caller.user, by=caller, organization=caller.organization)


def ask_own(user: User) -> DataExport:
    return _order(user, by=user, user=user)


def _order(person: User, *, by: Caller | User, **subject: Any) -> DataExport:
    with transaction.atomic():
        User.objects.select_for_update().get(pk=person.pk)
        if DataExport.objects.filter(**subject, status=DataExport.Status.WAITING).exists():
            raise Conflict(
                "export_waiting", "A copy is being made already. We write to you when it is ready."
            )
        order = DataExport.objects.create(requested_by=person, **subject)
        audit.record(
            "organization.export" if "organization" in subject else "profile.export", by=by, target=order
        )
        wake("jobs.export", str(order.pk))
    return order


def build(export_id: str) -> None:
    """Make the archive, if it is due and nobody else is at it. Safe to call at any time."""
    due = DataExport.objects.filter(pk=export_id, status=DataExport.Status.WAITING, due_at__lte=Now())
    for order in leases.claim(due, seconds=LEASE_SECONDS):
        try:
            _make(order)
        except Exception:
            _try_again(order)
            raise


def _make(order: DataExport) -> None:
    with tempfile.TemporaryDirectory(prefix="voicereel-export-") as folder:
        path = Path(folder) / NAME
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            if order.organization:
                _organization(order, archive, order.organization)
            else:
                _person(archive, order.requested_by)
        key = storage.new_key(order.organization_id or f"person-{order.user_id}", order.pk, NAME)
        if not leases.renew(order, seconds=LEASE_SECONDS):
            return
        storage.put(key, path, content_type="application/zip")
        ready = {"status": DataExport.Status.READY, "key": key, "bytes": path.stat().st_size}
    mine = DataExport.objects.filter(pk=order.pk, fence=order.fence, status=DataExport.Status.WAITING)
    end = Now() + timedelta(days=settings.EXPORT_DAYS)
    if not mine.update(**ready, expires_at=end, lease_until=None, tell_at=Now()):
        storage.delete([key])


def _try_again(order: DataExport) -> None:
    mine = DataExport.objects.filter(pk=order.pk, fence=order.fence)
    if order.tries + 1 >= TRIES:
        mine.update(status=DataExport.Status.FAILED, lease_until=None)
        return
    pause = settings.RETRY_STEP * 2**order.tries
    mine.update(tries=F("tries") + 1, lease_until=None, due_at=Now() + pause)


# --- what is in it ---


def _organization(order: DataExport, archive: zipfile.ZipFile, organization: Organization) -> None:
    def own(model: Any) -> Any:
        return model.objects.for_org(organization)

    about = ("id", "name", "slug", "created_at", "billing_mode", "retention_days", "tier")
    tables: dict[str, Any] = {
        "organization": Organization.objects.filter(pk=organization.pk).values(*about),
        "members": own(Member).values("user__email", "user__name", "role", "created_at"),
        "invitations": own(Invitation).values("email", "role", "created_at", "expires_at", "accepted_at"),
        "keys": own(ApiKey).values(*KEYS),
        "audit": _without_operators(own(AuditEntry)).order_by("id").values(*AUDIT, "who", "actor_key_id"),
        "jobs": own(Job).order_by("id").values(*JOBS),
        "events": own(JobEvent).order_by("id").values("id", "job_id", "type", "data", "at"),
        "files": own(Asset).order_by("id").values(*FILES),
        "shares": own(Share).values(
            "id", "job_id", "title", "views", "created_at", "expires_at", "revoked_at"
        ),
        "webhooks": own(WebhookEndpoint).values(
            "id", "url", "description", "events", "enabled", "created_at"
        ),
        "transfers": own(Transfer)
        .order_by("id")
        .values("id", "created_at", "kind", "amount_micros", "job_id", "note", "reference"),
        "usage_by_day": own(DayUse).filter(jobs__gt=0).order_by("day", "id").values(*USE),
    }
    for name, rows in tables.items():
        _lines(archive, name, rows)
        leases.renew(order, seconds=LEASE_SECONDS)
    files = own(Asset).live().filter(status=Asset.Status.READY).order_by("id")
    total = files.aggregate(total=models.Sum("bytes"))["total"] or 0
    packed = total <= settings.EXPORT_FILES_BYTES
    for asset in files.iterator(chunk_size=200) if packed else ():
        _file(archive, asset)
        leases.renew(order, seconds=LEASE_SECONDS)
    words = (
        "The files themselves are in files/, each under the id that files.jsonl names."
        if packed
        else f"The files are {total:,} bytes and not in here: download them from your videos before they expire."
    )
    _readme(archive, organization.name, words)


def _without_operators(entries: Any) -> Any:
    """An operator has neither name nor address for a customer."""
    operator = When(actor_user__is_staff=True, then=Value("operator"))
    return entries.annotate(
        who=Case(operator, default=F("actor_user__email"), output_field=models.CharField())
    )


def _person(archive: zipfile.ZipFile, user: User) -> None:
    tables: dict[str, Any] = {
        "you": User.objects.filter(pk=user.pk).values(*YOU),
        "addresses": EmailAddress.objects.filter(user=user).values("email", "verified", "primary"),
        "second_factors": Authenticator.objects.filter(user=user).values(
            "type", "created_at", "last_used_at"
        ),
        "services": SocialAccount.objects.filter(user=user).values(
            "provider", "uid", "extra_data", "date_joined"
        ),
        "sessions": UserSession.objects.filter(user=user).values(
            "created_at", "last_seen_at", "ip", "user_agent"
        ),
        "organizations": Member.objects.filter(user=user).values("organization__name", "role", "created_at"),
        "actions": AuditEntry.objects.filter(actor_user=user).order_by("id").values(*AUDIT, "address"),
        "jobs": Job.objects.filter(user=user, organization__members__user=user)
        .order_by("id")
        .values("id", "organization__name", "model", "status", "created_at", "finished_at"),
    }
    for name, rows in tables.items():
        _lines(archive, name, rows)
    _readme(archive, user.email, "What you made belongs to your organizations, whose owners export it.")


def _lines(archive: zipfile.ZipFile, name: str, rows: Any) -> None:
    with archive.open(f"{name}.jsonl", "w", force_zip64=True) as out:
        for row in rows.iterator(chunk_size=CHUNK):
            out.write(json.dumps(row, cls=DjangoJSONEncoder, ensure_ascii=False).encode() + b"\n")


def _file(archive: zipfile.ZipFile, asset: Asset) -> None:
    """Media do not shrink, so they are stored as they are. One that has gone meanwhile is left out."""
    info = zipfile.ZipInfo(f"files/{asset.pk}/{storage.safe_name(asset.filename or asset.key)}")
    info.compress_type = zipfile.ZIP_STORED
    try:
        source = storage.open(asset.key)
    except FileNotFoundError:
        return
    with source, archive.open(info, "w", force_zip64=True) as out:
        for chunk in _chunks(source):
            out.write(chunk)


def _chunks(source: IO[bytes]) -> Iterator[bytes]:
    while chunk := source.read(1024 * 1024):
        yield chunk


def _readme(archive: zipfile.ZipFile, whom: str, files: str) -> None:
    now = f"{timezone.now():%Y-%m-%d %H:%M}"
    archive.writestr("README.txt", README.format(whom=whom, now=now, files=files))


# --- afterwards ---


def address(order: DataExport) -> str:
    """A short-lived address of the archive."""
    return storage.signed_get(order.key, seconds=300, filename=NAME, inline=False)


def expire() -> int:
    """Delete archives whose time is up; how many."""
    rows = DataExport.objects.filter(status=DataExport.Status.READY, expires_at__lt=Now())
    over = list(rows.values_list("pk", "key"))
    DataExport.objects.filter(pk__in=[pk for pk, _ in over]).update(status=DataExport.Status.OVER)
    storage.delete([key for _, key in over])
    return len(over)


@shared_task(name="jobs.export")
def build_task(export_id: str) -> None:
    build(export_id)


@shared_task(name="jobs.expire_exports")
def expire_task() -> None:
    expire()


@shared_task(name="jobs.tell_export")
def tell_task(export_id: str) -> None:
    notices.tell_export(export_id)
