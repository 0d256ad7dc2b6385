"""People, their organizations, the keys of their programmes, and the record of what was changed."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self, TypeVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Subquery
from django.db.models.functions import Coalesce, Lower, Now

Row_co = TypeVar("Row_co", bound=models.Model, covariant=True)


class OrgQuerySet(models.QuerySet[Row_co]):
    """`Model.objects.for_org(organization)` is the one door to a tenant's rows.

    Other rooms import it from accounts.tenancy. A model without its own `organization` column names the way
    to it: org_path = "job__organization".
    """

    org_path: ClassVar[str] = "organization"

    def for_org(self, organization: Organization) -> Self:
        return self.filter(**{self.org_path: organization})


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Addresses are stored in lower case, so that one person cannot sign up twice."""
        if not email:
            raise ValueError("A user needs an e-mail address.")
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, **{"is_staff": True, "is_superuser": True, **fields})

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email=(username or "").strip().lower())


class User(AbstractBaseUser, PermissionsMixin):
    """A person, known by e-mail address."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=120, blank=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    date_joined = models.DateTimeField(db_default=Now())
    letters_when_finished = models.BooleanField(
        default=False, help_text="Wants an e-mail when a job of theirs has ended."
    )

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects = UserManager()

    class Meta:
        constraints = [models.UniqueConstraint(Lower("email"), name="user_email_lower")]

    def __str__(self) -> str:
        return self.email

    def get_full_name(self) -> str:
        return self.name or self.email

    def get_short_name(self) -> str:
        return self.name or self.email.partition("@")[0]


class BillingMode(models.TextChoices):
    PREPAID = "prepaid", "Prepaid"
    POSTPAID = "postpaid", "Postpaid"


class Organization(models.Model):
    """The tenant. `tier` is blank where billing computes it from what was paid."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120)
    slug = models.SlugField(max_length=60, unique=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    suspended_at = models.DateTimeField(null=True, blank=True)
    # The day of its deletion, once an owner has asked for it. It is suspended until then.
    closing_at = models.DateTimeField(null=True, blank=True)
    billing_mode = models.CharField(max_length=10, choices=BillingMode, default=BillingMode.PREPAID)
    retention_days = models.PositiveIntegerField(default=30)
    tier = models.SlugField(max_length=30, blank=True)

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    OWNER = "owner", "Owner"
    ADMIN = "admin", "Admin"
    DEVELOPER = "developer", "Developer"
    BILLING = "billing", "Billing"
    VIEWER = "viewer", "Viewer"


class MemberQuerySet(OrgQuerySet["Member"]):
    def of_user(self, user: User) -> MemberQuerySet:
        """The person's memberships with their organizations, oldest first: there a session starts."""
        return self.filter(user=user).select_related("organization").order_by("created_at", "id")

    def owners(self) -> MemberQuerySet:
        return self.filter(role=Role.OWNER)


class Member(models.Model):
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="members")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = MemberQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "user"], name="member_once")]

    def __str__(self) -> str:
        return f"{self.user_id} as {self.role}"


class InvitationQuerySet(OrgQuerySet["Invitation"]):
    def pending(self) -> InvitationQuerySet:
        return self.filter(accepted_at=None, expires_at__gt=Now())

    def open_or_expired(self) -> InvitationQuerySet:
        """All that nobody accepted, with `over` for those whose week has passed."""
        over = models.Case(models.When(expires_at__gt=Now(), then=False), default=True)
        return self.filter(accepted_at=None).annotate(over=over)


