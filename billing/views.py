"""The pages of money: credit, what was used, the statement; and the address Stripe tells its events to."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date

from django.contrib import messages
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from accounts.models import BillingMode
from accounts.tenancy import Caller, org_view
from billing import (
    alerts,
    autotopup,
    customers,
    free,
    gateway,
    inbox,
    ledger,
    quotas,
    quotes,
    statements,
    subscriptions,
    topups,
    usage,
)
from billing.context import shown
from billing.errors import BillingError
from billing.forms import AlertForm, AutoTopUpForm, TopUpForm
from billing.gateway_models import Customer, TopUp, TopUpStatus
from billing.models import Price
from billing.money import format_usd

SEE_OTHER = 303
UNUSABLE = 422
STATEMENT_ROWS = 50
LATEST = 6


@require_GET
@org_view("billing:read")
def billing_page(request: HttpRequest, caller: Caller) -> HttpResponse:
    return _page(request, caller, TopUpForm())


@require_POST
@org_view("billing:write")
def topup(request: HttpRequest, caller: Caller) -> HttpResponse:
    """To Stripe's page; back here with what was typed where that cannot be."""
    form = TopUpForm(request.POST)
    if form.is_valid():
        try:
            address = topups.start(
                caller, form.cleaned_data["amount"], save_card=form.cleaned_data["save_card"]
            )
        except BillingError as error:
            form.add_error(None, error.message)
        else:
            return HttpResponseRedirect(address, status=SEE_OTHER)
    return _page(request, caller, form, status=UNUSABLE)


@require_GET
@org_view("billing:read")
def topup_return(request: HttpRequest, caller: Caller, topup_id: uuid.UUID) -> HttpResponse:
    """The way back from Stripe's page. The address proves nothing: the payment is looked at."""
    found = get_object_or_404(TopUp.objects.for_org(caller.organization), pk=topup_id)
    topups.look_again(found)
    found.refresh_from_db()
    if found.status == TopUpStatus.PAID:
        messages.success(request, f"{format_usd(found.credited_micros)} USD were added to your credit.")
    elif found.status == TopUpStatus.PROCESSING:
        messages.info(
            request, "Your bank is still at it. The credit appears here as soon as it has the money."
        )
    else:
        messages.info(request, "Nothing was paid.")
    return redirect("billing")


@require_POST
@org_view("billing:write")
def save_card(request: HttpRequest, caller: Caller) -> HttpResponse:
    return _to_stripe(request, caller, customers.card_page)


@require_POST
@org_view("billing:write")
def auto_topup(request: HttpRequest, caller: Caller) -> HttpResponse:
    form = AutoTopUpForm(request.POST)
    if not form.is_valid():
        return _page(request, caller, TopUpForm(), auto_form=form, status=UNUSABLE)
    given = form.cleaned_data
    try:
        autotopup.switch_on(
            caller,
            threshold_micros=given["threshold"],
            amount_micros=given["amount"],
            daily_cap_micros=given["daily_cap"],
        )
    except BillingError as error:
        form.add_error(None, error.message)
        return _page(request, caller, TopUpForm(), auto_form=form, status=UNUSABLE)
    messages.success(request, "Credit is now added automatically.")
    return redirect("billing")


@require_POST
@org_view("billing:write")
def auto_topup_off(request: HttpRequest, caller: Caller) -> HttpResponse:
    autotopup.switch_off(caller)
    messages.success(request, "Credit is no longer added automatically.")
    return redirect("billing")


@require_POST
@org_view("billing:write")
def subscribe(request: HttpRequest, caller: Caller) -> HttpResponse:
    """To the page on which a postpaid organization agrees to its monthly invoice."""
    if caller.organization.billing_mode != BillingMode.POSTPAID:
        messages.error(request, "This organization pays before. Ask the operator to be invoiced instead.")
        return redirect("billing")
    return _to_stripe(request, caller, subscriptions.subscribe)


@require_POST
@org_view("billing:write")
def portal(request: HttpRequest, caller: Caller) -> HttpResponse:
    """To Stripe's page for cards, addresses and invoices. What is changed there is told by events."""
    return _to_stripe(request, caller, subscriptions.open_portal)


def _to_stripe(request: HttpRequest, caller: Caller, verb: Callable[[Caller], str]) -> HttpResponse:
    try:
        return HttpResponseRedirect(verb(caller), status=SEE_OTHER)
    except BillingError as error:
        messages.error(request, error.message)
        return redirect("billing")


@csrf_exempt
@require_POST
def stripe_webhook(request: HttpRequest) -> HttpResponse:
    """Stored and answered; looked into afterwards. The signature is all the permission there is."""
    known = inbox.receive(request.body, request.headers.get("Stripe-Signature", ""))
    return HttpResponse(status=200 if known else 400)


