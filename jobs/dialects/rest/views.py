"""`/v1`: files, jobs, their events, models, the balance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar
from uuid import UUID

from django.core.handlers.asgi import ASGIRequest
from django.http import StreamingHttpResponse
from rest_framework.parsers import BaseParser
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.auth import needs
from accounts.tenancy import Caller
from billing import ledger, quotes
from jobs import gallery, uploads
from jobs.bodies import BoundedJson, BoundedMultipart
from jobs.cancel import cancel
from jobs.dialects.rest import problems, receipts, stream, webhooks, wire
from jobs.dialects.rest.reading import address, shown
from jobs.errors import Conflict, Invalid, NotFound
from jobs.events import CursorUnknown, feed, job_events
from jobs.live import let_go
from jobs.models import Asset, Job
from jobs.submit import QUOTE_SECONDS, offer, submit
from providers import catalogue, routing

PAGE = 50
MOST = 200
SSE = "text/event-stream"
MAX_ID_DIGITS = 19


class View(APIView):
    """Asks for a scope to read and one to write; words refusals as problems."""

    read_scope: ClassVar[str] = "jobs:read"
    write_scope: ClassVar[str] = "jobs:write"
    parser_classes: Sequence[type[BaseParser]] = [BoundedJson]

    def get_permissions(self) -> list[BasePermission]:
        reading = self.request.method in {"GET", "HEAD", "OPTIONS"}
        return [needs(self.read_scope if reading else self.write_scope)()]

    def get_exception_handler(self) -> Callable[[Exception, Any], Response | None]:
        return problems.answer

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


class Jobs(View):
    def post(self, request: Request) -> Response:
        key = request.headers.get("Idempotency-Key", "")
        row = submit(self.caller, wire.to_request(request.data, key))
        row.refresh_from_db()
        return Response(self.shown(row), status=202, headers={"Location": f"/v1/jobs/{row.id}"})

    def get(self, request: Request) -> Response:
        rows = Job.objects.for_org(self.caller.organization).visible().order_by("-id")
        if status := request.query_params.get("status"):
            rows = rows.filter(status=status)
        if after := request.query_params.get("after"):
            rows = rows.filter(pk__lt=_uuid("after", after))
        limit = _number(request, "limit", PAGE, MOST)
        page = list(rows[: limit + 1])
        data = shown(page[:limit])
        return Response(
            {
                "data": data,
                "has_more": len(page) > limit,
                "next": data[-1]["id"] if len(page) > limit else None,
            }
        )


class Quotes(View):
    """The price of an order, binding for a quarter of an hour."""

    write_scope = "jobs:read"

    def post(self, request: Request) -> Response:
        offered, text = offer(self.caller, wire.to_request(request.data, ""))
        return Response(wire.quote(offered, text, QUOTE_SECONDS), status=201)


class OneJob(View):
    def get(self, request: Request, job_id: UUID) -> Response:
        return Response(self.shown(self.job(job_id)))

    def delete(self, request: Request, job_id: UUID) -> Response:
        self.job(job_id)
        if not gallery.delete_jobs(self.caller.organization, [job_id]):
            raise Invalid("job_not_ended", "A job can be deleted when it has ended; cancel it first.")
        return Response(status=204)


class Cancel(View):
    def post(self, request: Request, job_id: UUID) -> Response:
        return Response(self.shown(cancel(self.caller, self.job(job_id))))


class Retry(View):
    """The same order again as a new job, priced anew; the one that ended stays as it is."""

    def post(self, request: Request, job_id: UUID) -> Response:
        row = self.job(job_id)
        if not row.final:
            raise Conflict(
                "job_not_ended", "The job is still at work; it can be ordered again when it has ended."
            )
        again = submit(self.caller, wire.same_again(row, request.headers.get("Idempotency-Key", "")))
        again.refresh_from_db()
        return Response(self.shown(again), status=202, headers={"Location": f"/v1/jobs/{again.id}"})


class Receipt(View):
    def get(self, request: Request, job_id: UUID) -> Response:
        return Response(receipts.receipt(self.job(job_id)))


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
        after = _number(request, "after", 0, 2**62)
        limit = _number(request, "limit", MOST, MOST)
        events = job_events(row.pk, after=after, limit=limit + 1)
        return Response({"data": [wire.event(e) for e in events[:limit]], "has_more": len(events) > limit})

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
        limit = _number(request, "limit", MOST, MOST)
        try:
            rows, cursor = feed(
                self.caller.organization.pk, after=request.query_params.get("after", ""), limit=limit
            )
        except CursorUnknown:
            message = "after must be the `next` of an earlier answer, or empty to begin."
            raise Invalid("parameter_invalid", message, field="after") from None
        return Response(
            {"data": [wire.event(row) for row in rows], "next": cursor, "has_more": len(rows) == limit}
        )


class Files(View):
    parser_classes = [BoundedMultipart]
    write_scope = "files:write"

    def post(self, request: Request) -> Response:
        file = request.FILES.get("file")
        if file is None:
            raise Invalid("parameter_missing", "Send the file as the multipart field 'file'.", field="file")
        row = uploads.store(self.caller.organization, file=file, filename=file.name or "file", by=self.caller)
        return Response(wire.asset(row, address(row)), status=201)


class OneFile(View):
    def get(self, request: Request, file_id: UUID) -> Response:
        row = Asset.objects.for_org(self.caller.organization).live().filter(pk=file_id).first()
        if row is None:
            raise NotFound("file_not_found", "There is no such file.")
        return Response(wire.asset(row, address(row)))


class Models(View):
    def get(self, request: Request) -> Response:
        organization = self.caller.organization
        prices = quotes.price_list(organization)
        previews = routing.only_previews(organization.pk)
        shown = [
            wire.model(
                entry,
                [wire.price_of(price) for price in prices if price.model == entry.slug],
                preview=entry.slug in previews,
            )
            for entry in catalogue.models().values()
        ]
        return Response({"data": shown})


class WebhookSecret(View):
    """What verifies the webhooks of jobs submitted here; as secret as the key itself."""

    read_scope = "jobs:write"

    def get(self, request: Request) -> Response:
        return Response({"secret": webhooks.signing_secret(self.caller.organization)})


class Balance(View):
    read_scope = "billing:read"

    def get(self, request: Request) -> Response:
        now = ledger.balance(self.caller.organization)
        body = {"available_micros": now.available_micros, "held_micros": now.held_micros, "currency": "USD"}
        return Response(body)


def _number(request: Request, name: str, default: int, most: int) -> int:
    raw = request.query_params.get(name, "")
    if raw == "":
        return default
    if not raw.isdecimal() or not 0 <= int(raw) <= most:
        raise Invalid("parameter_invalid", f"{name} must be a whole number from 0 to {most}.", field=name)
    return int(raw)


def _uuid(name: str, value: str) -> UUID:
    try:
        return UUID(value)
    except ValueError:
        raise Invalid("parameter_invalid", f"{name} must be the id of a job.", field=name) from None
