"""What the product keeps: files, jobs, attempts, events, deliveries."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts.models import ApiKey, Organization, User
from accounts.tenancy import OrgQuerySet
from jobs import kept, marks, personal, requested, sealed  # noqa: F401  where Django finds their models
from jobs.states import ATTEMPT_OPEN, ATTEMPT_POLLED, FINAL, OPEN, AttemptStatus, Status
from jobs.types import least_id, new_id
from jobs.webhook_models import Delivery, DeliveryQuerySet, DeliveryTry, WebhookEndpoint

__all__ = ["Delivery", "DeliveryQuerySet", "DeliveryTry", "WebhookEndpoint"]  # Django finds models here


class AssetQuerySet(OrgQuerySet["Asset"]):
    def live(self) -> AssetQuerySet:
        return self.filter(deleted_at=None)


class Asset(models.Model):
    """A stored file. Probed before use: length in ms, sides in px. The key is ours, never the customer's name."""

    class Status(models.TextChoices):
        PENDING = "pending"
        READY = "ready"
        REFUSED = "refused"

    class Origin(models.TextChoices):
        UPLOAD = "upload"
        FETCHED = "fetched"
        OUTPUT = "output"

    id = models.UUIDField(primary_key=True, default=new_id)
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="assets")
    job = models.ForeignKey("Job", models.PROTECT, null=True, related_name="assets")
    role = models.CharField(max_length=16, blank=True, help_text="Of an output: video, poster, preview.")
    origin = models.CharField(max_length=16, choices=Origin)
    status = models.CharField(max_length=16, choices=Status, default=Status.PENDING)
    kind = models.CharField(max_length=16, blank=True, help_text="image, audio or video, as probed")
    key = models.CharField(max_length=255, unique=True)
    filename = models.CharField(max_length=255, blank=True)
    content_type = models.CharField(max_length=100, blank=True)
    bytes = models.BigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    duration_ms = models.BigIntegerField(default=0)
    width = models.PositiveIntegerField(default=0)
    height = models.PositiveIntegerField(default=0)
    fps = models.FloatField(default=0.0)
    has_audio = models.BooleanField(default=False)
    refusal = models.JSONField(
        default=dict, help_text="code, message and hint of a file that is no usable media"
    )
    moderation = models.JSONField(
        default=dict,
        help_text="flagged, and by which label; failed where nobody could judge it; empty: not judged",
    )
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)

    objects = AssetQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["organization", "-id"], name="asset_newest"),
            # The room that an organization's files take is the sum over this, without a look at the table.
            models.Index(
                fields=["organization"], include=["bytes"], name="asset_room", condition=Q(deleted_at=None)
            ),
            models.Index(fields=["expires_at"], name="asset_expiring", condition=Q(deleted_at=None)),
            models.Index(
                fields=["created_at"],
                name="asset_unfinished",
                condition=Q(status="pending", deleted_at=None),
            ),
            # The console asks over all organizations, newest first. What is not in these is so common that the newest
            # rows fill a page of it.
            models.Index(fields=["status", "-id"], name="asset_by_status", condition=~Q(status="ready")),
            models.Index(fields=["origin", "-id"], name="asset_by_origin", condition=~Q(origin="output")),
            models.Index(fields=["kind", "-id"], name="asset_by_kind", condition=~Q(kind="video")),
        ]


CLOCKS_APART = timedelta(hours=1)


def _shifted(at: datetime, by: timedelta) -> datetime:
    """Years 1 and 9999 are times too."""
    try:
        return at + by
    except OverflowError:
        return at


class JobQuerySet(OrgQuerySet["Job"]):
    def visible(self) -> JobQuerySet:
        """Without those the customer deleted."""
        return self.filter(deleted_at=None)

    def open(self) -> JobQuerySet:
        return self.filter(status__in=OPEN)

    def created(self, *, after: datetime | None = None, before: datetime | None = None) -> JobQuerySet:
        """Made from `after` on and before `before`. Lists go by id, so its bounds keep the index scan short: an id
        carries its maker's time, created_at is the database's, and the two clocks are no hour apart.
        """
        rows = self
        if after is not None:
            rows = rows.filter(created_at__gte=after, pk__gte=least_id(_shifted(after, -CLOCKS_APART)))
        if before is not None:
            rows = rows.filter(created_at__lt=before, pk__lt=least_id(_shifted(before, CLOCKS_APART)))
        return rows

    def tagged(self, organization: Organization, tag: str) -> JobQuerySet:
        return self.filter(marks__organization=organization, marks__tag=tag)

    def starred(self, organization: Organization, user: User) -> JobQuerySet:
        return self.filter(stars__organization=organization, stars__user=user)


