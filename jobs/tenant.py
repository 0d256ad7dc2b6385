"""One organization as an operator looks at it: what it has, may do, uses and did lately, in few statements."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import BigIntegerField, Count, F, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce, Now, TruncMonth
from django.urls import reverse

from accounts.console import link
from accounts.models import ApiKey, AuditEntry, Member, Note, Organization
from billing import quotas
from billing.models import Account, Alert, KeySpend, Kind, Limits, MonthSpend
from billing.money import format_usd
from jobs.models import Asset, Job
from jobs.states import Status

RECENT = 10
MOST = 50
NONE = "none"


@dataclass(frozen=True)
class Tenant:
    """The organization with its figures, and its tables for the theme. Money is micro-dollars."""

    organization: Organization
    available_micros: int
    held_micros: int
    revenue_micros: int
    credit_limit_micros: int
    has_limits: bool
    limits: dict[str, Any]
    tables: list[dict[str, Any]]
    notes: list[Note]

    @property
    def available(self) -> str:
        return format_usd(self.available_micros)

    @property
    def held(self) -> str:
        return format_usd(self.held_micros)

    @property
    def revenue(self) -> str:
        return format_usd(self.revenue_micros)

    @property
    def credit_limit(self) -> str:
        return format_usd(self.credit_limit_micros) if self.credit_limit_micros else ""


def organizations() -> QuerySet[Organization]:
    """With the figures of each: a statement for one of them takes them all along."""
    this = {"organization": OuterRef("pk")}
    own = Limits.objects.filter(**this)
    month = MonthSpend.objects.filter(**this, month=TruncMonth(Now()))
    return Organization.objects.annotate(
        **{kind: _one(Account.objects.filter(**this, kind=kind), F("balance_micros")) for kind in Kind},
        month_micros=_one(month, F("held_micros") + F("spent_micros")),
        budget_micros=Subquery(own.values("monthly_budget_micros")),
        credit_limit_micros=Subquery(own.values("credit_limit_micros")),
        running=_count(Job.objects.filter(**this, status__in=[Status.RUNNING, Status.SAVING])),
        waiting=_count(Job.objects.filter(**this, status__in=[Status.PREPARING, Status.QUEUED])),
        kept_bytes=_one(_alone(Asset.objects.live().filter(**this)), Sum("bytes")),
    )


def _one(rows: QuerySet[Any], value: Any) -> Coalesce:
    return Coalesce(Subquery(rows.values(found=value)[:1], output_field=BigIntegerField()), 0)


def _count(rows: QuerySet[Any]) -> Coalesce:
    return _one(_alone(rows), Count("pk"))


def _alone(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Folded to one row."""
    return rows.order_by().values("organization")


def tenant(found: Any) -> Tenant:
    """Of a row of `organizations`."""
    return Tenant(
        organization=found,
        available_micros=found.available,
        held_micros=found.held,
        revenue_micros=found.revenue,
        credit_limit_micros=found.credit_limit_micros or 0,
        has_limits=found.credit_limit_micros is not None,
        limits=_limits(found),
        tables=[_jobs(found), _members(found), _keys(found), _alerts(found), _record(found)],
        notes=list(
            Note.objects.for_org(found).select_related("author", "organization").order_by("-id")[:MOST]
        ),
    )


def _limits(found: Any) -> dict[str, Any]:
    may = quotas.limits_of(found)
    budget = found.budget_micros
    kept = f"{found.kept_bytes / quotas.GB:,.3g} GB"
    rows = [
        ("Running jobs", f"{found.running:,}", f"{may.running:,}"),
        ("Waiting jobs", f"{found.waiting:,}", f"{may.queued:,}"),
        ("Kept files", kept, f"{may.storage_gb} GB"),
        (
            "Spent this month",
            f"${format_usd(found.month_micros)}",
            NONE if budget is None else f"${format_usd(budget)}",
        ),
        ("Weight among those that wait", "", f"{may.weight:,}"),
        ("Submits a minute", "", f"{may.submits_per_minute:,}"),
        ("Requests a second in all", "", f"{may.requests_per_second:,}"),
        ("Requests a second by one key", "", f"{may.reads_per_second:,}"),
        ("Longest video", "", f"{may.longest_seconds} s" if may.longest_seconds else NONE),
        (
            "Models",
            "",
            "all" if may.allowed_models is None else ", ".join(sorted(may.allowed_models)) or NONE,
        ),
    ]
    return {"title": f"Limits ({may.tier})", **_table(["Limit", "Now", "Most"], rows)}


