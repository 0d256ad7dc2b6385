"""The dashboard's forms about people and keys."""

from __future__ import annotations

from django import forms
from django.http import HttpRequest

from accounts.models import User


class SignupForm(forms.Form):
    """What sign-up asks beside address and password. allauth mixes it into its own form."""

    organization = forms.CharField(
        label="Organization",
        max_length=120,
        required=False,
        help_text="Your company or team. You can leave it empty.",
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )
    field_order = ["email", "organization", "password1", "password2"]

    def signup(self, request: HttpRequest, user: User) -> None:
        """The hook allauth insists on; the adapter makes the organization, in the user's transaction."""
