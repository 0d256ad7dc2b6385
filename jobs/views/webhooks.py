"""The pages of webhooks: endpoints and their secrets, what was sent to them, what came back, and sending it again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.tenancy import Caller, org_view
from jobs import notify, webhooks
from jobs.errors import JobError
from jobs.models import Delivery, Job, WebhookEndpoint
from jobs.secrets import SealBroken
from jobs.states import EVERYTHING
from jobs.views import words
from jobs.views.asked import an_id

PAGE = 30
FRAME = {"section": "developers", "tab": "webhooks"}
UNUSABLE = 422
EVENTS = {
    EVERYTHING: "Everything, also what is new one day",
    "job.succeeded": "The video is ready",
    "job.failed": "It could not be made, and is free",
    "job.canceled": "Somebody canceled it",
    "job.expired": "It took too long, and is free",
    "job.created": "A job was accepted",
    "job.preparing": "Its files are being fetched",
    "job.queued": "It waits for its turn",
    "job.running": "It is being made",
    "job.saving": "The result is being stored",
    "job.phase": "A new step of the work began",
    "job.progress": "The work went on (many)",
    "job.attempt_ended": "One attempt ended, another may follow",
    "job.cancel_requested": "A cancel is on its way",
    "budget.reached": "50, 80 or 100 % of the month's budget are used",
    "balance.low": "Little credit is left",
}
STATES = {
    Delivery.Status.DUE: ("On its way", "busy"),
    Delivery.Status.DELIVERED: ("Delivered", "good"),
    Delivery.Status.FAILED: ("Given up", "bad"),
}
REASONS: dict[str, str] = {
    Delivery.Reason.TRIES: "All ten tries failed.",
    Delivery.Reason.GONE: "Its server answered 410 Gone.",
    Delivery.Reason.DISABLED: "The endpoint was switched off before it could be sent.",
}
SPANS = {
    "1": "of the last hour",
    "24": "of the last day",
    "72": "of the last three days",
    "168": "of the last week",
}


class EndpointForm(forms.Form):
    url = forms.URLField(
        label="Address",
        max_length=2048,
        assume_scheme="https",
        help_text="Public, and https where you can. We send a POST with JSON.",
    )
    description = forms.CharField(label="Description", max_length=webhooks.MAX_DESCRIPTION, required=False)
    events = forms.MultipleChoiceField(
        label="Tell it of",
        widget=forms.CheckboxSelectMultiple,
        choices=[(kind, EVENTS.get(kind, kind)) for kind in webhooks.TYPES],
        initial=list(webhooks.DEFAULT_EVENTS),
    )


class RotateForm(forms.Form):
    overlap_hours = forms.TypedChoiceField(
        label="Messages are signed with the old secret as well",
        coerce=int,
        initial="24",
        choices=[("0", "No longer"), ("1", "For an hour"), ("24", "For a day"), ("168", "For a week")],
    )


class ReplayForm(forms.Form):
    hours = forms.TypedChoiceField(
        label="Send again what was given up", coerce=int, choices=list(SPANS.items())
    )


@dataclass(frozen=True)
class Row:
    """A delivery as the list shows it. `about`: what tells its job from others."""

    delivery: Delivery
    state: str
    tone: str
    what: str
    about: str


# --- endpoints ---


@require_http_methods(["GET", "POST"])
@org_view("webhooks:write")
def endpoint_list(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The endpoints, ten at most, and the form for a new one, whose secret is in this one answer."""
    form = EndpointForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            endpoint, secret = webhooks.add(caller, **form.cleaned_data)
        except JobError as refusal:
            _blame(form, refusal)
        else:
            return _secret(request, endpoint, secret)
    rows = WebhookEndpoint.objects.for_org(caller.organization).live().order_by("id")
    context = {**FRAME, "endpoints": rows, "form": form, "most": webhooks.MAX_ENDPOINTS}
    return render(request, "jobs/webhooks.html", context, status=UNUSABLE if form.is_bound else 200)


@require_http_methods(["GET", "POST"])
@org_view("webhooks:write")
def endpoint_page(request: HttpRequest, caller: Caller, endpoint_id: UUID) -> HttpResponse:
    """One endpoint: its settings, and what was sent to it, newest first."""
    endpoint = _endpoint(caller, endpoint_id)
    kept = {"url": endpoint.url, "description": endpoint.description, "events": endpoint.events}
    form = EndpointForm(request.POST or None, initial=kept)
    if request.method == "POST" and form.is_valid():
        try:
            webhooks.change(caller, endpoint, dict(form.cleaned_data))
        except JobError as refusal:
            _blame(form, refusal)
        else:
            messages.success(request, "The endpoint is changed.")
            return redirect("webhook", endpoint_id)
    context = {
        **FRAME,
        "endpoint": endpoint,
        "form": form,
        "rotate_form": RotateForm(),
        "replay_form": ReplayForm(),
        "days": notify.FAILING_DAYS,
        **_deliveries(request, endpoint),
    }
    return render(request, "jobs/webhook.html", context, status=UNUSABLE if form.is_bound else 200)


@require_POST
@org_view("webhooks:write")
def endpoint_switch(request: HttpRequest, caller: Caller, endpoint_id: UUID) -> HttpResponse:
    """On or off, as the form says."""
    on = request.POST.get("enabled") == "1"
    webhooks.change(caller, _endpoint(caller, endpoint_id), {"enabled": on})
    messages.success(request, "The endpoint is on." if on else "The endpoint is off; nothing is sent to it.")
    return redirect("webhook", endpoint_id)


