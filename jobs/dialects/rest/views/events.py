"""What happened: a job's events as pages or as a stream, and the organization's feed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.handlers.asgi import ASGIRequest
from django.http import StreamingHttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from jobs.dialects.rest import stream
from jobs.dialects.rest.views.base import MOST, View, number
from jobs.dialects.rest.wire import jobs as jobs_wire
from jobs.errors import Invalid
from jobs.events import CursorUnknown, feed, job_events
from jobs.live import let_go
from jobs.models import Job

SSE = "text/event-stream"
MAX_ID_DIGITS = 19


class Events(View):
    """Pages of JSON, or a stream for those who ask for text/event-stream."""

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:  # noqa: FBT001, FBT002  theirs
        return super().perform_content_negotiation(
            request, force=True
        )  # the stream has no renderer of theirs

    def get(self, request: Request, job_id: UUID) -> Response | StreamingHttpResponse:
        row = self.job(job_id)
        if SSE in request.headers.get("Accept", ""):
            return self.stream(request, row)
        after = number(request, "after", 0, 2**62)
        limit = number(request, "limit", MOST, MOST)
        events = job_events(row.pk, after=after, limit=limit + 1)
        return Response(
            {"data": [jobs_wire.event(e) for e in events[:limit]], "has_more": len(events) > limit}
        )

    def stream(self, request: Request, row: Job) -> StreamingHttpResponse:
        last = request.headers.get("Last-Event-ID", "") or request.query_params.get("after", "")
        if last and not (last.isdecimal() and len(last) < MAX_ID_DIGITS):
            raise Invalid(
                "parameter_invalid", "Last-Event-ID must be the id of an event.", field="Last-Event-ID"
            )
        live = isinstance(request._request, ASGIRequest)  # noqa: SLF001  the way to Django's own
        frames = (stream.follow if live else stream.now)(row, int(last or 0))
        answer = StreamingHttpResponse(frames, headers={"Content-Type": SSE, "Cache-Control": "no-cache"})
        answer["X-Accel-Buffering"] = "no"
        let_go()
        return answer


class Feed(View):
    """Every event of the organization's jobs, so that a lost webhook is never lost data."""

    def get(self, request: Request) -> Response:
        limit = number(request, "limit", MOST, MOST)
        try:
            rows, cursor = feed(
                self.caller.organization.pk, after=request.query_params.get("after", ""), limit=limit
            )
        except CursorUnknown:
            message = "after must be the `next` of an earlier answer, or empty to begin."
            raise Invalid("parameter_invalid", message, field="after") from None
        return Response(
            {"data": [jobs_wire.event(row) for row in rows], "next": cursor, "has_more": len(rows) == limit}
        )
