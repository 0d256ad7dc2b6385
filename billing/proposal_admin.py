"""The operator moves money by hand: alone up to a set amount, above it with a second operator."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from accounts.console import LongList, Page, ReadOnly, operator
from billing import gateway, proposals
from billing.control_models import Act, Proposal, ProposalStatus
from billing.errors import BillingError
from billing.gateway_models import TopUpStatus
from billing.money import format_usd, parse_usd

TYPED = ("organization", "kind", "amount_usd", "reason", "topup", "spent_too")


class ProposalForm(forms.ModelForm[Proposal]):
    """With the reason that the books will keep."""

    amount_usd = forms.CharField(label="Amount in USD", max_length=20)
    reason = forms.CharField(max_length=300, widget=forms.TextInput(attrs={"size": 80}))
    # Sending the form twice moves the money once.
    form_id = forms.UUIDField(initial=uuid.uuid4, widget=forms.HiddenInput)

    class Meta:
        model = Proposal
        fields = ["organization", "kind", "reason", "topup", "spent_too"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["organization"].required = False
        self.fields["organization"].help_text = "Blank for a refund: the top-up says whose it is."
        self.fields["topup"].help_text = "Only for a refund: the id of the top-up."
        if not gateway.configured():
            self.fields[
                "topup"
            ].help_text += (
                " There are no keys for Stripe: the credit leaves at once, the card is paid once there are."
            )
        self.fields["amount_usd"].help_text = (
            f"Above {settings.TWO_PERSON_USD} USD, or where you moved more for this organization within a day, "
            "a second operator has to approve it."
        )

    def clean_amount_usd(self) -> str:
        try:
            micros = parse_usd(self.cleaned_data["amount_usd"])
        except ValueError:
            raise forms.ValidationError("An amount like 12.50, with at most six decimals.") from None
        if micros <= 0:
            raise forms.ValidationError("More than zero.")
        return format_usd(micros)

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        organization, topup = given.get("organization"), given.get("topup")
        if given.get("kind") != Act.REFUND:
            given["topup"] = None
            if organization is None and "organization" not in self.errors:
                self.add_error("organization", "Name the organization.")
        elif "topup" not in self.errors:
            if topup is None or topup.status != TopUpStatus.PAID:
                self.add_error("topup", "A refund needs the id of a top-up that was paid.")
            elif organization not in (None, topup.organization):
                self.add_error("organization", "This top-up was paid by another organization.")
            else:
                given["organization"] = topup.organization
        return given


@admin.register(Proposal)
class ProposalAdmin(LongList, ReadOnly, Page[Proposal]):
    """Adding one moves money, or asks a second operator to; nothing is changed or deleted afterwards."""

    list_display = [
        "id",
        "created_at",
        "organization",
        "kind",
        "amount",
        "status",
        "reason",
        "proposed_by",
        "decided_by",
    ]
    list_filter = ["status", "kind"]
    list_select_related = ["organization", "proposed_by", "decided_by"]
    raw_id_fields = ["organization", "topup"]
    actions = ["approve", "decline"]

    @admin.display(description="USD")
    def amount(self, proposal: Proposal) -> str:
        return proposal.usd

    # --- asking -------------------------------------------------------------------------------------------------

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("billing.add_proposal")

    def get_form(
        self,
        request: HttpRequest,
        obj: Proposal | None = None,
        change: bool = False,  # noqa: FBT001, FBT002  Django's
        **kwargs: Any,
    ) -> type[forms.ModelForm[Any]]:
        if obj is None:
            kwargs["form"] = ProposalForm
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Proposal | None = None) -> Any:
        return [*TYPED, "form_id"] if obj is None else super().get_fields(request, obj)

    def save_model(self, request: HttpRequest, obj: Proposal, form: Any, change: bool) -> None:  # noqa: FBT001  Django's signature
        given = form.cleaned_data
        made = proposals.propose(
            given["organization"],
            Act(given["kind"]),
            parse_usd(given["amount_usd"]),
            reason=given["reason"],
            by=operator(request),
            once=given["form_id"],
            topup=given["topup"],
            spent_too=given["spent_too"],
            request=request,
        )
        # The page that follows shows the row the verb wrote.
        obj.pk, obj.amount_micros = made.pk, made.amount_micros
        if made.status == ProposalStatus.OPEN:
            messages.warning(request, "A second operator has to approve it; until then nothing moves.")

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """What the books refuse is found under their lock, too late for the form: it comes back as it was typed."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except BillingError as refusal:
            messages.error(request, refusal.message)
            typed = {name: request.POST[name] for name in TYPED if request.POST.get(name)}
            return HttpResponseRedirect(f"{request.path}?{urlencode(typed)}")

    # --- deciding -----------------------------------------------------------------------------------------------

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("billing.change_proposal")

    @admin.action(description="Approve", permissions=["decide"])
    def approve(self, request: HttpRequest, queryset: Any) -> None:
        self._each(request, queryset, proposals.approve)

    @admin.action(description="Decline", permissions=["decide"])
    def decline(self, request: HttpRequest, queryset: Any) -> None:
        self._each(request, queryset, proposals.decline)

    def _each(self, request: HttpRequest, queryset: Any, verb: Callable[..., Proposal]) -> None:
        for pk in queryset.values_list("pk", flat=True):
            try:
                proposal = verb(pk, by=operator(request), request=request)
                messages.success(request, f"{proposal}: {proposal.get_status_display().lower()}.")
            except BillingError as refusal:
                messages.error(request, f"Proposal {pk}: {refusal.message}")
