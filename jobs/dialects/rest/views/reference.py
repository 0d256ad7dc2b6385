"""What `/v1` says about itself."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from jobs.dialects.rest.contract import Answer, operation
from jobs.dialects.rest.openapi import document
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
    def get(self, request: Request) -> Response:
        """Needs no key."""
        return Response(document(), headers={"Cache-Control": "public, max-age=300"})


class Nothing(View):
    """Every other address: the refusal is a problem as everywhere here. It needs no key, but counts against one."""

    schema = None  # type: ignore[assignment]  # how REST framework is told to leave it out

    def get_permissions(self) -> list[BasePermission]:
        return []

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise Http404