def _jobs(found: Organization) -> dict[str, Any]:
    jobs = Job.objects.for_org(found).order_by("-pk").defer("inputs", "options", "request", "wire")
    rows = [
        (
            link("jobs_job_change", job.pk, str(job.pk)),
            job.model,
            f"{job.status} {job.error_code}".strip(),
            f"${format_usd(job.charged_micros)}" if job.charged_micros is not None else "",
            _time(job.created_at),
        )
        for job in jobs[:RECENT]
    ]
    return {
        "title": "Latest jobs",
        "more": f"{reverse('admin:jobs_job_changelist')}?q={found.slug}",
        **_table(["Job", "Model", "State", "Charged", "Made"], rows),
    }


def _members(found: Organization) -> dict[str, Any]:
    members = Member.objects.for_org(found).select_related("user").order_by("created_at", "id")
    rows = [
        (
            link("accounts_user_change", member.user_id, member.user.email),
            member.get_role_display(),
            _time(member.created_at),
        )
        for member in members[:MOST]
    ]
    return {"title": "Members", **_table(["Person", "Role", "Since"], rows)}


def _keys(found: Organization) -> dict[str, Any]:
    spend = KeySpend.objects.filter(key=Coalesce(OuterRef("first"), OuterRef("pk")))
    keys: Any = ApiKey.objects.for_org(found).with_clock()
    keys = keys.annotate(spent=_one(spend, F("held_micros") + F("spent_micros")))
    rows = [
        (
            link("accounts_apikey_change", key.pk, str(key)),
            "revoked" if key.revoked_at else "expired" if key.expired else "works",
            f"${format_usd(key.spent)}",
            NONE if key.spend_cap_micros is None else f"${format_usd(key.spend_cap_micros)}",
            _time(key.last_used_at),
        )
        for key in keys.order_by(F("revoked_at").desc(nulls_first=True), "-created_at")[:MOST]
    ]
    return {
        "title": "Keys",
        "more": f"{reverse('admin:accounts_apikey_changelist')}?q={found.slug}",
        **_table(["Key", "State", "Spent", "Cap", "Last used"], rows),
    }


def _alerts(found: Organization) -> dict[str, Any]:
    rows = [
        (
            str(alert.get_kind_display()) + (f": {alert.percent} %" if alert.percent else ""),
            f"${alert.found_usd} of ${alert.limit_usd}",
            _time(alert.created_at),
            _time(alert.told_at) or "not yet",
        )
        for alert in Alert.objects.for_org(found).order_by("-id")[:RECENT]
    ]
    return {"title": "Alerts", **_table(["What", "Found", "When", "Told"], rows)}


def _record(found: Organization) -> dict[str, Any]:
    entries = AuditEntry.objects.for_org(found).select_related("actor_user", "actor_key").order_by("-id")
    rows = [
        (
            link("accounts_auditentry_change", entry.pk, entry.action),
            str(entry.actor_user or entry.actor_key or "the platform"),
            (entry.after or {}).get("reason", ""),
            _time(entry.created_at),
        )
        for entry in entries[:RECENT]
    ]
    return {
        "title": "On record",
        "more": f"{reverse('admin:accounts_auditentry_changelist')}?q={found.slug}",
        **_table(["Change", "By", "Reason", "When"], rows),
    }


def _table(headers: list[str], rows: Iterable[tuple[Any, ...]]) -> dict[str, Any]:
    return {"headers": headers, "rows": [list(row) for row in rows]}


def _time(at: Any) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else ""