def _page(
    request: HttpRequest,
    caller: Caller,
    form: TopUpForm,
    *,
    auto_form: AutoTopUpForm | None = None,
    status: int = 200,
) -> HttpResponse:
    organization = caller.organization
    books = ledger.balance(organization)
    customer = Customer.objects.for_org(organization).first()
    context = {
        "section": "billing",
        "tab": "billing",
        "on_sale": gateway.configured(),
        "may_pay": caller.can("billing:write"),
        "balance": shown(books),
        "available": format_usd(books.available_micros),
        "held": format_usd(books.held_micros),
        "free": free.quotas(organization),
        "entries": statements.entries(usage.billings(organization, kinds=statements.KINDS, size=LATEST).rows),
        "customer": customer,
        "topups": topups.newest(organization),
        "postpaid": organization.billing_mode == BillingMode.POSTPAID,
        "invoices": subscriptions.invoices(organization) if customer else [],
        "form": form,
        "plan": autotopup.plan_of(organization) if customer and customer.card else None,
        "auto_form": auto_form or AutoTopUpForm(auto_id="auto_%s"),
    }
    return render(request, "billing/billing.html", context, status=status)


# --- plan and prices ---


@dataclass(frozen=True)
class PriceLine:
    """What this organization pays for a unit of a model today."""

    model: str
    resolution: str
    usd: str
    unit: str
    own: bool

    @classmethod
    def of(cls, price: Price) -> PriceLine:
        usd = format_usd(price.micros_per_unit)
        return cls(price.model, price.resolution, usd, price.unit, own=price.organization_id is not None)


@require_GET
@org_view("billing:read")
def plan_page(request: HttpRequest, caller: Caller) -> HttpResponse:
    """What the organization may do, in words, and what it pays; for htmx what is in use now, alone."""
    now = alerts.standing(caller.organization)
    if request.headers.get("HX-Request") == "true":
        uses = {"uses": quotas.uses(caller.organization), "spending": now}
        return _varied(render(request, "billing/_in_use.html", uses))
    initial = {
        "budget": "" if now.wanted_budget is None else format_usd(now.wanted_budget),
        "low_balance": "" if now.low_balance is None else format_usd(now.low_balance),
    }
    return _varied(_plan(request, caller, AlertForm(initial=initial), now))


def _varied(response: HttpResponse) -> HttpResponse:
    patch_vary_headers(response, ["HX-Request"])
    return response


@require_POST
@org_view("billing:write")
def set_alerts(request: HttpRequest, caller: Caller) -> HttpResponse:
    form = AlertForm(request.POST)
    if not form.is_valid():
        return _plan(request, caller, form, alerts.standing(caller.organization), status=UNUSABLE)
    given = form.cleaned_data
    try:
        alerts.set_plan(caller, budget_micros=given["budget"], low_balance_micros=given["low_balance"])
    except BillingError as error:
        form.add_error(None, error.message)
        return _plan(request, caller, form, alerts.standing(caller.organization), status=UNUSABLE)
    messages.success(request, "Your alerts are saved.")
    return redirect("plan")


def _plan(
    request: HttpRequest, caller: Caller, form: AlertForm, now: alerts.Standing, *, status: int = 200
) -> HttpResponse:
    context = {
        "section": "billing",
        "tab": "plan",
        "limits": quotas.limits_of(caller.organization),
        "uses": quotas.uses(caller.organization),
        "spending": now,
        "alert_form": form,
        "prices": [PriceLine.of(price) for price in quotes.price_list(caller.organization)],
    }
    return render(request, "billing/plan.html", context, status=status)


# --- what was used ---


@require_GET
@org_view("billing:read")
def usage_page(request: HttpRequest, caller: Caller) -> HttpResponse:
    period, first, last = _period(request)
    context = {
        "section": "billing",
        "tab": "usage",
        "period": period,
        "periods": statements.PERIODS.items(),
        "use": statements.used(caller.organization, first, last),
    }
    return render(request, "billing/usage.html", context)


@require_GET
@org_view("billing:read")
def usage_file(request: HttpRequest, caller: Caller) -> HttpResponseBase:
    _, first, last = _period(request)
    return _file(statements.usage_file(caller.organization, first, last), f"usage-{first}-{last}.csv")


@require_GET
@org_view("billing:read")
def statement_page(request: HttpRequest, caller: Caller) -> HttpResponse:
    """What came in and what was spent, newest first."""
    raw = request.GET.get("after", "")
    after = int(raw) if re.fullmatch(r"[0-9]{1,18}", raw) else None
    found = usage.billings(caller.organization, kinds=statements.KINDS, after=after, size=STATEMENT_ROWS)
    context = {
        "section": "billing",
        "tab": "statement",
        "entries": statements.entries(found.rows),
        "after": after,
        "older": found.after,
        "periods": statements.PERIODS.items(),
        "usual": statements.USUAL,
    }
    return render(request, "billing/statement.html", context)


@require_GET
@org_view("billing:read")
def statement_file(request: HttpRequest, caller: Caller) -> HttpResponseBase:
    _, first, last = _period(request)
    return _file(statements.transfers_file(caller.organization, first, last), f"statement-{first}-{last}.csv")


def _period(request: HttpRequest) -> tuple[str, date, date]:
    asked = request.GET.get("period", "")
    period = asked if asked in statements.PERIODS else statements.USUAL
    return period, *statements.span(period, timezone.now().astimezone(UTC).date())


def _file(lines: Iterator[str], name: str) -> HttpResponseBase:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8", headers=headers)
