"""The doors: who is calling, for which organization, and what they may do.

Everything that acts for a tenant takes a Caller. API views get theirs from the key (`request.auth`),
dashboard views from `org_view`, which also turns the wrong people away.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Concatenate, ParamSpec
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import resolve_url
from django.utils.http import url_has_allowed_host_and_scheme

from accounts.address import client_address
from accounts.errors import ScopeMissing
from accounts.models import ApiKey, Member, Organization, OrgQuerySet, User
from accounts.scopes import ROLE_SCOPES, SUSPENDED_SCOPES

__all__ = [
    "Caller",
    "OrgQuerySet",
    "caller_of",
    "choose_organization",
    "memberships_of",
    "org_view",
    "require",
    "signed_in",
]

SESSION_KEY = "organization"
P = ParamSpec("P")


@dataclass(frozen=True)
class Caller:
    """One organization, and the key or the person that acts for it. `address` is for the audit record."""

    organization: Organization
    key: ApiKey | None = None
    user: User | None = None
    role: str | None = None
    address: str | None = None

    @property
    def scopes(self) -> frozenset[str]:
        granted = frozenset(self.key.scopes) if self.key else ROLE_SCOPES.get(self.role or "", frozenset())
        return granted & SUSPENDED_SCOPES if self.organization.suspended_at else granted

    def can(self, scope: str) -> bool:
        return scope in self.scopes


def require(caller: Caller, scope: str) -> None:
    if not caller.can(scope):
        raise ScopeMissing(scope)


def memberships_of(request: HttpRequest) -> list[Member]:
    """The signed-in person's memberships: one query for each request, however many pieces of the page ask."""
    known: list[Member] | None = getattr(request, "_memberships", None)
    if known is None:
        user = request.user
        known = list(Member.objects.of_user(user)) if isinstance(user, User) else []
        request._memberships = known  # type: ignore[attr-defined]  # noqa: SLF001  the request carries its own cache
    return known


def caller_of(request: HttpRequest) -> Caller | None:
    """The signed-in person acting for the organization of their session; None for a stranger without any."""
    user, members = request.user, memberships_of(request)
    if not isinstance(user, User) or not members:
        return None
    chosen = request.session.get(SESSION_KEY)
    member = next((m for m in members if str(m.organization_id) == chosen), members[0])
    return Caller(
        organization=member.organization,
        user=user,
        role=member.role,
        address=client_address(request),
    )


def choose_organization(request: HttpRequest, organization_id: uuid.UUID) -> None:
    """Makes it the session's organization. 404 unless the person is a member: others' ids do not exist."""
    if all(member.organization_id != organization_id for member in memberships_of(request)):
        raise Http404
    request.session[SESSION_KEY] = str(organization_id)


OrgView = Callable[Concatenate[HttpRequest, Caller, P], HttpResponseBase]
PlainView = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def org_view(*scopes: str) -> Callable[[OrgView[P]], PlainView[P]]:
    """A dashboard view `(request, caller, ...)`. Strangers are sent to sign in; scopes missing is 403."""

    def wrap(view: OrgView[P]) -> PlainView[P]:
        @functools.wraps(view)
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return _to_sign_in(request)
            caller = caller_of(request)
            if caller is None:
                raise PermissionDenied("You are not a member of any organization. Ask for an invitation.")
            for scope in scopes:
                if not caller.can(scope):
                    raise PermissionDenied(ScopeMissing(scope).message)
            return view(request, caller, *args, **kwargs)

        return guarded

    return wrap


def signed_in(view: PlainView[P]) -> PlainView[P]:
    """A view for whoever is signed in, of an organization or of none."""

    @functools.wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        return view(request, *args, **kwargs) if request.user.is_authenticated else _to_sign_in(request)

    return guarded


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    """A fragment moves the whole page: a followed redirect would put the sign-in form into a table."""
    if request.headers.get("HX-Request") == "true":
        asked = urlencode({"next": _page_of(request, "HX-Current-URL")}, safe="/")
        return HttpResponse(status=401, headers={"HX-Redirect": f"{resolve_url(settings.LOGIN_URL)}?{asked}"})
    whole = request.method in {"GET", "HEAD"}
    return redirect_to_login(request.get_full_path() if whole else _page_of(request, "Referer"))


def _page_of(request: HttpRequest, header: str) -> str:
    """Where a form or a fragment was: its own address often answers nothing but POST."""
    came_from = request.headers.get(header, "")
    if not url_has_allowed_host_and_scheme(came_from, {request.get_host()}):
        return "/"
    page = urlsplit(came_from)
    return page._replace(scheme="", netloc="", fragment="").geturl() or "/"
