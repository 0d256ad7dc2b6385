"""What every view of `/v1` shares: scopes, problems, and what the request said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase
from rest_framework.parsers import BaseParser
from rest_framework.permissions import BasePermission
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.auth import needs
from accounts.tenancy import Caller
from billing import throttles
from jobs.bodies import AlwaysJson, BoundedJson
from jobs.dialects.rest import problems
from jobs.dialects.rest.openapi import StatedSchema
from jobs.dialects.rest.reading import shown
from jobs.dialects.rest.schemas.parts import Schema, whole
from jobs.dialects.rest.wire import limits as limits_wire
from jobs.errors import NotFound
from jobs.models import Job

PAGE = 50
MOST = 200


class View(APIView):
    """Asks for a scope to read and one to write; words refusals as problems. Each method is an `@operation`,
    which fills `query` and `body`.
    """

    read_scope: ClassVar[str] = "jobs:read"
    write_scope: ClassVar[str] = "jobs:write"
    parser_classes: Sequence[type[BaseParser]] = [BoundedJson]
    content_negotiation_class = AlwaysJson
    metadata_class = None
    schema = StatedSchema()

    query: dict[str, Any]
    body: Any

    def get_permissions(self) -> list[BasePermission]:
        reading = self.request.method in {"GET", "HEAD", "OPTIONS"}
        return [needs(self.read_scope if reading else self.write_scope)()]

    def get_exception_handler(self) -> Callable[[Exception, Any], Response | None]:
        return problems.answer

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with throttles.standings() as seen:
            response = super().dispatch(request, *args, **kwargs)
        for name, value in limits_wire.headers(seen).items():
            response[name] = value
        return response

    @property
    def caller(self) -> Caller:
        caller = self.request.auth
        assert isinstance(caller, Caller)
        return caller

    def job(self, job_id: UUID) -> Job:
        row = Job.objects.for_org(self.caller.organization).visible().filter(pk=job_id).first()
        if row is None:
            raise NotFound("job_not_found", "There is no such job.")
        return row

    def shown(self, row: Job) -> dict[str, Any]:
        return shown([row])[0]


def limit(default: int = PAGE) -> Schema:
    return whole(1, MOST, default=default, description="Entries on a page.")
