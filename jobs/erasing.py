"""Deleting an organization or a person, so that it is really gone: nothing works for it any more at once, and after some
days, in which it may be called off, its files go and all that says who it was.

The row is the order, claimed by lease and fence; each step may run twice, so whoever takes over from a process that died
begins anew. What stays are rows that the books refer to, nameless.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from celery import shared_task
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Now

from accounts import audit, key_cache
from accounts import forgetting as people
from accounts.models import ApiKey, Member, Organization, Role, User
from accounts.tenancy import Caller
from billing import forgetting as books
from jobs import gallery, notices, storage
from jobs.cancel import cancel
from jobs.errors import Conflict
from jobs.kept import KeptAnswer
from jobs.marks import Favourite, JobTag
from jobs.models import Asset, Attempt, Delivery, Job, JobEvent, Share, WebhookEndpoint
from jobs.personal import DataExport, Erasure
from jobs.requested import ApiRequest
from jobs.sealed import SigningSecret
from jobs.wake import wake
from providers import leases
from providers.models import ProviderAccount, Render, Route, RoutingPolicy

log = logging.getLogger(__name__)

LEASE_SECONDS = 600
AGAIN = timedelta(seconds=30)
Status = Erasure.Status


def waiting_for(organization: Organization) -> Erasure | None:
    return Erasure.objects.for_org(organization).filter(status__in=Erasure.OPEN).first()


def waiting_for_person(user: User) -> Erasure | None:
    return Erasure.objects.filter(user=user, status__in=Erasure.OPEN).first()


# --- asking for it ---


def close(caller: Caller) -> Erasure:
    """From now on the organization's keys are refused, its jobs are canceled and nothing new begins; its end comes after
    the days of grace. Only an owner may. Raises Conflict where something must be done before.
    """
    if caller.role != Role.OWNER or caller.user is None:
        raise Conflict("owner_only", "Only an owner can delete an organization.")
    reason = books.hindrance(caller.organization)
    if reason:
        raise Conflict("erasure_hindered", reason)
    try:
        with transaction.atomic():
            order = _close(caller)
    except IntegrityError:
        raise Conflict("erasure_waiting", "Its deletion was asked for already.") from None
    caller.organization.refresh_from_db()
    return order


def _close(caller: Caller) -> Erasure:
    assert caller.user is not None
    organization = Organization.objects.select_for_update().get(pk=caller.organization.pk)
    order = Erasure.objects.create(
        organization=organization,
        requested_by=caller.user,
        due_at=_end(),
        suspended=organization.suspended_at is None,
        tell_at=Now(),
    )
    now = Coalesce("suspended_at", Now())
    Organization.objects.filter(pk=organization.pk).update(closing_at=_end(), suspended_at=now)
    keys = ApiKey.objects.for_org(organization).filter(revoked_at=None)
    key_cache.forget(keys)
    keys.update(revoked_at=Now())
    audit.record("organization.erase", by=caller, target=organization)
    wake("jobs.stop_all", str(order.pk))
    return order


def close_person(user: User, *, caller: Caller | None = None) -> Erasure:
    """With the organizations in which there is nobody else. Raises Conflict for somebody who must hand over first."""
    if user.is_staff:
        raise Conflict(
            "operator", "You are an operator here. Another operator must take that from you first."
        )
    owned = Member.objects.of_user(user).owners().filter(organization__closing_at=None)
    alone = []
    for member in owned:
        others = Member.objects.for_org(member.organization).exclude(user=user)
        if not others.exists():
            alone.append(member)
        elif not others.owners().exists():
            name = member.organization.name
            raise Conflict(
                "last_owner", f"{name} would have no owner. Make somebody else an owner, or delete it first."
            )
    try:
        with transaction.atomic():
            order = Erasure.objects.create(user=user, requested_by=user, due_at=_end(), tell_at=Now())
            audit.record("profile.erase", by=user, target=user)
            for member in alone:
                address = caller.address if caller else None
                close(Caller(member.organization, user=user, role=member.role, address=address))
    except IntegrityError:
        raise Conflict("erasure_waiting", "The deletion of your account was asked for already.") from None
    return order


def keep(order: Erasure | None, *, by: Caller | User) -> None:
    """Call it off, as an owner or the person. Keys stay revoked and canceled jobs canceled. Raises Conflict once it has
    begun.
    """
    if order is None:
        raise Conflict("no_erasure", "There is no deletion to call off.")
    if isinstance(by, Caller) and by.role != Role.OWNER:
        raise Conflict("owner_only", "Only an owner can call it off.")
    with transaction.atomic():
        rows = Erasure.objects.filter(leases.FREE, pk=order.pk, status=Status.SCHEDULED)
        if not rows.update(status=Status.CALLED_OFF, tell_at=None):
            raise Conflict("erasure_begun", "It is too late: the deletion has begun.")
        organization = order.organization
        if organization is None:
            audit.record("profile.keep", by=by, target=order.requested_by)
            return
        back: dict[str, Any] = {"closing_at": None}
        if order.suspended:
            back["suspended_at"] = None
        Organization.objects.filter(pk=organization.pk).update(**back)
        audit.record("organization.keep", by=by, organization=organization, target=organization)


def _end() -> Any:
    return Now() + timedelta(days=settings.ERASURE_GRACE_DAYS)


def stop_all(order_id: str) -> None:
    """Cancel what still runs for an organization that closes. Safe to call at any time."""
    order = Erasure.objects.filter(pk=order_id, status__in=Erasure.OPEN).first()
    if order is None or order.organization is None:
        return
    caller = Caller(order.organization, user=order.requested_by)
    for job in Job.objects.for_org(order.organization).open().filter(cancel_requested_at=None):
        try:
            cancel(caller, job)
        except Conflict:  # it has ended meanwhile
            continue


# --- doing it ---


def erase(order_id: str) -> None:
    """Do it, if it is due and nobody else is at it. Safe to call at any time."""
    due = Erasure.objects.filter(pk=order_id, status__in=Erasure.OPEN, due_at__lte=Now())
    for order in leases.claim(due, seconds=LEASE_SECONDS):
        try:
            done = _erase_organization(order) if order.organization else _erase_person(order)
        except Exception:
            _later(order)
            raise
        if not done:
            _later(order)


def _later(order: Erasure) -> None:
    _mine(order).update(tries=F("tries") + 1, lease_until=None, due_at=Now() + AGAIN)


def _mine(order: Erasure) -> Any:
    return Erasure.objects.filter(pk=order.pk, fence=order.fence)


def _begins(order: Erasure, letters: list[str]) -> bool:
    """From here on it cannot be called off. False: somebody else has claimed it."""
    fresh = order.status == Status.SCHEDULED
    return bool(_mine(order).update(status=Status.ERASING, letters=letters if fresh else order.letters))


def _erase_organization(order: Erasure) -> bool:
    """False while a job has not ended: it does at its deadline at the latest."""
    organization = order.organization
    assert organization is not None
    stop_all(str(order.pk))
    if Job.objects.for_org(organization).open().exists():
        return False
    owners = Member.objects.for_org(organization).owners().filter(user__is_active=True)
    if not _begins(order, list(owners.values_list("user__email", flat=True))):
        return True
    count = _delete_files(order, organization)
    with transaction.atomic():
        if not _mine(order).select_for_update().exists():
            return True
        _delete_rows(organization)
        books.forget_organization(organization)
        people.forget_organization(organization)
    _delete_files(order, organization)  # whoever held an address might have put one there meanwhile
    _done(order, count)
    return True


def _delete_files(order: Erasure, organization: Organization) -> int:
    """Everything under the organization's prefix, and what attempts left in their workspaces; how many in all."""
    count = storage.delete_under(str(organization.pk))
    for attempt in Attempt.objects.filter(job__organization=organization, cleared=False).iterator():
        count += storage.delete_under(gallery.workspace_prefix(attempt))
        leases.renew(order, seconds=LEASE_SECONDS)
    return count


