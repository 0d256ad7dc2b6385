"""What guards the money against its own operators: acts that need a second one."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts.models import Organization, User
from accounts.tenancy import OrgQuerySet
from billing.gateway_models import TopUp
from billing.money import format_usd


class Act(models.TextChoices):
    GRANT = "grant", "Gift"
    TOPUP = "topup", "Payment received (counts towards the tier)"
    WRITE_OFF = "write_off", "Write-off of what is owed"
    REFUND = "refund", "Refund of a top-up, to the card"
    CREDIT = "credit", "Credit limit, raised by so much"


class ProposalStatus(models.TextChoices):
    OPEN = "open", "Waits for a second operator"
    DONE = "done", "Done"
    DECLINED = "declined", "Declined"


class Proposal(models.Model):
    """Money that an operator moves by hand. Up to a set amount it is done at once, above it a second one decides."""

    # Made with the form: sending it twice is asking once.
    once = models.UUIDField(unique=True, editable=False)
    kind = models.CharField(max_length=10, choices=Act)
    status = models.CharField(max_length=10, choices=ProposalStatus)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    topup = models.ForeignKey(TopUp, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    amount_micros = models.BigIntegerField()
    reason = models.CharField(max_length=300)
    spent_too = models.BooleanField("refund even what is spent", default=False)
    proposed_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", db_index=False)
    # Nobody: it was small enough.
    decided_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    decided_at = models.DateTimeField(null=True)

    objects = OrgQuerySet["Proposal"].as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount_micros__gt=0), name="proposal_more_than_nothing"),
            models.CheckConstraint(
                condition=~Q(status="done", decided_by=F("proposed_by")), name="proposal_not_by_oneself"
            ),
            models.CheckConstraint(
                condition=~Q(kind="refund") | Q(topup__isnull=False), name="proposal_refund_of_topup"
            ),
        ]
        indexes = [models.Index(fields=["organization", "created_at"], name="proposal_by_time")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.usd} USD"

    @property
    def usd(self) -> str:
        return format_usd(self.amount_micros)


class Reconciliation(models.Model):
    """One run of the rules: which were gone through, and why the others were not."""

    started_at = models.DateTimeField(db_default=Now(), editable=False)
    ended_at = models.DateTimeField(null=True)
    skipped = models.JSONField(default=dict, help_text="rule to the reason")
    differences = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M} UTC"


class Difference(models.Model):
    """Two places that should say the same and do not. It stays until a run finds them equal, or an operator says so."""

    rule = models.CharField(max_length=2)
    what = models.CharField(max_length=100)
    subject = models.CharField(max_length=200)
    expected = models.CharField(max_length=80)
    found = models.CharField(max_length=80)
    job_id = models.UUIDField(null=True)
    # When its subject happened: a run that no longer looks so far back cannot say that it is mended.
    happened_at = models.DateTimeField(null=True)
    first_seen_at = models.DateTimeField(db_default=Now(), editable=False)
    last_seen_at = models.DateTimeField(db_default=Now())
    resolved_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["rule", "what", "subject"], name="difference_once")]
        indexes = [
            models.Index(fields=["rule", "-id"], condition=Q(resolved_at=None), name="difference_open"),
            # The console's list, its filters and what it is searched for.
            models.Index(fields=["-id"], condition=Q(resolved_at=None), name="difference_newest_open"),
            models.Index(fields=["rule", "-id"], name="difference_by_rule"),
            models.Index(fields=["job_id"], condition=Q(job_id__isnull=False), name="difference_by_job"),
            models.Index(fields=["subject"], name="difference_by_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.rule} {self.subject}: {self.expected} expected, {self.found} found"
