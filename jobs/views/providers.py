"""Settings: the organization's own accounts at providers, and how its jobs are routed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from accounts.tenancy import Caller, org_view
from billing.models import Price, Unit
from billing.money import format_usd
from jobs import own_keys
from jobs.errors import JobError, NotFound
from providers import policy
from providers.models import ProviderAccount, RoutingPolicy

FRAME = {"section": "settings", "tab": "providers"}
UNUSABLE = 422


class AccountForm(forms.Form):
    provider = forms.ChoiceField(
        label="Provider", choices=lambda: [(slug, slug.capitalize()) for slug in own_keys.offered()]
    )
    name = forms.CharField(label="Name", max_length=own_keys.NAME_LETTERS, required=False)
    key = forms.CharField(
        label="API key",
        max_length=own_keys.MOST_LETTERS,
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text="Kept sealed; nobody sees it again, you neither.",
    )
    region = forms.CharField(
        label="Region", max_length=40, required=False, help_text="Only where the provider has several."
    )


class PolicyForm(forms.Form):
    order = forms.ChoiceField(label="Render first", choices=RoutingPolicy.Order.choices)
    own_wait_seconds = forms.IntegerField(
        label="Wait for our own machines, in seconds",
        min_value=0,
        max_value=policy.MOST_WAIT_SECONDS,
        initial=0,
        help_text="Counts where own machines come first.",
    )
    regions = forms.CharField(
        label="Never outside these regions",
        required=False,
        help_text="Such as eu or us, with commas between them. Empty: anywhere.",
    )


@require_http_methods(["GET", "POST"])
@org_view("organization:write")
def account_list(request: HttpRequest, caller: Caller) -> HttpResponse:
    form = AccountForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            row = own_keys.add(caller, **form.cleaned_data, request=request)
        except JobError as refusal:
            form.add_error(refusal.field if refusal.field in form.fields else None, refusal.message)
        else:
            return _tested(request, row)
    return _page(request, caller, form=form)


@require_POST
@org_view("organization:write")
def account_test(request: HttpRequest, caller: Caller, account_id: int) -> HttpResponse:
    return _tested(request, _account(caller, account_id))


@require_POST
@org_view("organization:write")
def account_remove(request: HttpRequest, caller: Caller, account_id: int) -> HttpResponse:
    try:
        own_keys.remove(caller, _account(caller, account_id), request=request)
    except JobError as refusal:
        messages.error(request, refusal.message)
    else:
        messages.success(request, "The account is removed and its key forgotten.")
    return redirect("providers")


@require_POST
@org_view("organization:write")
def routing_policy(request: HttpRequest, caller: Caller) -> HttpResponse:
    form = PolicyForm(request.POST)
    if form.is_valid():
        given = form.cleaned_data
        stored = RoutingPolicy.objects.filter(pk=caller.organization.pk).first()
        try:
            policy.set_policy(
                caller.organization,
                by=caller.user,
                order=given["order"],
                own_wait_seconds=given["own_wait_seconds"],
                providers=stored.providers if stored else (),  # the operator's to bind
                regions=[name for name in given["regions"].split(",") if name.strip()],
                request=request,
            )
        except policy.PolicyRefused as refusal:
            form.add_error(refusal.field if refusal.field in form.fields else None, refusal.message)
        else:
            messages.success(request, "Saved. Jobs obey it from now on, those that wait too.")
            return redirect("providers")
    return _page(request, caller, choice=form)


def _fees(prices: Iterable[Price]) -> list[str]:
    """A line for each model, or for each of its resolutions where their fees differ."""
    by_model: dict[str, dict[int, list[str]]] = {}
    for price in prices:
        by_model.setdefault(price.model, {}).setdefault(price.micros_per_unit, []).append(price.resolution)
    return [
        f"{model}{'' if len(rates) == 1 else ' ' + ', '.join(shapes)}: ${format_usd(micros)} a second"
        for model, rates in by_model.items()
        for micros, shapes in rates.items()
    ]


def _account(caller: Caller, account_id: int) -> ProviderAccount:
    try:
        return own_keys.find(caller, account_id)
    except NotFound:
        raise Http404 from None


def _tested(request: HttpRequest, row: ProviderAccount) -> HttpResponse:
    trouble = own_keys.test(row)
    if trouble:
        messages.error(request, f"{row.name}: {trouble}")
    else:
        messages.success(request, f"{row.name}: the provider takes the key.")
    return redirect("providers")


def _page(
    request: HttpRequest,
    caller: Caller,
    *,
    form: AccountForm | None = None,
    choice: PolicyForm | None = None,
) -> HttpResponse:
    organization = caller.organization
    stored = RoutingPolicy.objects.filter(pk=organization.pk).first()
    initial = {"order": "usual", "own_wait_seconds": 0, "regions": ""}
    if stored:
        initial = {"order": stored.order, "own_wait_seconds": stored.own_wait_seconds}
        initial["regions"] = ", ".join(stored.regions)
    wrong = bool(form and form.errors) or bool(choice and choice.errors)
    fees = Price.objects.on_sale(organization).filter(unit=Unit.OWN_KEY)
    context: dict[str, Any] = {
        **FRAME,
        "accounts": own_keys.listed(caller),
        "form": form or AccountForm(),
        "choice": choice or PolicyForm(initial=initial),
        "bound": stored.providers if stored else [],
        "fees": _fees(fees.distinct("model", "resolution", "unit")),
        "most": own_keys.MOST,
    }
    return render(request, "jobs/providers.html", context, status=UNUSABLE if wrong else 200)
