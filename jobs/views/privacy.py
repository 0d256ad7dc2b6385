"""Settings: copies of one's data to take away, and the deletion of an organization or of one's own account."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from allauth.account.decorators import reauthentication_required
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from accounts.models import Member, Organization, Role, User
from accounts.tenancy import Caller, caller_of, signed_in
from billing import ledger
from billing.money import format_usd
from jobs import erasing, exports
from jobs.errors import Conflict
from jobs.personal import DataExport

LATEST = 5
LEADERS = {Role.OWNER, Role.ADMIN}


@signed_in
@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """Also for who belongs to no organization, and while one is being closed."""
    user, caller = _who(request)
    context = {
        "section": "settings",
        "tab": "privacy",
        "grace": settings.ERASURE_GRACE_DAYS,
        "own_exports": DataExport.objects.filter(user=user).order_by("-id")[:LATEST],
        "own_end": erasing.waiting_for_person(user),
        "alone_in": _alone_in(user),
    }
    if caller and caller.role in LEADERS:
        organization = caller.organization
        left = max(0, ledger.balance(organization).available_micros)
        context |= {
            "organization": organization,
            "exports": DataExport.objects.for_org(organization).order_by("-id")[:LATEST],
            "end": erasing.waiting_for(organization),
            "owner": caller.role == Role.OWNER,
            "left": format_usd(left) if left else "",
        }
    return render(request, "jobs/privacy.html", context)


def _alone_in(user: User) -> list[Organization]:
    others = Member.objects.filter(organization=OuterRef("organization")).exclude(user=user)
    owned = Member.objects.of_user(user).owners().filter(~Exists(others))
    return [member.organization for member in owned]


@signed_in
@require_POST
def export_own(request: HttpRequest) -> HttpResponse:
    return _told(request, lambda: exports.ask_own(_who(request)[0]), MAKING)


@signed_in
@require_POST
def export_organization(request: HttpRequest) -> HttpResponse:
    return _told(request, lambda: exports.ask(_leader(request)), MAKING)


MAKING = "The copy is being made. We write to you when it is ready."


@signed_in
@require_GET
def export_file(request: HttpRequest, export_id: UUID) -> HttpResponse:
    user, caller = _who(request)
    order = get_object_or_404(DataExport, pk=export_id, status=DataExport.Status.READY)
    if order.user_id != user.pk:
        if caller is None or order.organization_id != caller.organization.pk:
            raise Http404
        _leader(request)
    answer = redirect(exports.address(order))
    answer["Cache-Control"] = "no-store"
    return answer


@signed_in
@require_POST
def close_organization(request: HttpRequest) -> HttpResponse:
    _leader(request)  # whoever may not is told so before being asked who they are
    answer: HttpResponse = _close_organization(request)
    return answer


@reauthentication_required  # type: ignore[untyped-decorator]  # allauth has no types
def _close_organization(request: HttpRequest) -> HttpResponse:
    """The name is typed, so that nobody deletes the wrong one."""
    caller = _leader(request)
    if request.POST.get("name", "").strip() != caller.organization.name:
        messages.error(request, "That is not its name. Type the name exactly to delete it.")
        return redirect("privacy")
    return _told(
        request, lambda: erasing.close(caller), "Its deletion is planned. Nothing works for it any more."
    )


@signed_in
@require_POST
@reauthentication_required  # type: ignore[untyped-decorator]  # allauth has no types
def close_account(request: HttpRequest) -> HttpResponse:
    user, caller = _who(request)
    if request.POST.get("email", "").strip().lower() != user.email:
        messages.error(request, "That is not your address. Type it exactly to delete your account.")
        return redirect("privacy")
    return _told(
        request, lambda: erasing.close_person(user, caller=caller), "Your account is going to be deleted."
    )


@signed_in
@require_POST
def keep_organization(request: HttpRequest) -> HttpResponse:
    caller = _leader(request)
    done = "Called off. Make new keys for your programmes."
    return _told(request, lambda: erasing.keep(erasing.waiting_for(caller.organization), by=caller), done)


@signed_in
@require_POST
def keep_account(request: HttpRequest) -> HttpResponse:
    user, _ = _who(request)
    done = "Called off. Your account stays."
    return _told(request, lambda: erasing.keep(erasing.waiting_for_person(user), by=user), done)


def _told(request: HttpRequest, verb: Callable[[], object], done: str) -> HttpResponse:
    try:
        verb()
    except Conflict as conflict:
        messages.error(request, conflict.message)
    else:
        messages.success(request, done)
    return redirect("privacy")


def _who(request: HttpRequest) -> tuple[User, Caller | None]:
    assert isinstance(request.user, User)
    return request.user, caller_of(request)


def _leader(request: HttpRequest) -> Caller:
    """By role, not by scope: an organization that is suspended or closing still belongs to its owners."""
    _, caller = _who(request)
    if caller is None or caller.role not in LEADERS:
        raise PermissionDenied("Only owners and admins may do this.")
    return caller
