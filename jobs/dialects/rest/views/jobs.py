"""Quotes and jobs: order, list, look, cancel, delete, order again."""

from __future__ import annotations

from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Organization
from jobs import gallery
from jobs.cancel import cancel
from jobs.dialects.rest import receipts
from jobs.dialects.rest.reading import shown
from jobs.dialects.rest.views.base import MOST, PAGE, View, number
from jobs.dialects.rest.wire import jobs as jobs_wire
from jobs.dialects.rest.wire import lists as lists_wire
from jobs.dialects.rest.wire import orders as orders_wire
from jobs.errors import Conflict, Invalid
from jobs.models import Job, JobQuerySet
from jobs.submit import QUOTE_SECONDS, offer, submit
from providers import catalogue


class Jobs(View):
    def post(self, request: Request) -> Response:
        key = request.headers.get("Idempotency-Key", "")
        row = submit(self.caller, orders_wire.to_request(request.data, key))
        row.refresh_from_db()
        return Response(self.shown(row), status=202, headers={"Location": f"/v1/jobs/{row.id}"})

    def get(self, request: Request) -> Response:
        wanted = lists_wire.wanted(request.query_params, catalogue.models())
        limit = number(request, "limit", PAGE, MOST, least=1)
        page = list(narrowed(self.caller.organization, wanted)[: limit + 1])
        data = shown(page[:limit])
        return Response(
            {
                "data": data,
                "has_more": len(page) > limit,
                "next": data[-1]["id"] if len(page) > limit else None,
            }
        )


def narrowed(organization: Organization, wanted: lists_wire.Wanted) -> JobQuerySet:
    """The organization's jobs that pass every filter, newest first."""
    rows = Job.objects.for_org(organization).visible()
    plain = {"status": wanted.status, "model": wanted.model, "key": wanted.key, "pk__lt": wanted.after}
    rows = rows.filter(**{name: value for name, value in plain.items() if value})
    if wanted.tag:
        rows = rows.tagged(organization, wanted.tag)
    return rows.created(after=wanted.created_after, before=wanted.created_before).order_by("-id")


class Quotes(View):
    """The price of an order, binding for a quarter of an hour."""

    write_scope = "jobs:read"

    def post(self, request: Request) -> Response:
        offered, text = offer(self.caller, orders_wire.to_request(request.data, ""))
        return Response(jobs_wire.quote(offered, text, QUOTE_SECONDS), status=201)


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
        again = submit(self.caller, orders_wire.same_again(row, request.headers.get("Idempotency-Key", "")))
        again.refresh_from_db()
        return Response(self.shown(again), status=202, headers={"Location": f"/v1/jobs/{again.id}"})


class Receipt(View):
    def get(self, request: Request, job_id: UUID) -> Response:
        return Response(receipts.receipt(self.job(job_id)))
