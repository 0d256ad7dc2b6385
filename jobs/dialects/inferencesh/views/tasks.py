"""Run an app; read, follow, cancel and delete a task."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.http import StreamingHttpResponse
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from jobs import gallery
from jobs.cancel import cancel
from jobs.dialects.inferencesh import intake, stream, tasks
from jobs.dialects.inferencesh.views.base import View, success
from jobs.dialects.inferencesh.views.files import delete_inputs
from jobs.dialects.inferencesh.wire import lines, runs
from jobs.dialects.inferencesh.wire import tasks as wire
from jobs.errors import Conflict
from jobs.live import let_go
from jobs.submit import checked_options, submit
from providers import catalogue, routing


class Run(View):
    """Answers at once, whatever `wait` and `stream` say: the SDK gives up after 30 s."""

    def post(self, request: Request) -> Response:
        key = request.headers.get("Idempotency-Key", "")
        wanted = runs.run(request.data, catalogue.models(), idempotency_key=key)
        order, model = wanted.request, catalogue.model(wanted.request.model)
        options = {**order.options}
        if "prompt" in options:
            options["prompt"] = intake.prompt(self.caller, options["prompt"])
        checked_options(model, options)  # before any file is kept
        order = replace(order, inputs=intake.inputs(self.caller, order.inputs, key), options=options)
        job = submit(self.caller, order)
        return success(tasks.shown(job), [*wanted.notices, *self.preview(model.slug)])

    def preview(self, slug: str) -> list[dict[str, str]]:
        if slug not in routing.only_previews(self.caller.organization.pk):
            return []
        text = "No route to the model itself is open: this video will be a preview by our own engine."
        return [runs.notice("info", "preview", text)]


class Task(View):
    def get(self, request: Request, task_id: str) -> Response:
        return success(tasks.told(self.seen(task_id)))

    def delete(self, request: Request, task_id: str) -> Response:
        """The task and its videos, with `files=true` its inputs too. One still at work must be cancelled first."""
        job = self.job(task_id)
        if not gallery.delete_jobs(self.caller, [job.pk]):
            raise Conflict("job_not_ended", "A task can be deleted when it has ended; cancel it first.")
        if request.query_params.get("files") == "true":
            delete_inputs(job)
        return Response(status=204)


class Stream(View):
    """Lines for the SDK, server-sent events for older ones, for curl and for browsers."""

    def get(self, request: Request, task_id: str) -> StreamingHttpResponse:
        job = self.job(task_id)
        content_type = lines.form(request.headers.get("Accept", ""))
        told: tuple[Any, ...] = (lines.line,) if content_type == lines.NDJSON else (lines.event, lines.DONE)
        live = isinstance(request._request, ASGIRequest)  # noqa: SLF001  the way to Django's own
        frames = partial(stream.follow if live else stream.now, self.caller, job, *told)
        answer = StreamingHttpResponse(frames(), headers={"Content-Type": content_type})
        answer["Cache-Control"] = "no-cache"
        answer["X-Accel-Buffering"] = "no"
        let_go()
        return answer


class Cancel(View):
    def post(self, request: Request, task_id: str) -> Response:
        job = cancel(self.caller, self.job(task_id))
        return success({**wire.brief(job, tasks.events_of(job)), "cancelled": True})


class Status(View):
    def get(self, request: Request, task_id: str) -> Response:
        seen = self.seen(task_id)
        return success(wire.brief(seen.job, seen.events))


class Logs(View):
    def get(self, request: Request, task_id: str) -> Response:
        seen = self.seen(task_id)
        return success(wire.task_logs(seen.job, seen.events))


class Timings(View):
    def get(self, request: Request, task_id: str) -> Response:
        seen = self.seen(task_id)
        return success(wire.timings(seen.job, seen.events, timezone.now()))
