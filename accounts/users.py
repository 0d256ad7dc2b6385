"""Persons whom an operator vouches for. Those who come by themselves are made by accounts.signup."""

from __future__ import annotations

import secrets

from allauth.account.models import EmailAddress
from django.db import transaction

from accounts.models import User


def ensure_user(email: str) -> tuple[User, str | None]:
    """The person with this address, and a fresh password if they are new. The address counts as verified."""
    email = email.strip().lower()
    known = User.objects.filter(email=email).first()
    if known:
        return known, None
    password = secrets.token_urlsafe(15)
    with transaction.atomic():
        user = User.objects.create_user(email, password)
        EmailAddress.objects.create(user=user, email=email, primary=True, verified=True)
    return user, password
