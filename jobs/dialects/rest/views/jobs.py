"""Quotes and jobs: order, list, look, cancel, delete, order again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Organization
from jobs import gallery, snapshots
from jobs.cancel import cancel
from jobs.dialects.rest import receipts
from jobs.dialects.rest.contract import Answer, operation
from jobs.dialects.rest.errors import INPUT_CODES, MONEY_CODES
from jobs.dialects.rest.reading import shown, told
from jobs.dialects.rest.schemas import jobs as schemas
from jobs.dialects.rest.schemas.parts import Schema, text
from jobs.dialects.rest.views.base import View, limit
from jobs.dialects.rest.wire import jobs as jobs_wire
from jobs.dialects.rest.wire import lists as lists_wire
from jobs.dialects.rest.wire import orders as orders_wire
from jobs.dialects.rest.wire.preferences import LONGEST_WAIT, wait_of
from jobs.errors import Conflict, NotFound
from jobs.models import Job, JobQuerySet
from jobs.submit import QUOTE_SECONDS, offer, same_again, submit
from jobs.waiting import Outcome, wait_final

ORDER_CODES = (*INPUT_CODES, *MONEY_CODES, "model_unknown", "parameter_missing")
QUOTE_CODES = ("quote_expired", "quote_invalid", "quote_mismatch", "quote_outdated")
MISSING = ("job_not_found", "not_found")
LOCATION: Mapping[str, Schema] = {
    "Location": {"type": "string", "format": "uri-reference", "description": "Where to look at it."}
}
ACCEPTED = Answer("The job, accepted.", schemas.JOB, headers=LOCATION)
PREFER = {
    "Prefer": text(
        1000,
        description=f"`wait=N` (RFC 7240): answer when the job has ended, or after N seconds, {LONGEST_WAIT} at most. "
        "`Preference-Applied` says that it was done; where too many wait already, the answer comes at once.",
    )
}


class WaitingView(View):
    def waited(self, job_id: UUID) -> dict[str, str]:
        """Waits for the job's end if the client would; the headers that say so."""
        seconds = wait_of(self.request.headers.get("Prefer", ""))
        if not seconds:
            return {}
        request = self.request._request  # noqa: SLF001  the way to Django's own
        outcome = wait_final(self.caller.organization.pk, job_id, request, seconds)
        return {} if outcome is Outcome.FULL else {"Preference-Applied": f"wait={seconds}"}


class Jobs(WaitingView):
    @operation(
        "createJob",
        "Order a video",
        tag="Jobs",
        body=schemas.ORDER,
        headers=PREFER,
        answers={
            202: ACCEPTED,
            200: Answer("The job, which ended while you waited.", schemas.JOB, headers=LOCATION),
        },
        refusals=(*ORDER_CODES, *QUOTE_CODES, "input_unsuitable", "no_route"),
    )
    def post(self, request: Request) -> Response:
        """The price is set aside and the job queued, or nothing happens at all. Look at the job until it has ended,
        follow its events, be told by webhook, or wait here with `Prefer: wait=60`.
        """
        key = request.headers.get("Idempotency-Key", "")
        row = submit(self.caller, orders_wire.to_request(self.body, key))
        waited = self.waited(row.pk)
        if waited:
            row = Job.objects.get(pk=row.pk)
        headers = {"Location": f"/v1/jobs/{row.id}", **waited}
        return Response(self.shown(row), status=200 if row.final else 202, headers=headers)

    @operation(
        "listJobs",
        "List jobs",
        tag="Jobs",
        query={**schemas.FILTERS, "limit": limit()},
        answers={200: Answer("A page of jobs, the newest first.", schemas.JOBS)},
    )
    def get(self, request: Request) -> Response:
        """Filters narrow each other. Give `next` as `after` to read on."""
        most = self.query["limit"]
        page = list(narrowed(self.caller.organization, lists_wire.wanted(self.query))[: most + 1])
        data = shown(page[:most])
        more = len(page) > most
        return Response({"data": data, "has_more": more, "next": data[-1]["id"] if more else None})


