"""REST framework's side of the doors: Bearer keys in, a Caller on `request.auth`.

A dialect that words errors in its own way finds code, message and status on `KeyNotAccepted.error`.
"""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts import keys
from accounts.address import client_address
from accounts.errors import AccessError, ScopeMissing
from accounts.models import User
from accounts.tenancy import Caller


class KeyNotAccepted(AuthenticationFailed):
    """An AccessError for REST framework: `detail` is the sentence with its code, `error` the original."""

    def __init__(self, error: AccessError) -> None:
        super().__init__(error.message, error.code)
        self.error = error
        self.status_code = error.status


class KeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer vr_…`, and nothing else."""

    def authenticate(self, request: Request) -> tuple[User | AnonymousUser, Caller] | None:
        scheme, _, text = get_authorization_header(request).decode("latin-1").strip().partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            caller = keys.authenticate(text, client_address(request))
        except AccessError as error:
            raise KeyNotAccepted(error) from error
        active = caller.user if caller.user and caller.user.is_active else None
        return active or AnonymousUser(), caller

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class HasCaller(BasePermission):
    """Somebody with a key. REST framework answers 401 where there is none."""

    # `view` is an APIView, but that module imports this one by way of the settings.

    def has_permission(self, request: Request, view: object) -> bool:
        return isinstance(request.auth, Caller)


def needs(scope: str) -> type[BasePermission]:
    """Lets in only callers with this scope: permission_classes = [needs("jobs:write")]."""

    class NeedsScope(HasCaller):
        message = ScopeMissing(scope).message
        code = ScopeMissing.code

        def has_permission(self, request: Request, view: object) -> bool:
            return isinstance(request.auth, Caller) and request.auth.can(scope)

    return NeedsScope
