"""Announce files; list and delete those of a task."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from jobs import gallery, storage
from jobs.dialects.inferencesh import intake, tasks
from jobs.dialects.inferencesh.views.base import View, success
from jobs.dialects.inferencesh.wire import files as wire
from jobs.errors import Conflict
from jobs.models import Asset, Job


class Files(View):
    write_scope = "files:write"

    def post(self, request: Request) -> Response:
        tickets = [intake.announce(self.caller, file) for file in wire.announced(request.data)]
        return success([wire.file(asset, uri=uri(asset), upload_url=url) for asset, url in tickets])


class TaskFiles(View):
    def get(self, request: Request, task_id: str) -> Response:
        job = self.job(task_id)
        rows = {"input": tasks.inputs_of(job), "output": tasks.outputs_of(job)}
        roles = wire.roles(request.query_params.get("role"))
        shown = [wire.task_file(asset, uri=uri(asset), role=role) for role in roles for asset in rows[role]]
        return success(shown)

    def delete(self, request: Request, task_id: str) -> Response:
        job = self.job(task_id)
        roles = wire.roles(request.query_params.get("role"))
        if not job.final:
            raise Conflict("job_not_ended", "Its files can be deleted when the task has ended.")
        deleted: list[str] = []
        skipped: list[dict[str, Any]] = []
        if "input" in roles:
            gone, kept = delete_inputs(job)
            deleted += gone
            skipped += [{"id": name, "reason": "An unfinished task uses it."} for name in kept]
        if "output" in roles:
            rows = tasks.outputs_of(job)
            deleted += [str(asset.pk) for asset in rows]
            gallery.drop(rows)
        return success({"deleted": deleted, "skipped": skipped})


def delete_inputs(job: Job) -> tuple[list[str], list[str]]:
    """Ids of the input files deleted, and of those kept because an unfinished job of the organization needs them."""
    busy = gallery.in_use(job.organization)
    mine = [str(asset.pk) for asset in tasks.inputs_of(job)]
    gone = [name for name in mine if name not in busy]
    gallery.drop(Asset.objects.live().filter(pk__in=gone))
    return gone, [name for name in mine if name in busy]


def uri(asset: Asset) -> str:
    return storage.asset_url(asset.id, asset.filename)
