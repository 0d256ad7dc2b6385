"""face-detect: answered at once."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.auth import needs
from jobs.detect import detect
from jobs.dialects.dashscope.views.base import View
from jobs.dialects.dashscope.wire import detection as wire
from jobs.dialects.dashscope.wire.faults import refused


class FaceDetect(View):
    permission_classes = [needs("jobs:write")]

    def post(self, request: Request) -> Response:
        if self.enabled("X-DashScope-Async"):
            raise refused(
                403,
                "AccessDenied",
                "This model does not support asynchronous calls: leave out the header X-DashScope-Async.",
            )
        detector, image, ratio = wire.asked(self.body)
        look = detect(self.caller, detector, image, ratio=ratio)
        return Response(wire.answer(detector, look.verdict, self.request_id))
