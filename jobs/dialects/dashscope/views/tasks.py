"""Submit, look, cancel, list."""

from __future__ import annotations

from typing import NoReturn

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.auth import HasCaller, needs
from jobs import snapshots, storage
from jobs.cancel import cancel_waiting
from jobs.dialects.dashscope.views.base import View
from jobs.dialects.dashscope.wire import tasks as wire
from jobs.dialects.dashscope.wire.detection import DETECTORS, FACE_DETECT
from jobs.dialects.dashscope.wire.faults import Fault, Refused, invalid, refused
from jobs.dialects.dashscope.wire.models import URL_ERROR
from jobs.dialects.dashscope.wire.submissions import spoken_model, submission
from jobs.models import Job, JobQuerySet
from jobs.snapshots import Snapshot
from jobs.states import Status
from jobs.submit import submit


class VideoSynthesis(View):
    """Asynchronous only, and the header must say so."""

    permission_classes = [needs("jobs:write")]

    def post(self, request: Request) -> Response:
        if not self.enabled("X-DashScope-Async"):
            raise refused(
                403,
                "AccessDenied",
                "This model does not support synchronous calls: send the header X-DashScope-Async: enable.",
            )
        body = self.body
        wanted = submission(
            body,
            spoken_model(body.model, dict.fromkeys(DETECTORS, FACE_DETECT)),
            request_id=self.request_id,
            idempotency_key=request.headers.get("Idempotency-Key", ""),
        )
        job = submit(self.caller, wanted)
        return Response(wire.submitted(job.pk, self.request_id))


class Task(View):
    permission_classes = [needs("jobs:read")]

    def get(self, request: Request, task_id: str) -> Response:
        wanted = wire.read_id(task_id)
        seen = snapshots.read(self.caller.organization.pk, wanted) if wanted else None
        if seen is None or not lives(seen.job):
            return Response(wire.unknown(task_id, self.request_id))
        return Response(wire.task(seen.job, _video(seen), self.request_id))

    def throttled(self, request: Request, wait: float | None) -> NoReturn:
        """Not 429: the SDK waits on after a 503, but ends its wait at a 429 although the task goes on."""
        seconds = max(1, round(wait or 1))
        raise Refused(Fault(503, "Throttling.RateQuota", "You ask too often: wait a moment.", seconds))


class Cancel(View):
    permission_classes = [needs("jobs:write")]

    def post(self, request: Request, task_id: str) -> Response:
        job = find(self, task_id)
        if job is None or not cancel_waiting(job):
            raise refused(
                400, "UnsupportedOperation", "Only a task that is PENDING can be canceled; this one is not."
            )
        return Response({"request_id": self.request_id})


class Tasks(View):
    permission_classes = [needs("jobs:read")]

    def get(self, request: Request) -> Response:
        asked = wire.wanted(request.query_params, timezone.now())
        rows = living(self).filter(created_at__gte=asked.start, created_at__lte=asked.end)
        if asked.task_id:
            rows = rows.filter(pk=asked.task_id)
        if asked.slug:
            rows = rows.filter(model=asked.slug)
        for name, value in (asked.options or {}).items():
            rows = rows.filter(**{f"options__{name}": value})
        if asked.statuses is not None:
            rows = rows.filter(status__in=asked.statuses)
        if asked.nothing:
            rows = rows.none()
        total = rows.count()
        found = list(rows.order_by("-id")[(asked.page - 1) * asked.size : asked.page * asked.size])
        return Response(wire.page(found, total, asked, self.request_id))


class Nothing(View):
    """Every other address: the vendor says the same of all of them."""

    permission_classes = [HasCaller]

    def get(self, request: Request, path: str) -> Response:
        raise invalid(f"{URL_ERROR} There is nothing at /api/v1/{path[:100]}.")

    post = put = patch = delete = get


def living(view: View) -> JobQuerySet:
    """The caller's tasks that this API still knows."""
    rows = Job.objects.for_org(view.caller.organization).visible()
    return rows.filter(created_at__gt=timezone.now() - wire.LIFE)


def find(view: View, text: str) -> Job | None:
    task_id = wire.read_id(text)
    return living(view).filter(pk=task_id).first() if task_id else None


def lives(job: Job) -> bool:
    return job.deleted_at is None and job.created_at > timezone.now() - wire.LIFE


def _video(seen: Snapshot) -> str:
    if seen.job.status != Status.SUCCEEDED:
        return ""
    asset = next((asset for asset in seen.outputs if asset.role == "video"), None)
    return storage.asset_url(asset.id, asset.filename) if asset else ""
