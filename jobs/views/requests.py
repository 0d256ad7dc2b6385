"""The pages of the request log: what an organization's programmes asked, and what became of it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from accounts.models import ApiKey
from accounts.tenancy import Caller, org_view
from jobs.requested import ApiRequest, ApiRequestQuerySet
from jobs.views.asked import an_id

PAGE = 50
MOST_KEYS = 100
FRAME = {"section": "developers", "tab": "requests"}
STATUSES = {
    "": "All",
    "ok": "Worked",
    "error": "Refused or failed",
    "4": "Refused (4xx)",
    "5": "Failed (5xx)",
}
# How an address begins, and whose protocol that is.
DIALECTS = {"/v1": "our own API", "/api/v3": "WaveSpeed's protocol", "/api/v1": "DashScope's protocol"}
OTHERWISE = "inference.sh's protocol"
BOUNDS = {"ok": (0, 399), "error": (400, 599), "4": (400, 499), "5": (500, 599)}


@require_GET
@org_view("keys:write")
def request_list(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Newest first. A request id finds its request whatever else is chosen."""
    asked = {name: request.GET.get(name, "").strip() for name in ("q", "key", "status", "path")}
    found = _chosen(ApiRequest.objects.for_org(caller.organization), asked)
    before = an_id(request.GET.get("before"))
    if before:
        found = found.filter(pk__lt=before)
    page = list(found.newest_first().select_related("key")[: PAGE + 1])
    kept = request.GET.copy()
    kept.pop("before", None)
    context = {
        **FRAME,
        "rows": page[:PAGE],
        "older": page[PAGE - 1].pk if len(page) > PAGE else None,
        "before": before,
        "kept": kept.urlencode(),
        "asked": asked,
        "filtered": any(asked.values()),
        "keys": ApiKey.objects.for_org(caller.organization).order_by("name", "id")[:MOST_KEYS],
        "statuses": STATUSES.items(),
        "days": settings.REQUEST_LOG_DAYS,
        "base_url": settings.PUBLIC_URL,
    }
    return render(request, "jobs/requests.html", context)


@require_GET
@org_view("keys:write")
def request_page(request: HttpRequest, caller: Caller, entry_id: UUID) -> HttpResponse:
    rows = ApiRequest.objects.for_org(caller.organization).select_related("key")
    row = get_object_or_404(rows, pk=entry_id)
    return render(request, "jobs/request.html", {**FRAME, "row": row, "dialect": dialect_of(row.path)})


def dialect_of(path: str) -> str:
    return next((words for start, words in DIALECTS.items() if path.startswith(f"{start}/")), OTHERWISE)


def _chosen(rows: ApiRequestQuerySet, asked: dict[str, Any]) -> ApiRequestQuerySet:
    if asked["q"]:
        return rows.filter(request_id=asked["q"])
    if asked["key"]:
        rows = rows.filter(key_id=an_id(asked["key"]))
    if asked["status"] in BOUNDS:
        rows = rows.filter(status__range=BOUNDS[asked["status"]])
    if asked["path"]:
        rows = rows.filter(path__icontains=asked["path"])
    return rows
