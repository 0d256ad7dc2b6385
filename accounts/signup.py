"""Sign-up through allauth: a new person gets their own organization, unless they come by an invitation."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.db import transaction
from django.http import HttpRequest

from accounts import members
from accounts.errors import InvitationInvalid
from accounts.models import User
from accounts.organizations import create_organization

INVITATION_SESSION_KEY = "invitation"


class SignupAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:  # noqa: FBT001, FBT002
        """One transaction: a person without an organization would have nowhere to go."""
        with transaction.atomic():
            saved: User = super().save_user(request, user, form, commit)
            if commit:
                self._find_a_place(request, saved, form.cleaned_data.get("organization", ""))
        return saved

    def _find_a_place(self, request: HttpRequest, user: User, organization_name: str) -> None:
        token = request.session.pop(INVITATION_SESSION_KEY, None)
        if token:
            try:
                members.accept(token, user)
            except InvitationInvalid:
                pass
            else:
                return
        create_organization(organization_name, user)