class Job(models.Model):
    """What a customer asked for. Prices and lengths are frozen here at submit; every status change is `transition`."""

    id = models.UUIDField(primary_key=True, default=new_id)
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="jobs", db_index=False)
    key = models.ForeignKey(ApiKey, models.SET_NULL, null=True, related_name="jobs", db_index=False)
    user = models.ForeignKey(User, models.SET_NULL, null=True, related_name="jobs")
    dialect = models.CharField(max_length=16)
    model = models.CharField(max_length=64)
    inputs = models.JSONField(
        help_text="role to {asset} or {url} or {data}; resolved to {asset} while preparing"
    )
    options = models.JSONField(help_text="checked, defaults filled in, the seed drawn")
    request = models.JSONField(
        default=dict, help_text="the inputs and options as the customer wrote them, for echoes"
    )
    wire = models.JSONField(default=dict, help_text="what only the dialect cares about")
    tags = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    webhook_url = models.CharField(max_length=2048, blank=True)
    idempotency_key = models.CharField(max_length=255, null=True)  # noqa: DJ001  null is outside the unique index
    request_hash = models.CharField(max_length=64, blank=True)

    status = models.CharField(max_length=16, choices=Status)
    phase = models.CharField(max_length=16, blank=True)
    progress = models.FloatField(default=0.0)
    detail = models.JSONField(
        default=dict, help_text="clip, clips and what else the provider says of its progress"
    )
    preview = models.BooleanField(
        default=False, help_text="rendered by a preview engine, not by the model itself"
    )
    length_ms = models.BigIntegerField(default=0, help_text="of the input whose length is billed")
    quote = models.JSONField(default=dict)
    quoted_micros = models.BigIntegerField(default=0)
    free_micros = models.BigIntegerField(default=0, db_default=0, help_text="of the quoted")
    charged_micros = models.BigIntegerField(null=True)
    billed_units = models.PositiveIntegerField(null=True)
    error_code = models.CharField(max_length=64, blank=True)
    error_message = models.CharField(max_length=500, blank=True)
    error_hint = models.CharField(max_length=300, blank=True, help_text="what would help")
    error_retryable = models.BooleanField(default=False)

    # A trigger adds one with every change of the row, whoever makes it.
    version = models.BigIntegerField(db_default=0, editable=False)

    # Work on a preparing or saving job is claimed: lease and fence. `tries` counts claims that did not finish.
    due_at = models.DateTimeField(db_default=Now())
    lease_until = models.DateTimeField(null=True)
    fence = models.BigIntegerField(default=0)
    tries = models.PositiveIntegerField(default=0)
    deadline_at = models.DateTimeField()
    cancel_requested_at = models.DateTimeField(null=True)

    created_at = models.DateTimeField(db_default=Now())
    queued_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)

    # There on a job that was accepted a moment ago: the event that tells of it, and its place in the queue if asked for.
    first_event: JobEvent | None = None
    first_place: int | None = None

    objects = JobQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "idempotency_key"],
                name="job_idempotent",
                condition=Q(idempotency_key__isnull=False),
            ),
            models.CheckConstraint(condition=Q(progress__gte=0, progress__lte=1), name="job_progress"),
            models.CheckConstraint(
                condition=Q(charged_micros=None)
                | Q(charged_micros__lte=F("quoted_micros") - F("free_micros")),
                name="job_never_above_quote",
            ),
        ]
        indexes = [
            models.Index(fields=["organization", "-id"], name="job_newest"),
            # The filters of lists, newest first; times are bounds on the id.
            models.Index(fields=["organization", "status", "-id"], name="job_by_status"),
            models.Index(fields=["organization", "model", "-id"], name="job_by_model"),
            models.Index(fields=["organization", "key", "-id"], name="job_by_key"),
            models.Index(fields=["organization", "user", "-id"], name="job_by_user", condition=~Q(user=None)),
            # How fast a model was rendered lately.
            models.Index(
                fields=["model", "-finished_at"], name="job_lately", condition=Q(status="succeeded")
            ),
            # What failed lately, counted by code without a look at the table.
            models.Index(
                fields=["id"],
                include=["error_code", "model"],
                name="job_failed",
                condition=Q(status__in=["expired", "failed"]),
            ),
            # Only unfinished jobs: what the dispatcher and the sweeper look through stays small.
            models.Index(fields=["status", "due_at"], name="job_due", condition=Q(status__in=sorted(OPEN))),
            # Which organizations wait, by one probe for each, and their jobs in turn.
            models.Index(fields=["organization", "id"], name="job_waiting", condition=Q(status="queued")),
            models.Index(fields=["deadline_at"], name="job_deadline", condition=Q(status__in=sorted(OPEN))),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def final(self) -> bool:
        return self.status in FINAL


class Attempt(models.Model):
    """One submission of a job to one provider. The row is written before the call; its tag is the client token."""

    id = models.UUIDField(primary_key=True, default=new_id)
    job = models.ForeignKey(Job, models.PROTECT, related_name="attempts")
    number = models.PositiveIntegerField()
    route_id = models.BigIntegerField()
    provider = models.CharField(max_length=32)
    account_id = models.BigIntegerField(
        null=True, help_text="ours at the provider, by which it is asked about this"
    )
    part = models.PositiveSmallIntegerField(
        default=0, help_text="Of a job that is filmed in parts: which one; 0: the whole."
    )
    cuts = models.JSONField(
        default=list, help_text="Where the voice is cut for that, in ms, from 0 to its end."
    )
    tag = models.CharField(max_length=64, unique=True)
    external_id = models.CharField(max_length=255, blank=True)
    claimed_id = models.CharField(
        max_length=255, blank=True, help_text="what a callback named while the answer was lost"
    )
    status = models.CharField(max_length=16, choices=AttemptStatus, default=AttemptStatus.CREATED)
    result = models.JSONField(default=dict, help_text="outputs as the provider named them")
    error_code = models.CharField(max_length=64, blank=True)
    error_message = models.CharField(max_length=500, blank=True)
    error_hint = models.CharField(max_length=300, blank=True, help_text="what would help")
    error_retryable = models.BooleanField(default=False)
    note = models.CharField(
        max_length=500, blank=True, help_text="the provider's own words, for operators, never for customers"
    )
    cost_micros = models.BigIntegerField(default=0)
    due_at = models.DateTimeField(
        db_default=Now(), help_text="next poll, or next try to learn what became of it"
    )
    lease_until = models.DateTimeField(null=True)
    fence = models.BigIntegerField(default=0)
    poll_failures = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now())
    submitted_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    cleared = models.BooleanField(default=False, help_text="Its workspace in storage is gone.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "number"], name="attempt_numbered"),
            # One open attempt a job: no second paid order while the first may still run.
            models.UniqueConstraint(
                fields=["job"], name="attempt_one_open", condition=Q(status__in=sorted(ATTEMPT_OPEN))
            ),
        ]
        indexes = [
            models.Index(
                fields=["finished_at"],
                name="attempt_to_clear",
                condition=Q(cleared=False, finished_at__isnull=False),
            ),
            models.Index(
                fields=["due_at"], name="attempt_poll_due", condition=Q(status__in=sorted(ATTEMPT_POLLED))
            ),
            models.Index(
                fields=["route_id"], name="attempt_open", condition=Q(status__in=sorted(ATTEMPT_OPEN))
            ),
            models.Index(fields=["external_id"], name="attempt_external", condition=~Q(external_id="")),
            # How long a route took lately.
            models.Index(
                fields=["route_id", "-finished_at"], name="attempt_lately", condition=Q(status="succeeded")
            ),
            # The console's filters: most succeeded, so those are found without.
            models.Index(
                fields=["status", "-id"], name="attempt_by_status", condition=~Q(status="succeeded")
            ),
            models.Index(fields=["provider", "-id"], name="attempt_by_provider"),
        ]

    def __str__(self) -> str:
        return f"{self.job_id}/{self.number}"


