"""The pages of API keys: which there are, what each has used, and giving one other settings, a successor or an end."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db.models import Case, Q, When
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.cache import add_never_cache_headers
from django.views.decorators.http import require_http_methods, require_POST

from accounts import keys
from accounts.errors import AccessError
from accounts.forms import KeyChangeForm, KeyForm, OverlapForm
from accounts.models import ApiKey
from accounts.scopes import SCOPES
from accounts.tenancy import Caller, org_view
from billing.models import KeySpend
from billing.money import format_usd
from jobs.views.asked import an_id

PAGE = 50
FRAME = {"section": "developers", "tab": "keys"}
OVER = Q(revoked_at__isnull=False) | Q(expires_at__lte=Now())


@dataclass(frozen=True)
class Row:
    """A key with what its chain of rotations has spent. `cap` is blank where there is none."""

    key: ApiKey
    works: bool
    replaced: bool
    may: str
    networks: str
    spent: str
    held: str
    cap: str
    spent_micros: int
    cap_micros: int


@require_http_methods(["GET", "POST"])
@org_view("keys:write")
def key_list(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The keys, those that work first, and the form for a new one, whose text is in this one answer and nowhere else."""
    form = KeyForm(request.POST or None, caller=caller)
    if request.method == "POST" and form.is_valid():
        return _shown_once(request, *form.issue())
    own = ApiKey.objects.for_org(caller.organization)
    found = own.newest_first().order_by(Case(When(OVER, then=1), default=0), "-created_at", "-id")
    before = an_id(request.GET.get("before"))
    if before:
        last = get_object_or_404(own.with_clock(), pk=before)
        older = Q(created_at=last.created_at, pk__lt=last.pk) | Q(created_at__lt=last.created_at)
        found = found.filter(OVER & older if last.revoked_at or last.expired else OVER | older)
    page = list(found[: PAGE + 1])
    context = {
        **FRAME,
        "rows": _rows(page[:PAGE]),
        "older": page[PAGE - 1].pk if len(page) > PAGE else None,
        "before": before,
        "form": form,
        "base_url": settings.PUBLIC_URL,
    }
    return render(request, "jobs/keys.html", context)


@require_http_methods(["GET", "POST"])
@org_view("keys:write")
def key_page(request: HttpRequest, caller: Caller, key_id: uuid.UUID) -> HttpResponse:
    """One key and the forms that change it."""
    key = _found(caller, key_id)
    form = KeyChangeForm(request.POST or None, caller=caller, key=key)
    if request.method == "POST" and form.is_valid():
        try:
            changed = keys.change(key, caller, form.changes())
        except AccessError as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, f"The key “{changed.name}” is changed, for its next request already.")
            return redirect("key", key_id)
    status = 422 if form.is_bound else 200
    context = {**FRAME, "row": _rows([key])[0], "form": form, "overlap": OverlapForm()}
    return render(request, "jobs/key.html", context, status=status)


@require_POST
@org_view("keys:write")
def key_rotate(request: HttpRequest, caller: Caller, key_id: uuid.UUID) -> HttpResponse:
    """A successor, shown once like every new key; the old one works on for as long as was chosen."""
    key = _found(caller, key_id)
    form = OverlapForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Choose how long the old key is to work on.")
        return redirect("key", key_id)
    overlap = timedelta(hours=form.cleaned_data["overlap_hours"])
    try:
        new, text = keys.rotate(key, overlap, by=caller)
    except AccessError as error:
        messages.error(request, error.message)
        return redirect("key", key_id)
    return _shown_once(request, new, text, old=_found(caller, key_id))


@require_POST
@org_view("keys:write")
def key_revoke(request: HttpRequest, caller: Caller, key_id: uuid.UUID) -> HttpResponse:
    key = _found(caller, key_id)
    keys.revoke(key, caller)
    messages.success(request, f"The key “{key.name}” no longer works.")
    return redirect("keys")


def _shown_once(request: HttpRequest, key: ApiKey, text: str, old: ApiKey | None = None) -> HttpResponse:
    context = {**FRAME, "key": key, "text": text, "old": old, "base_url": settings.PUBLIC_URL}
    response = render(request, "jobs/key_created.html", context)
    add_never_cache_headers(response)
    return response


def _found(caller: Caller, key_id: uuid.UUID) -> ApiKey:
    rows = ApiKey.objects.for_org(caller.organization).with_clock().select_related("created_by")
    return get_object_or_404(rows, pk=key_id)


def _rows(found: Sequence[ApiKey]) -> list[Row]:
    """Two queries, however many keys there are."""
    spends = KeySpend.objects.in_bulk([key.chain_id for key in found])
    replaced = set(ApiKey.objects.filter(replaces__in=found).values_list("replaces_id", flat=True))
    return [_row(key, spends.get(key.chain_id) or KeySpend(), replaced) for key in found]


def _row(key: ApiKey, spend: KeySpend, replaced: set[Any]) -> Row:
    cap = key.spend_cap_micros
    used = spend.spent_micros + spend.held_micros
    return Row(
        key=key,
        works=not key.revoked_at and not key.expired,
        replaced=key.pk in replaced,
        may=" · ".join(SCOPES[scope] for scope in key.scopes if scope in SCOPES),
        networks=", ".join(key.allowed_networks),
        spent=format_usd(spend.spent_micros),
        held=format_usd(spend.held_micros) if spend.held_micros else "",
        cap="" if cap is None else format_usd(cap),
        spent_micros=min(used, cap) if cap else used,
        cap_micros=cap or 0,
    )
