"""One job with its player, and what a person can do to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from accounts.tenancy import Caller, org_view
from jobs import browse, gallery, shares
from jobs.cancel import cancel
from jobs.errors import JobError
from jobs.events import job_events
from jobs.inputs import given_files
from jobs.models import Asset, Job
from jobs.views import forms, table, words
from jobs.views.following import address, ahead
from jobs.views.share_form import ShareForm
from providers import catalogue

# --- one job ---


@require_GET
@org_view("jobs:read")
def job_page(request: HttpRequest, caller: Caller, job_id: UUID) -> HttpResponse:
    return page(request, caller, _find(caller, job_id))


def page(
    request: HttpRequest, caller: Caller, job: Job, *, share_form: ShareForm | None = None, status: int = 200
) -> HttpResponse:
    """`share_form`: a refused one, to be mended."""
    context = {
        "section": "videos",
        **_changing(caller, job),
        "inputs": _inputs(caller, job),
        "starred": job.pk in browse.starred(caller, [job]),
    }
    if share_form:
        context["share_form"] = share_form
    return render(request, "jobs/detail.html", context, status=status)


@require_GET
@org_view("jobs:read")
def job_live(request: HttpRequest, caller: Caller, job_id: UUID) -> HttpResponse:
    """The parts of the page that change; when the job has ended the player and the balance too."""
    return render(request, "jobs/_live.html", {"swapped": True, **_changing(caller, _find(caller, job_id))})


@require_GET
@org_view("jobs:read")
def job_log(request: HttpRequest, caller: Caller, job_id: UUID) -> HttpResponse:
    """Every event as a line of text, the small steps too."""
    job = _find(caller, job_id)
    lines = [
        f"{line.at.isoformat(timespec='milliseconds')}  {line.text}\n"
        for line in words.log(job, job_events(job.pk))
    ]
    answer = HttpResponse(lines, content_type="text/plain; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{job.pk}.log"'
    return answer


@require_POST
@org_view("jobs:write")
def job_cancel(request: HttpRequest, caller: Caller, job_id: UUID) -> HttpResponse:
    try:
        cancel(caller, _find(caller, job_id))
    except JobError as refusal:
        messages.error(request, refusal.message)
    return redirect("job", job_id)


@require_POST
@org_view("jobs:write")
def job_delete(request: HttpRequest, caller: Caller, job_id: UUID) -> HttpResponse:
    _find(caller, job_id)
    if not gallery.delete_jobs(caller, [job_id]):
        messages.error(request, "A job can be deleted when it has ended; cancel it first.")
        return redirect("job", job_id)
    messages.success(request, "The video is deleted.")
    return redirect("gallery")


def _find(caller: Caller, job_id: UUID) -> Job:
    job = get_object_or_404(Job.objects.for_org(caller.organization).visible(), pk=job_id)
    job.organization = caller.organization  # known already
    return job


def _changing(caller: Caller, job: Job) -> dict[str, Any]:
    files = Asset.objects.live().filter(job=job, origin=Asset.Origin.OUTPUT)
    outputs = {asset.role: asset for asset in files}
    video, poster = outputs.get("video"), outputs.get("poster")
    can_write = caller.can("jobs:write")
    kept, kept_tone = words.left(video.expires_at if video else None, timezone.now())
    return {
        "row": table.row(job, address(poster) if poster else ""),
        "job": job,
        "model": words.model(job),
        "known": job.model in catalogue.models(),
        "video": video,
        "video_url": address(video) if video else "",
        "shape": words.shape(video.width, video.height) if video else "",
        "kept": kept,
        "kept_tone": kept_tone,
        "ahead": "" if job.final else words.ahead(job, **ahead(job)),
        "timeline": words.timeline(job, job_events(job.pk)),
        "advice": words.advice(job),
        "settings": words.settings(job),
        "receipt": words.receipt(job),
        "can_write": can_write,
        "share_form": ShareForm() if video and can_write else None,
        "shared": shares.working(job) if video and can_write else [],
    }


@dataclass(frozen=True)
class Given:
    """A file that went into a job. One that is gone has no address; what is only an address yet has that as its name."""

    noun: str
    kind: str
    name: str
    length: str
    address: str


def _inputs(caller: Caller, job: Job) -> list[Given]:
    """In the catalogue's order."""
    model = catalogue.models().get(job.model)
    files = given_files(caller.organization, job)
    order = list(model.inputs) if model else []
    found = []
    for role, source in sorted(job.inputs.items(), key=lambda given: _place(order, given[0])):
        file = files.get(role)
        kind = file.kind if file else (model.inputs[role].kind if model and role in model.inputs else "")
        found.append(
            Given(
                noun=forms.NOUNS.get(kind, role),
                kind=kind,
                name=file.filename if file else source.get("url", ""),
                length=words.length(file.duration_ms) if file else "",
                address=address(file) if file else "",
            )
        )
    return found


def _place(order: list[str], role: str) -> int:
    return order.index(role) if role in order else len(order)
