"""What a person and an organization set for themselves."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from accounts import members, organizations, users
from accounts.account import standing
from accounts.address import client_address
from accounts.errors import AccessError
from accounts.forms import OrganizationChangeForm, OrganizationForm, ProfileForm
from accounts.models import User
from accounts.tenancy import Caller, choose_organization, memberships_of, org_view, signed_in


@signed_in
@require_http_methods(["GET", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    """Also for who belongs to no organization (any more)."""
    assert isinstance(request.user, User)
    now = {"name": request.user.name, "letters_when_finished": request.user.letters_when_finished}
    form = ProfileForm(request.POST or None, initial=now)
    if request.method == "POST" and form.is_valid():
        users.change(request.user, **form.cleaned_data, request=request)
        messages.success(request, "Saved.")
        return redirect("profile")
    context = {
        "section": "settings",
        "tab": "profile",
        "form": form,
        "new_form": OrganizationForm(prefix="new"),
        "protection": standing(request.user),
        "own": memberships_of(request),
    }
    return render(request, "accounts/profile.html", context)


@signed_in
@require_POST
def new_organization(request: HttpRequest) -> HttpResponse:
    assert isinstance(request.user, User)
    form = OrganizationForm(request.POST, prefix="new")
    if not form.is_valid():
        messages.error(request, "An organization needs a name.")
        return redirect("profile")
    try:
        made = organizations.create_another(form.cleaned_data["name"], request.user)
    except AccessError as error:
        messages.error(request, error.message)
        return redirect("profile")
    choose_organization(request, made.pk)
    messages.success(request, f"{made.name} is made, and you are in it now.")
    return redirect("settings")


@signed_in
@require_POST
def leave(request: HttpRequest, organization_id: uuid.UUID) -> HttpResponse:
    member = next((m for m in memberships_of(request) if m.organization_id == organization_id), None)
    if member is None:
        raise Http404
    caller = Caller(member.organization, user=member.user, role=member.role, address=client_address(request))
    try:
        members.remove(caller, member)
    except AccessError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, f"You have left {member.organization.name}.")
    return redirect("profile")


@require_http_methods(["GET", "POST"])
@org_view("organization:write")
def organization(request: HttpRequest, caller: Caller) -> HttpResponse:
    row = caller.organization
    now = {"name": row.name, "retention_days": row.retention_days}
    form = OrganizationChangeForm(request.POST or None, initial=now)
    if request.method == "POST" and form.is_valid():
        organizations.change(caller, **form.cleaned_data)
        messages.success(request, "Saved.")
        return redirect("settings")
    context = {"section": "settings", "tab": "settings", "form": form, "organization": row}
    return render(request, "accounts/organization.html", context)