def narrowed(organization: Organization, wanted: lists_wire.Wanted) -> JobQuerySet:
    """The organization's jobs that pass every filter, newest first."""
    rows = Job.objects.for_org(organization).visible()
    plain = {"status": wanted.status, "model": wanted.model, "key": wanted.key, "pk__lt": wanted.after}
    rows = rows.filter(**{name: value for name, value in plain.items() if value})
    if wanted.tag:
        rows = rows.tagged(organization, wanted.tag)
    return rows.created(after=wanted.created_after, before=wanted.created_before).order_by("-id")


class Quotes(View):
    write_scope = "jobs:read"

    @operation(
        "createQuote",
        "Ask for a price",
        tag="Quotes",
        body=schemas.ORDER,
        answers={201: Answer("The price.", schemas.QUOTE)},
        refusals=(*ORDER_CODES, "quote_needs_files", "input_unsuitable", "no_route"),
    )
    def post(self, request: Request) -> Response:
        """The price of an order, line by line, binding for a quarter of an hour. Free units count as they are left now;
        an order that finds fewer is refused instead of costing more.
        """
        offered = offer(self.caller, orders_wire.to_request(self.body, ""))
        return Response(jobs_wire.quote(offered, QUOTE_SECONDS), status=201)


class OneJob(WaitingView):
    @operation(
        "getJob",
        "Look at a job",
        tag="Jobs",
        headers=PREFER,
        answers={200: Answer("The job.", schemas.JOB)},
        refusals=MISSING,
    )
    def get(self, request: Request, job_id: UUID) -> Response:
        headers = self.waited(job_id) if "Prefer" in request.headers else {}
        seen = snapshots.read(self.caller.organization.pk, job_id)
        if seen is None or seen.job.deleted_at:
            raise NotFound("job_not_found", "There is no such job.")
        return Response(told(seen), headers=headers)

    @operation(
        "deleteJob",
        "Delete a job",
        tag="Jobs",
        answers={204: Answer("It is gone, and so are its outputs.")},
        refusals=(*MISSING, "job_not_ended"),
    )
    def delete(self, request: Request, job_id: UUID) -> Response:
        self.job(job_id)
        if not gallery.delete_jobs(self.caller, [job_id]):
            raise Conflict("job_not_ended", "A job can be deleted when it has ended; cancel it first.")
        return Response(status=204)


class Cancel(View):
    @operation(
        "cancelJob",
        "Cancel a job",
        tag="Jobs",
        answers={200: Answer("The job, canceled or on its way there.", schemas.JOB)},
        refusals=(*MISSING, "job_ended"),
    )
    def post(self, request: Request, job_id: UUID) -> Response:
        """At once while it waits, within seconds while it renders. What has not succeeded costs nothing."""
        return Response(self.shown(cancel(self.caller, self.job(job_id))))


class Retry(View):
    @operation(
        "retryJob",
        "Order a job again",
        tag="Jobs",
        answers={202: ACCEPTED},
        refusals=(*MISSING, *ORDER_CODES, "job_not_ended", "input_unsuitable", "no_route"),
    )
    def post(self, request: Request, job_id: UUID) -> Response:
        """The same order again as a new job, priced anew; the one that ended stays as it is."""
        row = self.job(job_id)
        if not row.final:
            raise Conflict(
                "job_not_ended", "The job is still at work; it can be ordered again when it has ended."
            )
        key = request.headers.get("Idempotency-Key", "")
        again = submit(self.caller, replace(same_again(row), idempotency_key=key, tell_place=True))
        return Response(self.shown(again), status=202, headers={"Location": f"/v1/jobs/{again.id}"})


class Receipt(View):
    @operation(
        "getReceipt",
        "See what a job was made of",
        tag="Jobs",
        answers={200: Answer("The receipt.", schemas.RECEIPT)},
        refusals=MISSING,
    )
    def get(self, request: Request, job_id: UUID) -> Response:
        return Response(receipts.receipt(self.job(job_id)))