@require_POST
@org_view("webhooks:write")
def endpoint_rotate(request: HttpRequest, caller: Caller, endpoint_id: UUID) -> HttpResponse:
    endpoint = _endpoint(caller, endpoint_id)
    form = RotateForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Choose how long the old secret is to be good.")
        return redirect("webhook", endpoint_id)
    overlap = timedelta(hours=form.cleaned_data["overlap_hours"])
    return _secret(request, *webhooks.rotate(caller, endpoint, overlap))


@require_POST
@org_view("webhooks:write")
def endpoint_test(request: HttpRequest, caller: Caller, endpoint_id: UUID) -> HttpResponse:
    """Sends a test message and shows what becomes of it."""
    try:
        delivery = webhooks.ping(_endpoint(caller, endpoint_id))
    except JobError as refusal:
        messages.error(request, _worded(refusal))
        return redirect("webhook", endpoint_id)
    return redirect("delivery", delivery.pk)


@require_POST
@org_view("webhooks:write")
def endpoint_replay(request: HttpRequest, caller: Caller, endpoint_id: UUID) -> HttpResponse:
    endpoint = _endpoint(caller, endpoint_id)
    form = ReplayForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Choose from when on.")
        return redirect("webhook", endpoint_id)
    since = timezone.now() - timedelta(hours=form.cleaned_data["hours"])
    try:
        count = webhooks.replay_failed(caller, endpoint, since)
    except JobError as refusal:
        messages.error(request, _worded(refusal))
    else:
        said = f"{count} on the way again." if count else "Nothing was given up in that time."
        messages.success(request, said)
    return redirect("webhook", endpoint_id)


@require_POST
@org_view("webhooks:write")
def endpoint_delete(request: HttpRequest, caller: Caller, endpoint_id: UUID) -> HttpResponse:
    webhooks.remove(caller, _endpoint(caller, endpoint_id))
    messages.success(request, "The endpoint is deleted; nothing more is sent to it.")
    return redirect("webhooks")


# --- deliveries ---


@require_GET
@org_view("webhooks:write")
def delivery_page(request: HttpRequest, caller: Caller, delivery_id: UUID) -> HttpResponse:
    return render(request, "jobs/delivery.html", {**FRAME, **_shown(caller, delivery_id)})


@require_GET
@org_view("webhooks:write")
def delivery_live(request: HttpRequest, caller: Caller, delivery_id: UUID) -> HttpResponse:
    """The changing part alone, which asks for itself again while the delivery is on its way."""
    return render(request, "jobs/_delivery.html", _shown(caller, delivery_id))


@require_POST
@org_view("webhooks:write")
def delivery_replay(request: HttpRequest, caller: Caller, delivery_id: UUID) -> HttpResponse:
    try:
        webhooks.replay(caller, _delivery(caller, delivery_id))
    except JobError as refusal:
        messages.error(request, _worded(refusal))
    return redirect("delivery", delivery_id)


def _shown(caller: Caller, delivery_id: UUID) -> dict[str, Any]:
    delivery = _delivery(caller, delivery_id)
    return {
        "row": _row(delivery),
        "delivery": delivery,
        "reason": REASONS.get(delivery.reason, ""),
        "payload": _payload(delivery),
        "log": list(delivery.log.order_by("-id")[:PAGE]),
        "timeout": settings.WEBHOOK_TIMEOUT_SECONDS,
    }


def _deliveries(request: HttpRequest, endpoint: WebhookEndpoint) -> dict[str, Any]:
    status, before = request.GET.get("status", ""), an_id(request.GET.get("before"))
    found = Delivery.objects.filter(endpoint=endpoint).select_related("job").order_by("-id")
    if status in STATES:
        found = found.filter(status=status)
    if before:
        found = found.filter(pk__lt=before)
    page = list(found[: PAGE + 1])
    return {
        "rows": [_row(delivery) for delivery in page[:PAGE]],
        "older": page[PAGE - 1].pk if len(page) > PAGE else None,
        "before": before,
        "status": status,
        "states": [(value, said) for value, (said, _) in STATES.items()],
    }


def _row(delivery: Delivery) -> Row:
    state, tone = STATES[Delivery.Status(delivery.status)]
    what = "Test message" if delivery.type == webhooks.PING else EVENTS.get(delivery.type, delivery.type)
    return Row(delivery, state, tone, what, _about(delivery.job))


def _about(job: Job | None) -> str:
    if job is None:
        return ""
    prompt = "" if job.deleted_at else str(job.options.get("prompt") or "")
    return words.short(prompt, 60) or str(job.pk)


def _payload(delivery: Delivery) -> str:
    """As it would be sent now; blank where its secret can no longer be read."""
    try:
        _, body = notify.drawn(delivery)
    except SealBroken:
        return ""
    return json.dumps(json.loads(body), indent=2, ensure_ascii=False)


def _endpoint(caller: Caller, endpoint_id: UUID) -> WebhookEndpoint:
    return get_object_or_404(WebhookEndpoint.objects.for_org(caller.organization).live(), pk=endpoint_id)


def _delivery(caller: Caller, delivery_id: UUID) -> Delivery:
    rows = Delivery.objects.for_org(caller.organization)
    return get_object_or_404(
        rows.select_related("job__organization", "organization", "endpoint", "event"), pk=delivery_id
    )


def _secret(request: HttpRequest, endpoint: WebhookEndpoint, secret: str) -> HttpResponse:
    context = {**FRAME, "endpoint": endpoint, "secret": secret}
    response = render(request, "jobs/webhook_secret.html", context)
    add_never_cache_headers(response)
    return response


def _blame(form: EndpointForm, refusal: JobError) -> None:
    form.add_error(refusal.field if refusal.field in form.fields else None, refusal.message)


def _worded(refusal: JobError) -> str:
    """On a page the way on is a button."""
    if refusal.code == "webhook_disabled":
        return "The endpoint is off. Switch it on first."
    return refusal.message
