"""Who belongs to the organization: choosing one, members, invitations."""

from __future__ import annotations

import logging
import uuid

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from accounts import members
from accounts.errors import AccessError, InvitationInvalid
from accounts.forms import InviteForm, RoleForm
from accounts.letters import compose
from accounts.models import Invitation, Member, Role, User
from accounts.signup import INVITATION_SESSION_KEY
from accounts.tenancy import Caller, choose_organization, org_view, signed_in

log = logging.getLogger(__name__)

MEANINGS = {
    Role.OWNER: "everything, deleting the organization too",
    Role.ADMIN: "everything but payments",
    Role.DEVELOPER: "videos, keys and webhooks",
    Role.BILLING: "payments, and looking at videos",
    Role.VIEWER: "looking at videos",
}


@signed_in
@require_POST
def choose(request: HttpRequest, organization_id: uuid.UUID) -> HttpResponse:
    choose_organization(request, organization_id)
    return redirect("/")


# --- members ---


@require_http_methods(["GET", "POST"])
@org_view("members:write")
def member_list(request: HttpRequest, caller: Caller) -> HttpResponse:
    form = InviteForm(request.POST or None, caller=caller)
    if request.method == "POST" and form.is_valid():
        try:
            invitation, token = members.invite(
                caller, form.cleaned_data["email"], Role(form.cleaned_data["role"])
            )
        except AccessError as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, _send(invitation, token))
            return redirect("members")
    organization = caller.organization
    context = {
        "section": "settings",
        "tab": "members",
        "members": Member.objects.for_org(organization).select_related("user").order_by("created_at"),
        "invitations": Invitation.objects.for_org(organization).open_or_expired().order_by("email"),
        "roles": Role.choices,
        "meanings": [(label, MEANINGS[Role(value)]) for value, label in Role.choices],
        "form": form,
    }
    return render(request, "accounts/members.html", context)


@require_POST
@org_view("members:write")
def member_role(request: HttpRequest, caller: Caller, member_id: int) -> HttpResponse:
    member = get_object_or_404(Member.objects.for_org(caller.organization), pk=member_id)
    form = RoleForm(request.POST)
    if form.is_valid():
        try:
            members.change_role(caller, member, role := Role(form.cleaned_data["role"]))
        except AccessError as error:
            messages.error(request, error.message)
        else:
            messages.success(request, f"{member.user.get_full_name()} is {role.label.lower()} now.")
    return redirect("members")


@require_POST
@org_view("members:write")
def member_remove(request: HttpRequest, caller: Caller, member_id: int) -> HttpResponse:
    member = get_object_or_404(Member.objects.for_org(caller.organization), pk=member_id)
    try:
        members.remove(caller, member)
    except AccessError as error:
        messages.error(request, error.message)
    else:
        name = caller.organization.name
        messages.success(request, f"{member.user.get_full_name()} does not belong to {name} any more.")
    return redirect("members")


# --- invitations ---


@require_POST
@org_view("members:write")
def invitation_resend(request: HttpRequest, caller: Caller, invitation_id: int) -> HttpResponse:
    rows = Invitation.objects.for_org(caller.organization).filter(accepted_at=None)
    try:
        messages.success(request, _send(*members.renew(caller, get_object_or_404(rows, pk=invitation_id))))
    except AccessError as error:
        messages.error(request, error.message)
    return redirect("members")


@require_POST
@org_view("members:write")
def invitation_revoke(request: HttpRequest, caller: Caller, invitation_id: int) -> HttpResponse:
    rows = Invitation.objects.for_org(caller.organization).filter(accepted_at=None)
    found = get_object_or_404(rows, pk=invitation_id)
    try:
        members.revoke(caller, found)
    except AccessError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, f"The invitation of {found.email} no longer works.")
    return redirect("members")


@require_http_methods(["GET", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Whoever is signed in may join; others sign up or in first, and the token waits in their session."""
    try:
        found = members.invitation_for(token)
        if request.method == "POST" and isinstance(request.user, User):
            joined = members.accept(token, request.user)
            choose_organization(request, joined.organization_id)
            return redirect("/")
    except InvitationInvalid as error:
        return render(request, "accounts/invitation_invalid.html", {"error": error}, status=error.status)
    request.session[INVITATION_SESSION_KEY] = token
    return render(request, "accounts/invitation.html", {"invitation": found})


def _send(invitation: Invitation, token: str) -> str:
    """Mails the invitation; what to tell its author. An installation without mail still gets people in."""
    address = settings.PUBLIC_URL + reverse("invitation", args=[token])
    name = invitation.organization.name
    context = {
        "organization": invitation.organization,
        "invited_by": invitation.invited_by and invitation.invited_by.get_full_name(),
        "role": invitation.get_role_display().lower(),
        "until": invitation.expires_at,
        "page": address,
    }
    try:
        compose(f"Join {name} on Voicereel", "accounts/email/invitation", context, [invitation.email]).send()
    except OSError:  # every SMTP error is one
        log.warning("an invitation could not be mailed", exc_info=True)
        return f"The mail to {invitation.email} could not be sent. Give them this link yourself: {address}"
    return f"An invitation is on its way to {invitation.email}. If it does not arrive, give them this link: {address}"
