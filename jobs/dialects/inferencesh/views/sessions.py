"""Sessions: there are none here, and this says so in the vendor's words."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from jobs.dialects.inferencesh.views.base import View, success
from jobs.errors import NotFound

NONE = NotFound("session_not_found", "There is no such session: apps keep no state here.")


class Sessions(View):
    def get(self, request: Request) -> Response:
        return success([])


class Session(View):
    def get(self, request: Request, session_id: str) -> Response:
        raise NONE

    def delete(self, request: Request, session_id: str) -> Response:
        raise NONE


class KeepAlive(View):
    def post(self, request: Request, session_id: str) -> Response:
        raise NONE
