"""What all views share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, cast

from rest_framework.permissions import BasePermission
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.auth import needs
from accounts.tenancy import Caller
from jobs.bodies import AlwaysJson
from jobs.dialects.inferencesh import bodies, faults, tasks
from jobs.models import Job
from jobs.snapshots import Snapshot


class View(APIView):
    """JSON in, JSON out, whatever happens. Asks for a scope to read and one to write."""

    read_scope: ClassVar[str] = "jobs:read"
    write_scope: ClassVar[str] = "jobs:write"
    parser_classes = [bodies.BoundedJson]
    content_negotiation_class = AlwaysJson
    metadata_class = None

    def get_permissions(self) -> Sequence[BasePermission]:
        reading = self.request.method in {"GET", "HEAD", "OPTIONS"}
        return [needs(self.read_scope if reading else self.write_scope)()]

    def get_exception_handler(self) -> Callable[[Exception, Any], Response]:
        return cast(Callable[[Exception, Any], Response], faults.answer)

    @property
    def caller(self) -> Caller:
        caller = self.request.auth
        assert isinstance(caller, Caller)
        return caller

    def job(self, task_id: str) -> Job:
        return tasks.find(self.caller.organization, task_id)

    def seen(self, task_id: str) -> Snapshot:
        return tasks.look(self.caller.organization, task_id)


def success(
    data: Mapping[str, Any] | list[dict[str, Any]] | None, messages: Sequence[Mapping[str, str]] = ()
) -> Response:
    """Under its envelope even when a resource is empty: the SDK takes a bare one for the resource itself."""
    return Response({"data": data, "messages": list(messages)})
