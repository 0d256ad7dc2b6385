"""The dashboard's forms about money."""

from __future__ import annotations

from django import forms

from billing.money import parse_usd


class UsdField(forms.CharField):
    """Dollars as a person writes them; cleaned to micro-dollars."""

    def __init__(self, *, label: str, help_text: str = "", initial: str = "", required: bool = True) -> None:
        widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})
        super().__init__(
            label=label, help_text=help_text, initial=initial, max_length=16, widget=widget, required=required
        )

    def clean(self, value: object) -> int | None:
        text = super().clean(value).replace(",", "").removeprefix("$")
        if not text:
            return None
        try:
            return parse_usd(text)
        except ValueError:
            raise forms.ValidationError("An amount in dollars, such as 25 or 12.50.") from None


class AutoTopUpForm(forms.Form):
    threshold = UsdField(label="When less than this is left, in USD", initial="5")
    amount = UsdField(label="Add, in USD", initial="25")
    daily_cap = UsdField(label="At most in 24 hours, in USD", initial="100")
    consent = forms.BooleanField(
        label="I agree that the saved card is charged for this without asking each time",
        error_messages={"required": "Without your agreement the card is never charged."},
    )


class AlertForm(forms.Form):
    budget = UsdField(
        label="Tell us at 50, 80 and 100 % of this much a month, in USD",
        help_text="Blank: of the monthly budget, if your operator set one.",
        required=False,
    )
    low_balance = UsdField(
        label="Tell us when less than this is left, in USD", help_text="Blank: never.", required=False
    )


class TopUpForm(forms.Form):
    amount = UsdField(label="Amount in USD", initial="25")
    save_card = forms.BooleanField(label="Keep this card for automatic top-ups", required=False)
