"""Where allauth asks us: a new person gets an organization of their own, unless they come by an invitation;
second factors are sealed at rest.
"""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from django.db import transaction
from django.http import HttpRequest

from accounts import members
from accounts.errors import InvitationInvalid
from accounts.models import User
from accounts.organizations import create_organization
from accounts.seals import Seal

INVITATION_SESSION_KEY = "invitation"
SECOND_FACTORS = Seal(b"accounts.second_factor")


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


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # theirs has no types
    """Whoever reads the database must not be able to make the codes."""

    def encrypt(self, text: str) -> str:
        return SECOND_FACTORS.close(text)

    def decrypt(self, encrypted_text: str) -> str:
        return SECOND_FACTORS.open(encrypted_text)
