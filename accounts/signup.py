"""Where allauth asks us: a new person gets an organization of their own, unless they come by an invitation;
second factors are sealed at rest.
"""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.forms import SignupForm
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.contrib import messages
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from accounts import letters, members
from accounts.errors import InvitationInvalid
from accounts.models import Invitation, User
from accounts.organizations import create_organization
from accounts.seals import Seal

INVITATION_SESSION_KEY = "invitation"
SECOND_FACTORS = Seal(b"accounts.second_factor")
NO_PLACE = (
    "The invitation was not for {email}, or its time was over, so you did not join by it. "
    "You have an organization of your own; to join, ask for an invitation to this address."
)


class EntranceForm(SignupForm):  # type: ignore[misc]  # allauth has no types
    """Whoever comes by an invitation signs up with the address that it was sent to, and needs no organization."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.invitation = _waiting(context.request)
        if self.invitation:
            self.initial["email"] = self.invitation.email
            self.fields["email"].disabled = True
            self.fields["email"].help_text = "The invitation was sent to this address."
            del self.fields["organization"]


def _waiting(request: HttpRequest) -> Invitation | None:
    """The invitation that was opened in this session and still works. `?without=invitation` lays it aside."""
    if request.GET.get("without") == "invitation":
        request.session.pop(INVITATION_SESSION_KEY, None)
    token = request.session.get(INVITATION_SESSION_KEY)
    try:
        return members.invitation_for(token) if token else None
    except InvitationInvalid:
        return None


class SignupAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:  # noqa: FBT001, FBT002  allauth's signature
        """One transaction: a person without an organization would have nowhere to go."""
        with transaction.atomic():
            saved: User = super().save_user(request, user, form, commit)
            if commit:
                _find_a_place(request, saved, form.cleaned_data.get("organization", ""))
        return saved

    def render_mail(
        self, template_prefix: str, email: Any, context: Any, headers: Any = None
    ) -> EmailMultiAlternatives:
        """Every letter of allauth on the one frame, drawn from its text."""
        letter: EmailMultiAlternatives = super().render_mail(template_prefix, email, context, headers)
        letter.attach_alternative(letters.drawn(str(letter.body)), "text/html")
        return letter


class ServiceAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]  # as above
    """People who come by another service. Whoever is known by the same address signs in first and connects it then."""

    def save_user(self, request: HttpRequest, sociallogin: Any, form: Any = None) -> User:
        """A form is handled by SignupAdapter; without one nobody asked for the organization's name."""
        with transaction.atomic():
            saved: User = super().save_user(request, sociallogin, form)
            if form is None:
                _find_a_place(request, saved, "")
        return saved

    def new_user(self, request: HttpRequest, sociallogin: Any) -> User:
        """The person waits in the session while a form is asked; a date that the database is to fill in cannot."""
        user: User = super().new_user(request, sociallogin)
        user.date_joined = timezone.now()
        return user

    def populate_user(self, request: HttpRequest, sociallogin: Any, data: dict[str, Any]) -> User:
        user: User = super().populate_user(request, sociallogin, data)
        full = data.get("name") or f"{data.get('first_name') or ''} {data.get('last_name') or ''}"
        user.name = full.strip()[:120]
        return user


def _find_a_place(request: HttpRequest, user: User, organization_name: str) -> None:
    token = request.session.pop(INVITATION_SESSION_KEY, None)
    if token:
        try:
            members.accept(token, user)
        except InvitationInvalid:
            messages.warning(request, NO_PLACE.format(email=user.email))
        else:
            return
    create_organization(organization_name, user)


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # theirs has no types
    """Whoever reads the database must not be able to make the codes."""

    def generate_authenticator_name(self, user: User, type: Any) -> str:  # noqa: A002  their word
        return "Passkey"

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        return {**super().get_public_key_credential_rp_entity(), "name": "Voicereel"}

    def encrypt(self, text: str) -> str:
        return SECOND_FACTORS.close(text)

    def decrypt(self, encrypted_text: str) -> str:
        return SECOND_FACTORS.open(encrypted_text)
