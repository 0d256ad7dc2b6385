"""How well a person's account is protected, for their own page."""

from __future__ import annotations

from dataclasses import dataclass

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession

from accounts.models import User


@dataclass(frozen=True)
class Standing:
    confirmed: bool
    password: bool
    passkeys: int
    app: bool
    services: int
    sessions: int


def standing(user: User) -> Standing:
    """In four statements."""
    kinds = list(Authenticator.objects.filter(user=user).values_list("type", flat=True))
    return Standing(
        confirmed=EmailAddress.objects.filter(user=user, email=user.email, verified=True).exists(),
        password=user.has_usable_password(),
        passkeys=kinds.count(Authenticator.Type.WEBAUTHN),
        app=Authenticator.Type.TOTP in kinds,
        services=SocialAccount.objects.filter(user=user).count(),
        sessions=UserSession.objects.filter(user=user).count(),
    )
