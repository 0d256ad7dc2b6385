"""The door of the console: staff with a second factor, in a session that used it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from allauth.account.authentication import get_authentication_records
from allauth.mfa.utils import is_mfa_enabled
from django.contrib import messages
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.sites import UnfoldAdminSite

from accounts.models import User

SECOND_FACTOR = "mfa"


class ConsoleSite(UnfoldAdminSite):  # type: ignore[misc]  # theirs has no types
    """Sign-in is the product's own page: one door to guard, and its second step cannot be walked around."""

    def has_permission(self, request: HttpRequest) -> bool:
        return bool(super().has_permission(request)) and used_second_factor(request)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        after = request.GET.get(REDIRECT_FIELD_NAME) or reverse("admin:index")
        user = request.user
        if not isinstance(user, User):
            return _to("account_login", after)
        if not user.is_staff:
            raise PermissionDenied("This is the operator's console.")
        if not is_mfa_enabled(user):
            messages.info(request, "The console asks for a second factor: set one up, then come back.")
            return _to("mfa_activate_totp", after)
        if not used_second_factor(request):
            return _to("mfa_reauthenticate", after)
        return HttpResponseRedirect(reverse("admin:index"))


def used_second_factor(request: HttpRequest) -> bool:
    """By a code or a key in this very session: having one set up elsewhere is not enough."""
    user = request.user
    records = get_authentication_records(request, user if isinstance(user, User) else None)
    return any(record.get("method") == SECOND_FACTOR for record in records)


def _to(page: str, after: str) -> HttpResponseRedirect:
    return HttpResponseRedirect(f"{reverse(page)}?{urlencode({REDIRECT_FIELD_NAME: after})}")
