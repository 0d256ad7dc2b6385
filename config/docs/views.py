"""The pages under /docs: open to everybody, and the same for everybody below the frame."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from config.docs import pages, reference, search
from config.docs.pages import BY_SLUG, PAGES, REFERENCE, SECTIONS, Page

NOT_FOUND = 404


@require_safe
def page(request: HttpRequest, slug: str = "") -> HttpResponse:
    found = BY_SLUG.get(slug)
    if found is None or found.slug == REFERENCE:
        return missing(request)
    return render(request, "docs/page.html", {**frame(found), "page": pages.rendered(found)})


@require_safe
def api(request: HttpRequest, group: str = "") -> HttpResponse:
    """The OpenAPI document: all operations, one group of them, or the schemas."""
    document = reference.document()
    shown = {**frame(BY_SLUG[REFERENCE]), "document": document}
    if group == reference.SCHEMAS:
        return render(request, "docs/schemas.html", shown)
    if not group:
        return render(request, "docs/reference.html", shown)
    if (found := document.group(group)) is None:
        return missing(request)
    return render(request, "docs/group.html", {**shown, "group": found})


@require_safe
def search_index(request: HttpRequest) -> JsonResponse:
    answer = JsonResponse({"entries": search.entries()})
    answer["Cache-Control"] = "public, max-age=300"
    return answer


def missing(request: HttpRequest, path: str = "") -> HttpResponse:
    return render(request, "docs/missing.html", {"sections": SECTIONS, "pages": PAGES}, status=NOT_FOUND)


def frame(shown: Page) -> dict[str, Any]:
    """What stands around the text: navigation and neighbours."""
    before, after = pages.neighbours(shown)
    return {"sections": SECTIONS, "here": shown, "before": before, "after": after, "section": "docs"}
