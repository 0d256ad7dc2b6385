"""What the gallery may be narrowed by, as a form: a wrong value is said at its field and narrows nothing."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.http import QueryDict

from accounts.models import Member
from accounts.tenancy import Caller
from jobs import browse
from jobs.browse import Wanted
from providers import catalogue

STATES: Final = {
    "": "Any",
    "ready": "Ready",
    "open": "Under way",
    "failed": "Failed",
    "late": "Not done in time",
    "canceled": "Canceled",
}
MOST_PEOPLE = 200


class DayInput(forms.DateInput):
    input_type = "date"


class FilterForm(forms.Form):
    text = forms.CharField(
        label="Search in prompts",
        max_length=200,
        required=False,
        widget=forms.TextInput({"type": "search", "autocomplete": "off"}),
    )
    model = forms.ChoiceField(label="Model", required=False)
    state = forms.ChoiceField(label="Status", choices=STATES.items, required=False)
    person = forms.TypedChoiceField(label="Made by", coerce=int, empty_value=None, required=False)
    tag = forms.ChoiceField(label="Tag", required=False)
    since = forms.DateField(label="From", widget=DayInput(), required=False)
    until = forms.DateField(label="To", widget=DayInput(), required=False)
    favourites = forms.BooleanField(label="My favourites only", required=False)

    def __init__(self, caller: Caller, data: QueryDict) -> None:
        super().__init__(data, label_suffix="", auto_id="filter-%s")
        models = [(entry.slug, entry.name) for entry in catalogue.models().values()]
        people = Member.objects.for_org(caller.organization).select_related("user").order_by("user__email")
        self.tags = browse.tags(caller)
        chosen = data.get("tag", "")  # one that was taken off its last job finds nothing, and says so
        tags = self.tags if chosen in {"", *self.tags} else [chosen, *self.tags]
        self._choices("model", models)
        self._choices("person", [(member.user_id, member.user.email) for member in people[:MOST_PEOPLE]])
        self._choices("tag", [(tag, tag) for tag in tags])

    def _choices(self, name: str, choices: list[tuple[Any, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", "Any"), *choices]

    @property
    def wanted(self) -> Wanted:
        self.is_valid()
        return Wanted(**{name: value for name, value in self.cleaned_data.items() if value})

    @property
    def folded(self) -> list[forms.BoundField]:
        return [self[name] for name in ("person", "tag", "since", "until")]

    @property
    def unfolded(self) -> bool:
        """Whether something narrows that would be out of sight."""
        return any(field.value() for field in self.folded)
