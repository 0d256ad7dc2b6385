"""What all views share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rest_framework.response import Response

from jobs.dialects.dashscope import bodies, faults
from jobs.dialects.dashscope.wire.submissions import Body, read_body
from jobs.dialects.views import JsonView


class View(JsonView):
    """Each view names its permissions."""

    parser_classes = [bodies.BoundedJson]

    def get_exception_handler(self) -> Callable[[Exception, Any], Response]:
        return faults.answer

    @property
    def request_id(self) -> str:
        return faults.request_id(self.request)

    @property
    def body(self) -> Body:
        return read_body(self.request.data, resolve=self.enabled("X-DashScope-OssResourceResolve"))

    def enabled(self, header: str) -> bool:
        return self.request.headers.get(header, "").lower() == "enable"
