"""Persons: those whom an operator vouches for, and what each changes of themselves. Those who come by themselves are made
by accounts.signup.
"""

from __future__ import annotations

import secrets

from allauth.account.models import EmailAddress
from django.db import transaction
from django.http import HttpRequest

from accounts import audit
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


def change(user: User, *, name: str, letters_when_finished: bool, request: HttpRequest) -> None:
    wanted = {"name": name, "letters_when_finished": letters_when_finished}
    with transaction.atomic():
        row = User.objects.select_for_update().get(pk=user.pk)
        before = {field: getattr(row, field) for field in wanted}
        if before != wanted:
            User.objects.filter(pk=row.pk).update(**wanted)
            audit.record("profile.change", by=row, target=row, before=before, after=wanted, request=request)
    user.refresh_from_db(fields=list(wanted))
