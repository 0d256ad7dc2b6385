"""Submit, result, history, delete."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.auth import needs
from jobs import gallery
from jobs.cancel import cancel_and_delete
from jobs.dialects.wavespeed import predictions
from jobs.dialects.wavespeed.views.base import View, known_model, success
from jobs.dialects.wavespeed.wire import bodies as wire
from jobs.dialects.wavespeed.wire.models import slug_of
from jobs.dialects.wavespeed.wire.predictions import statuses, timed_out
from jobs.dialects.wavespeed.wire.submissions import submission
from jobs.errors import NotFound
from jobs.models import Job
from jobs.states import OPEN
from jobs.submit import submit
from jobs.waiting import Outcome, wait_final
from providers import catalogue


class Submit(View):
    """Any path that is nothing else: a model's."""

    permission_classes = [needs("jobs:write")]

    def post(self, request: Request, path: str) -> Response:
        wanted = submission(
            known_model(path),
            request.data,
            webhook=request.query_params.get("webhook", ""),
            idempotency_key=request.headers.get("Idempotency-Key", ""),
        )
        job = submit(self.caller, wanted.request)
        if wanted.sync:
            return success(self.waited_for(job))
        return success(predictions.shown(job))

    def waited_for(self, job: Job) -> dict[str, Any]:
        seconds = settings.WAVESPEED_SYNC_SECONDS
        outcome = wait_final(job.organization_id, job.pk, self.request._request, seconds)  # noqa: SLF001  the way to Django's own
        if outcome is Outcome.ENDED:
            return predictions.shown(Job.objects.get(pk=job.pk))
        late = f"the video was not finished within {seconds} s."
        reason = late if outcome is Outcome.LATE else "too many requests are waiting here already."
        return timed_out(predictions.shown(job), reason)

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Response:
        if slug_of(kwargs.get("path", ""), catalogue.models()) is None:
            raise NotFound("not_found", "There is nothing at this address.")
        raise MethodNotAllowed(str(request.method))


class Result(View):
    permission_classes = [needs("jobs:read")]

    def get(self, request: Request, prediction_id: str) -> Response:
        return success(predictions.told(predictions.find(self.caller, prediction_id)))


class History(View):
    permission_classes = [needs("jobs:read")]

    def post(self, request: Request) -> Response:
        page, size = wire.page(self.body)
        rows = Job.objects.for_org(self.caller.organization).visible()
        if model := wire.text(self.body, "model"):
            rows = rows.filter(model=slug_of(model, catalogue.models()) or "")
        if status := wire.text(self.body, "status"):
            rows = rows.filter(status__in=statuses(status))
        if after := wire.moment(self.body, "created_after"):
            rows = rows.filter(created_at__gte=after)
        if before := wire.moment(self.body, "created_before"):
            rows = rows.filter(created_at__lt=before)
        found = list(rows.order_by("-id")[(page - 1) * size : page * size])
        return success({"page": page, "items": predictions.page(found, inline=False)})


class Delete(View):
    """One still at work is canceled first: the wire has no other word for it."""

    permission_classes = [needs("jobs:write")]

    def post(self, request: Request) -> Response:
        ids = wire.ids(self.body)
        jobs = Job.objects.for_org(self.caller.organization).visible().filter(pk__in=ids, status__in=OPEN)
        canceled = sum(cancel_and_delete(self.caller, job) for job in jobs)
        return success({"deleted_count": canceled + gallery.delete_jobs(self.caller, ids)})
