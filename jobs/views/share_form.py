"""What a person says of a link before it is made."""

from __future__ import annotations

from datetime import timedelta

from django import forms

# The fewest that cannot be guessed in the tries that a link allows.
LEAST_PASSWORD = 6


class ShareForm(forms.Form):
    days = forms.ChoiceField(
        label="Works for",
        choices=[("1", "1 day"), ("7", "7 days"), ("30", "30 days"), ("90", "90 days")],
        initial="7",
    )
    title = forms.CharField(
        label="Title for viewers",
        max_length=100,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    password = forms.CharField(
        label="Password",
        min_length=LEAST_PASSWORD,
        max_length=128,
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}, render_value=True),
    )

    @property
    def life(self) -> timedelta:
        return timedelta(days=int(self.cleaned_data["days"]))
