"""What `/v1` says about itself."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from jobs.dialects.rest.contract import JSON, Answer, operation
from jobs.dialects.rest.openapi import written
from jobs.dialects.rest.schemas.parts import ANY_OBJECT
from jobs.dialects.rest.views.base import View


class Document(View):
    authentication_classes = []

    def get_permissions(self) -> list[BasePermission]:
        return []

    @operation(
        "getOpenApi",
        "Get this document",
        tag="Reference",
        public=True,
        answers={200: Answer("OpenAPI 3.1.", ANY_OBJECT)},
    )
    def get(self, request: Request) -> HttpResponse:
        """Needs no key."""
        return HttpResponse(written(), content_type=JSON, headers={"Cache-Control": "public, max-age=300"})


class Nothing(View):
    """Every other address: the refusal is a problem as everywhere here. It needs no key, but counts against one."""

    schema = None  # type: ignore[assignment]  # how REST framework is told to leave it out

    def get_permissions(self) -> list[BasePermission]:
        return []

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise Http404
