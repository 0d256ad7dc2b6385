"""What all views share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, cast

from rest_framework.permissions import BasePermission
from rest_framework.response import Response

from accounts.auth import needs
from jobs.dialects.inferencesh import bodies, faults, tasks
from jobs.dialects.views import JsonView
from jobs.models import Job
from jobs.snapshots import Snapshot


class View(JsonView):
    """Asks for a scope to read and one to write."""

    read_scope: ClassVar[str] = "jobs:read"
    write_scope: ClassVar[str] = "jobs:write"
    parser_classes = [bodies.BoundedJson]

    def get_permissions(self) -> Sequence[BasePermission]:
        reading = self.request.method in {"GET", "HEAD", "OPTIONS"}
        return [needs(self.read_scope if reading else self.write_scope)()]

    def get_exception_handler(self) -> Callable[[Exception, Any], Response]:
        return cast(Callable[[Exception, Any], Response], faults.answer)

    def job(self, task_id: str) -> Job:
        return tasks.find(self.caller.organization, task_id)

    def seen(self, task_id: str) -> Snapshot:
        return tasks.look(self.caller.organization, task_id)


def success(
    data: Mapping[str, Any] | list[dict[str, Any]] | None, messages: Sequence[Mapping[str, str]] = ()
) -> Response:
    """Under its envelope even when a resource is empty: the SDK takes a bare one for the resource itself."""
    return Response({"data": data, "messages": list(messages)})
