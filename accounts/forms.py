"""The dashboard's forms about people and keys."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from allauth.mfa.webauthn.forms import AddWebAuthnForm
from django import forms
from django.http import HttpRequest
from django.utils import timezone

from accounts import keys
from accounts.models import ApiKey, Role, User
from accounts.scopes import DEFAULT_KEY_SCOPES, SCOPES
from accounts.tenancy import Caller

MICROS = Decimal(1_000_000)


class SignupForm(forms.Form):
    """What sign-up asks beside address and password. allauth mixes it into its own form."""

    organization = forms.CharField(
        label="Organization",
        max_length=120,
        required=False,
        help_text="Your company or team.",
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )
    field_order = ["email", "organization", "password1", "password2"]

    def signup(self, request: HttpRequest, user: User) -> None:
        """The hook allauth insists on; the adapter makes the organization, in the user's transaction."""


class PasskeyForm(AddWebAuthnForm):  # type: ignore[misc]  # allauth has no types
    """In our words; `passwordless` is read by the page's script as well."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].label = "Name"
        self.fields["name"].required = True
        self.fields["name"].help_text = "Such as the device that keeps it."
        self.fields["passwordless"].label = "Sign in with it alone, without a password"
        self.fields["passwordless"].help_text = ""
        self.fields["passwordless"].initial = True


class KeyForm(forms.Form):
    name = forms.CharField(label="Name", max_length=120, help_text="Which programme will use it?")
    scopes = forms.MultipleChoiceField(label="It may", widget=forms.CheckboxSelectMultiple)
    expires_in_days = forms.TypedChoiceField(
        label="It ends",
        coerce=int,
        empty_value=None,
        required=False,
        choices=[
            ("", "Never"),
            ("7", "In a week"),
            ("30", "In 30 days"),
            ("90", "In 90 days"),
            ("365", "In a year"),
        ],
    )
    allowed_networks = forms.CharField(
        label="Only from these networks",
        required=False,
        help_text="Such as 203.0.113.0/24, with spaces or commas between.",
    )
    spend_cap_usd = forms.DecimalField(
        label="It may spend at most, in USD", required=False, min_value=0, max_digits=12, decimal_places=6
    )

    def __init__(self, *args: Any, caller: Caller, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.caller = caller
        mine = [(scope, text) for scope, text in SCOPES.items() if caller.can(scope)]
        self.fields["scopes"].choices = mine  # type: ignore[attr-defined]  # the stubs do not know it
        self.fields["scopes"].initial = [scope for scope in DEFAULT_KEY_SCOPES if caller.can(scope)]

    def clean_allowed_networks(self) -> list[str]:
        words = self.cleaned_data["allowed_networks"].replace(",", " ").split()
        return [keys.normal_network(word) for word in words]

    @property
    def cap_micros(self) -> int | None:
        cap = self.cleaned_data["spend_cap_usd"]
        return None if cap is None else int(cap * MICROS)

    @property
    def end(self) -> datetime | None:
        days = self.cleaned_data["expires_in_days"]
        return timezone.now() + timedelta(days=days) if days else None

    def issue(self) -> tuple[ApiKey, str]:
        return keys.issue(
            self.caller.organization,
            name=self.cleaned_data["name"],
            by=self.caller,
            scopes=self.cleaned_data["scopes"],
            expires_at=self.end,
            allowed_networks=self.cleaned_data["allowed_networks"],
            spend_cap_micros=self.cap_micros,
        )


AS_IT_IS = 0
HELD_BEFORE = "it has this already"


class KeyChangeForm(KeyForm):
    """The settings of a key that there is. What it may already is offered too, also by who may not."""

    def __init__(self, *args: Any, key: ApiKey, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.key = key
        self.fields["name"].help_text = ""
        scopes, end = self.fields["scopes"], self.fields["expires_in_days"]
        held = [
            (scope, f"{SCOPES.get(scope, scope)} ({HELD_BEFORE})")
            for scope in key.scopes
            if not self.caller.can(scope)
        ]
        scopes.choices += held  # type: ignore[attr-defined]  # the stubs do not know it
        as_it_is = f"As it is: {key.expires_at:%-d %b %Y, %H:%M} UTC" if key.expires_at else "As it is: never"
        later = [choice for choice in end.choices if choice[0] or key.expires_at]  # type: ignore[attr-defined]  # as above
        end.choices = [(str(AS_IT_IS), as_it_is), *later]  # type: ignore[attr-defined]  # as above
        cap = key.spend_cap_micros
        self.initial = {
            "name": key.name,
            "scopes": key.scopes,
            "expires_in_days": str(AS_IT_IS),
            "allowed_networks": ", ".join(key.allowed_networks),
            "spend_cap_usd": None if cap is None else Decimal(format_micros(cap)),
        }

    def changes(self) -> dict[str, Any]:
        data = self.cleaned_data
        changed = {
            "name": data["name"],
            "scopes": data["scopes"],
            "allowed_networks": data["allowed_networks"],
            "spend_cap_micros": self.cap_micros,
        }
        if data["expires_in_days"] != AS_IT_IS:
            changed["expires_at"] = self.end
        return changed


def format_micros(micros: int) -> str:
    """Dollars as a person would write them, without needless zeros."""
    return f"{micros / MICROS:.6f}".rstrip("0").rstrip(".")


class OverlapForm(forms.Form):
    """How long a key works on beside the one that replaces it."""

    overlap_hours = forms.TypedChoiceField(
        label="The old key works on",
        coerce=int,
        initial="24",
        choices=[
            ("0", "Not at all: it ends at once"),
            ("1", "For an hour"),
            ("24", "For a day"),
            ("168", "For a week"),
            ("720", "For 30 days"),
        ],
    )


class RoleForm(forms.Form):
    role = forms.ChoiceField(label="Role", choices=Role.choices, initial=Role.DEVELOPER)


class InviteForm(RoleForm):
    email = forms.EmailField(label="E-mail address")
    field_order = ["email", "role"]

    def __init__(self, *args: Any, caller: Caller, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if caller.role != Role.OWNER:
            ordinary = [choice for choice in Role.choices if choice[0] != Role.OWNER]
            self.fields["role"].choices = ordinary  # type: ignore[attr-defined]  # the stubs do not know it


class ProfileForm(forms.Form):
    name = forms.CharField(
        label="Name",
        max_length=120,
        required=False,
        help_text="Others of your organizations see it.",
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    letters_when_finished = forms.BooleanField(
        label="Write to me when a video that I started is finished or has failed", required=False
    )


class OrganizationForm(forms.Form):
    name = forms.CharField(
        label="Name", max_length=120, widget=forms.TextInput(attrs={"autocomplete": "organization"})
    )


class OrganizationChangeForm(OrganizationForm):
    retention_days = forms.IntegerField(
        label="Keep files for, in days",
        min_value=1,
        max_value=3650,
        help_text="Videos, pictures and voices are deleted when they are so old. Counts for new files.",
    )


class RecordForm(forms.Form):
    """What of the audit log is asked for. Dates are days in UTC, both included."""

    who = forms.ChoiceField(label="Who", required=False)
    action = forms.ChoiceField(label="What", required=False)
    first = forms.DateField(label="From", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    last = forms.DateField(label="To", required=False, widget=forms.DateInput(attrs={"type": "date"}))
