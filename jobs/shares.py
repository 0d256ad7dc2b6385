"""Links that show one video to whoever has them: made, found, revoked.

A token is 256 random bits; only its digest is kept, so nobody can read a link out of the database.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.hashers import check_password, make_password
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Least, Now

from accounts import audit
from accounts.tenancy import Caller
from billing import throttles
from jobs.errors import Conflict, NotFound
from jobs.models import Asset, Job, Share

TOKEN_BYTES = 32
MOST = 20


class ShareOver(Exception):
    """The link was good once: it ended, was revoked, or its video is gone."""


@dataclass(frozen=True)
class Shared:
    """What a link opens."""

    share: Share
    video: Asset
    poster: Asset | None


def make(
    caller: Caller, job: Job, *, life: timedelta, title: str = "", password: str = ""
) -> tuple[Share, str]:
    """A new link and its token, which exists nowhere else. It never outlives the video.

    Raises Conflict for a job without a video, and when there are enough links.
    """
    token = secrets.token_urlsafe(TOKEN_BYTES)
    hashed = make_password(password) if password else ""
    with transaction.atomic():
        # The job's row is the lock: two requests must not both make the last link allowed.
        Job.objects.select_for_update(no_key=True).get(pk=job.pk)
        video = Asset.objects.live().filter(job=job, origin=Asset.Origin.OUTPUT, role="video").first()
        if video is None:
            raise Conflict("nothing_to_share", "There is no video to share.")
        if len(working(job)) >= MOST:
            raise Conflict("share_limit", f"A video may have {MOST} links; revoke one first.")
        end = Now() + life
        share = Share.objects.create(
            organization=job.organization,
            job=job,
            digest=_digest(token),
            title=title,
            password=hashed,
            created_by=audit.user_of(caller),
            expires_at=Least(end, video.expires_at) if video.expires_at else end,
        )
        share.refresh_from_db()
        audit.record("share.make", by=caller, target=share, after=_facts(share))
    return share, token


def working(job: Job) -> list[Share]:
    """The links of a job that still work, newest first."""
    rows = Share.objects.for_org(job.organization).working().filter(job=job)
    return list(rows.select_related("created_by").order_by("-id")[:MOST])


def revoke(caller: Caller, share: Share) -> None:
    """Nobody sees the video by this link any more, from now on. Twice is fine."""
    with transaction.atomic():
        if Share.objects.filter(pk=share.pk, revoked_at=None).update(revoked_at=Now()):
            audit.record("share.revoke", by=caller, target=share, before=_facts(share))


def find(token: str) -> Shared:
    """What the link opens now. Raises NotFound for a token that never was one, else ShareOver."""
    rows = Share.objects.select_related("job", "organization")
    share = rows.filter(digest=_digest(token)).first()
    if share is None:
        raise NotFound("share_unknown", "There is no such link.")
    over = share.job.deleted_at or share.organization.suspended_at
    if over or not Share.objects.working().filter(pk=share.pk).exists():
        raise ShareOver
    outputs = Asset.objects.live().filter(job=share.job_id, origin=Asset.Origin.OUTPUT)
    files = {asset.role: asset for asset in outputs}
    if "video" not in files:
        raise ShareOver
    return Shared(share, files["video"], files.get("poster"))


def password_fits(share: Share, password: str, *, address: str) -> bool:
    """Whether this is the password. Raises RateLimited when it was tried too often."""
    throttles.guess_allowed(f"share:{share.pk}", address)
    return check_password(password, share.password)


def count(share: Share) -> None:
    Share.objects.filter(pk=share.pk).update(views=F("views") + 1)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _facts(share: Share) -> dict[str, str | bool]:
    """For the audit record."""
    return {
        "job": str(share.job_id),
        "expires_at": share.expires_at.isoformat(),
        "password": bool(share.password),
    }