class JobEventQuerySet(OrgQuerySet["JobEvent"]):
    pass


class JobEvent(models.Model):
    """Something that happened to a job, append-only. Its id is the cursor of feeds and streams."""

    id = models.BigAutoField(primary_key=True)
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="+")
    job = models.ForeignKey(Job, models.PROTECT, related_name="events")
    type = models.CharField(max_length=32)
    data = models.JSONField(default=dict)
    at = models.DateTimeField(db_default=Now())

    objects = JobEventQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["job", "id"], name="event_of_job"),
            models.Index(fields=["organization", "id"], name="event_of_org"),
        ]
        ordering: ClassVar[list[str]] = ["id"]

    def __str__(self) -> str:
        return f"{self.type} of {self.job_id}"


class ShareQuerySet(OrgQuerySet["Share"]):
    def working(self) -> ShareQuerySet:
        """Those that still open a video, as far as they themselves are asked; the video may be gone."""
        return self.filter(revoked_at=None, expires_at__gt=Now())


class Share(models.Model):
    """A link that shows one video to whoever has it. Only the digest of its token is kept; a password is hashed."""

    id = models.UUIDField(primary_key=True, default=new_id)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    job = models.ForeignKey(Job, models.CASCADE, related_name="shares")
    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the token, in hexadecimal.")
    title = models.CharField(max_length=100, blank=True, help_text="What viewers read above the video.")
    password = models.CharField(
        max_length=128, blank=True, help_text="Hashed; blank where none is asked for."
    )
    views = models.PositiveBigIntegerField(default=0)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)

    objects = ShareQuerySet.as_manager()

    def __str__(self) -> str:
        return str(self.id)