def _delete_rows(organization: Organization) -> None:
    """Jobs and attempts stay for the books and the providers' bills: which model, when, how long, what it cost."""
    own = Attempt.objects.filter(job__organization=organization)
    Render.objects.filter(pk__in=own.filter(provider="local").values("pk")).delete()
    Delivery.objects.for_org(organization).delete()
    for model in (
        WebhookEndpoint,
        Share,
        JobTag,
        Favourite,
        KeptAnswer,
        ApiRequest,
        SigningSecret,
        JobEvent,
        Asset,
    ):
        model.objects.filter(organization=organization).delete()
    DataExport.objects.for_org(organization).delete()
    own.update(result={}, cuts=[], note="", error_message="", claimed_id="")
    Job.objects.for_org(organization).update(
        inputs={},
        options={},
        request={},
        wire={},
        detail={},
        tags=[],
        webhook_url="",
        idempotency_key=None,
        request_hash="",
        error_message="",
        user=None,
        deleted_at=Coalesce("deleted_at", Now()),
    )
    for rows in (Route, ProviderAccount, RoutingPolicy):
        rows.objects.filter(organization=organization).delete()


def _erase_person(order: Erasure) -> bool:
    """False while an organization would lose its last owner: its own deletion comes first, or somebody takes over."""
    user = order.requested_by
    for member in Member.objects.of_user(user).owners():
        if not Member.objects.for_org(member.organization).owners().exclude(user=user).exists():
            return False
    if not _begins(order, [user.email]):
        return True
    count = storage.delete_under(f"person-{user.pk}")
    with transaction.atomic():
        if not _mine(order).select_for_update().exists():
            return True
        DataExport.objects.filter(user=user).delete()
        Share.objects.filter(created_by=user).update(created_by=None)
        Favourite.objects.filter(user=user).delete()
        Job.objects.filter(user=user).update(user=None)
        people.forget_person(user)
    _done(order, count)
    return True


def _done(order: Erasure, files: int) -> None:
    done = {"status": Status.DONE, "done_at": Now(), "lease_until": None, "tell_at": Now()}
    if _mine(order).update(**done, files=F("files") + files):
        log.info("erased %s", order.organization_id or f"person {order.user_id}")


def running() -> Any:
    """Deletions whose organization still has jobs that nobody has stopped: the sweeper's question."""
    open_jobs = Q(organization__jobs__status__in=["preparing", "queued", "running", "saving"])
    rows = Erasure.objects.filter(
        open_jobs, status__in=Erasure.OPEN, organization__jobs__cancel_requested_at=None
    )
    return rows.distinct()


@shared_task(name="jobs.erase")
def erase_task(order_id: str) -> None:
    erase(order_id)


@shared_task(name="jobs.stop_all")
def stop_task(order_id: str) -> None:
    stop_all(order_id)


@shared_task(name="jobs.tell_erasure")
def tell_task(order_id: str) -> None:
    notices.tell_erasure(order_id)
