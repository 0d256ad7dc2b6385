"""What happened: a job's events as pages or as a stream, and the organization's feed."""

from __future__ import annotations

from uuid import UUID

from django.core.handlers.asgi import ASGIRequest
from django.http import StreamingHttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from jobs.dialects.rest import stream
from jobs.dialects.rest.contract import Answer, operation
from jobs.dialects.rest.schemas import jobs as schemas
from jobs.dialects.rest.schemas.parts import whole
from jobs.dialects.rest.views.base import MOST, View, limit
from jobs.dialects.rest.wire import jobs as jobs_wire
from jobs.errors import Invalid
from jobs.events import CursorUnknown, feed, job_events
from jobs.live import let_go
from jobs.models import Job

SSE = "text/event-stream"
LAST_EVENT_ID = {
    "type": "string",
    "pattern": "^[0-9]{0,18}$",
    "title": "the id of an event",
    "description": "Of a stream: the last event that was seen.",
}
STREAM = {
    "type": "string",
    "description": "Server-sent events: `id` and `event` of each are the event's id and type, `data` is the Event as "
    "JSON. Comments keep the connection open; it ends with the job.",
}


class Events(View):
    @operation(
        "listJobEvents",
        "See what happened to a job",
        tag="Jobs",
        query={
            "after": whole(0, 2**62, default=0, description="The id of the last event that is known."),
            "limit": limit(MOST),
        },
        headers={"Last-Event-ID": LAST_EVENT_ID},
        answers={200: Answer("A page of events, or a stream.", schemas.EVENTS, media={SSE: STREAM})},
        refusals=("job_not_found", "not_found"),
    )
    def get(self, request: Request, job_id: UUID) -> Response | StreamingHttpResponse:
        """Pages of JSON, or with `Accept: text/event-stream` a stream: first what happened, then what happens."""
        row = self.job(job_id)
        if SSE in request.headers.get("Accept", ""):
            return self.stream(request, row)
        most = self.query["limit"]
        events = job_events(row.pk, after=self.query["after"], limit=most + 1)
        return Response({"data": [jobs_wire.event(e) for e in events[:most]], "has_more": len(events) > most})

    def stream(self, request: Request, row: Job) -> StreamingHttpResponse:
        last = request.headers.get("Last-Event-ID", "") or str(self.query["after"])
        live = isinstance(request._request, ASGIRequest)  # noqa: SLF001  the way to Django's own
        frames = (stream.follow if live else stream.now)(self.caller, row, int(last))
        answer = StreamingHttpResponse(frames, headers={"Content-Type": SSE, "Cache-Control": "no-cache"})
        answer["X-Accel-Buffering"] = "no"
        let_go()
        return answer


class Feed(View):
    @operation(
        "listEvents",
        "Follow all jobs",
        tag="Events",
        query={
            "after": {
                "type": "string",
                "pattern": r"^([0-9]{1,18}\.[0-9]{1,18})?$",
                "default": "",
                "description": "The `next` of an earlier answer; empty to begin.",
            },
            "limit": limit(MOST),
        },
        answers={200: Answer("What happened since.", schemas.FEED)},
    )
    def get(self, request: Request) -> Response:
        """Every event of the organization's jobs, so that a lost webhook is never lost data."""
        limit = self.query["limit"]
        try:
            rows, cursor = feed(self.caller.organization.pk, after=self.query["after"], limit=limit)
        except CursorUnknown:
            message = "after must be the `next` of an earlier answer, or empty to begin."
            raise Invalid("parameter_invalid", message, field="after") from None
        return Response(
            {"data": [jobs_wire.event(row) for row in rows], "next": cursor, "has_more": len(rows) == limit}
        )
