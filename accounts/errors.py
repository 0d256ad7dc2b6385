"""Why a caller is turned away.

AccessError
├── KeyRefused                 the key itself: another key, or the right one, is the cure
│   ├── MalformedKey           not a key at all; found without asking the database
│   ├── UnknownKey
│   ├── KeyExpired
│   ├── KeyRevoked
│   └── AddressNotAllowed
├── OrganizationSuspended      the operator must lift it
├── ScopeMissing               a key or a person with more rights is needed
├── LimitEscaped               a key would give away more than it has itself
├── KeyEnded                   a key that is over is not changed any more
├── TooManyOrganizations       for one owner
└── MembershipRefused          the change to the members list may not be made
    ├── LastOwner
    ├── AlreadyMember
    └── InvitationInvalid

Every leaf has a stable `code`, a sentence for a person, and the HTTP status our own API gives it.
"""

from __future__ import annotations

from typing import ClassVar


class AccessError(Exception):
    code: ClassVar[str] = "access_refused"
    status: ClassVar[int] = 403
    sentence: ClassVar[str] = "This is not allowed."

    def __init__(self, message: str = "") -> None:
        self.message = message or self.sentence
        super().__init__(self.message)


class KeyRefused(AccessError):
    status = 401


class MalformedKey(KeyRefused):
    code = "malformed_key"
    sentence = (
        "This is not an API key of ours: a key starts with vr_ and has 52 characters. "
        "Check that it was copied whole."
    )


class UnknownKey(KeyRefused):
    code = "unknown_key"
    sentence = "This API key does not exist here. It may belong to another installation."


class KeyExpired(KeyRefused):
    code = "key_expired"
    sentence = "This API key has expired. Make a new one under API keys."


class KeyRevoked(KeyRefused):
    code = "key_revoked"
    sentence = "This API key was revoked. Make a new one under API keys."


class AddressNotAllowed(KeyRefused):
    code = "address_not_allowed"
    status = 403
    sentence = "This API key may not be used from this network address."


class OrganizationSuspended(AccessError):
    code = "organization_suspended"
    sentence = "This organization is suspended. Please contact support."


class ScopeMissing(AccessError):
    code = "scope_missing"

    def __init__(self, scope: str) -> None:
        self.scope = scope
        super().__init__(f"This needs the permission {scope}, which the caller does not have.")


class LimitEscaped(AccessError):
    """`field` is the setting that would be wider than the asking key's own."""

    code = "key_limit_escaped"

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(message)


class KeyEnded(AccessError):
    code = "key_ended"
    status = 409


class TooManyOrganizations(AccessError):
    code = "too_many_organizations"
    status = 409
    sentence = "You own ten organizations, which is the most. Hand one over or delete one first."


class MembershipRefused(AccessError):
    code = "membership_refused"
    status = 409


class LastOwner(MembershipRefused):
    code = "last_owner"
    sentence = "An organization keeps at least one owner. Make somebody else an owner first."


class AlreadyMember(MembershipRefused):
    code = "already_member"
    sentence = "This person is a member already."


class InvitationInvalid(MembershipRefused):
    code = "invitation_invalid"
    status = 404
    sentence = "This invitation has expired, was used, or is for another e-mail address. Ask for a new one."
