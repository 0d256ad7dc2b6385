"""The dashboard's forms about people and keys."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

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

    def issue(self) -> tuple[ApiKey, str]:
        data = self.cleaned_data
        days, cap = data["expires_in_days"], data["spend_cap_usd"]
        return keys.issue(
            self.caller.organization,
            name=data["name"],
            by=self.caller,
            scopes=data["scopes"],
            expires_at=timezone.now() + timedelta(days=days) if days else None,
            allowed_networks=data["allowed_networks"],
            spend_cap_micros=None if cap is None else int(cap * MICROS),
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
