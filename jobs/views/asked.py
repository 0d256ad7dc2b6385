"""What an address asks of a page: an id in it, or only a part of the page."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404, HttpRequest


def an_id(raw: str | None) -> UUID | None:
    """None where none is asked for. Raises Http404 for one that cannot be."""
    try:
        return UUID(raw) if raw else None
    except ValueError:
        raise Http404 from None


def partly(request: HttpRequest) -> bool:
    """Whether htmx asks for a part of the page. A person who goes back wants all of it."""
    asked = request.headers
    return asked.get("HX-Request") == "true" and asked.get("HX-History-Restore-Request") != "true"