class Invitation(models.Model):
    """A place kept for an e-mail address. The mailed token is stored as its SHA-256 only."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField()
    role = models.CharField(max_length=10, choices=Role)
    digest = models.BinaryField(max_length=32, unique=True)
    invited_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)

    objects = InvitationQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.email} as {self.role}"


CLOCK: dict[str, Any] = {"now": Now()}


class ApiKeyQuerySet(OrgQuerySet["ApiKey"]):
    def with_clock(self) -> ApiKeyQuerySet:
        return self.annotate(**CLOCK)

    def newest_first(self) -> ApiKeyQuerySet:
        return self.with_clock().select_related("created_by").order_by("-created_at")


class ApiKey(models.Model):
    """A programme's key. Only its SHA-256 is kept; the key itself is shown once, when it is made."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="keys")
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    name = models.CharField(max_length=120)
    digest = models.BinaryField(max_length=32, unique=True)
    last4 = models.CharField(max_length=4)
    scopes = ArrayField(models.CharField(max_length=40))
    expires_at = models.DateTimeField(null=True, blank=True)
    # CIDR texts; empty means from anywhere.
    allowed_networks = ArrayField(models.CharField(max_length=50), default=list, blank=True)
    # The most this key may ever spend, in micro-dollars; billing enforces it when it places a hold.
    spend_cap_micros = models.BigIntegerField(null=True, blank=True)
    # Of a key that a rotation made: the key before it, and the first one of all, whose cap they share.
    replaces = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, editable=False, related_name="successor"
    )
    first = models.ForeignKey("self", on_delete=models.PROTECT, null=True, editable=False, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)
    last_used_address = models.GenericIPAddressField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True)

    # The database's clock; there on rows that came through with_clock().
    now: datetime

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = "API key"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(spend_cap_micros=None) | models.Q(spend_cap_micros__gte=0),
                name="key_spend_cap_not_negative",
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} (vr_…{self.last4})"

    @property
    def chain_id(self) -> uuid.UUID:
        """The same for a key and all that replaced it: what they spend is counted together."""
        return self.first_id or self.pk

    @property
    def expired(self) -> bool:
        """By the database's clock: on rows from with_clock()."""
        return self.expires_at is not None and self.expires_at <= self.now


class AuditEntryQuerySet(OrgQuerySet["AuditEntry"]):
    def newest_first(self) -> AuditEntryQuerySet:
        return self.select_related("actor_user", "actor_key").order_by("-id")

    def at_day(self, first: datetime | None, end: datetime | None) -> AuditEntryQuerySet:
        """From `first` on and before `end`. The list goes by id: a bound on it keeps the walk short, an hour wide since
        ids are drawn a little before their rows are written.
        """
        rows = self
        if first is not None:
            near = self.filter(created_at__gte=first - timedelta(hours=1)).order_by("created_at")
            rows = rows.filter(created_at__gte=first, pk__gte=Coalesce(Subquery(near.values("pk")[:1]), 0))
        if end is not None:
            rows = rows.filter(created_at__lt=end)
        return rows


class AuditEntry(models.Model):
    """Who changed what, and when. Append-only: a database trigger refuses UPDATE and DELETE, but for blanking the details
    when somebody is forgotten (accounts.forgetting).
    """

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, null=True, related_name="+")
    actor_user = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    actor_key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, null=True, related_name="+")
    action = models.CharField(max_length=60)
    target_type = models.CharField(max_length=60)
    target_id = models.CharField(max_length=60)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    address = models.GenericIPAddressField(null=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = AuditEntryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["organization", "-id"], name="audit_by_organization"),
            models.Index(fields=["action", "-id"], name="audit_by_action"),
            models.Index(fields=["target_id"], name="audit_by_target"),
            # The filters of the organization's own page.
            models.Index(fields=["organization", "actor_user", "-id"], name="audit_by_person"),
            models.Index(fields=["organization", "actor_key", "-id"], name="audit_by_key"),
            models.Index(fields=["organization", "action", "-id"], name="audit_by_own_action"),
            models.Index(fields=["organization", "created_at"], name="audit_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.target_type} {self.target_id}"


class Note(models.Model):
    """What an operator writes down about an organization, for operators. Append-only: a database trigger refuses UPDATE
    and DELETE.
    """

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    text = models.TextField(max_length=2000)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = OrgQuerySet["Note"].as_manager()

    class Meta:
        indexes = [models.Index(fields=["organization", "-id"], name="note_by_organization")]

    def __str__(self) -> str:
        return self.text[:60]
