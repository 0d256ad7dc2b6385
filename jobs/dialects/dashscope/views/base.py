"""What all views share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.tenancy import Caller
from jobs.bodies import AlwaysJson
from jobs.dialects.dashscope import bodies, faults
from jobs.dialects.dashscope.wire.submissions import Body, read_body


class View(APIView):
    """JSON in, JSON out, whatever happens. Each view names its permissions."""

    parser_classes = [bodies.BoundedJson]
    content_negotiation_class = AlwaysJson
    metadata_class = None

    def get_exception_handler(self) -> Callable[[Exception, Any], Response]:
        return faults.answer

    @property
    def caller(self) -> Caller:
        caller = self.request.auth
        assert isinstance(caller, Caller)
        return caller

    @property
    def request_id(self) -> str:
        return faults.request_id(self.request)

    @property
    def body(self) -> Body:
        return read_body(self.request.data, resolve=self.enabled("X-DashScope-OssResourceResolve"))

    def enabled(self, header: str) -> bool:
        return self.request.headers.get(header, "").lower() == "enable"
