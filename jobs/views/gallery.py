"""The gallery: a grid of posters that goes on as one scrolls, and what is done with several videos at once.

Every button works as a plain form; with htmx the page stays where it is and only the cards change.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core.handlers.asgi import ASGIRequest
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_POST

from accounts.tenancy import Caller, org_view
from jobs import browse, gallery, packing
from jobs.errors import Invalid, JobError
from jobs.models import Asset, Job
from jobs.views import words
from jobs.views.asked import an_id, partly
from jobs.views.following import address
from jobs.views.gallery_form import FilterForm

PAGE = 24
PAGES = "/jobs"
MOST_CHOSEN = 200
# A name in the archive: as much of the prompt as a file's name bears.
NAME = 60
UNFIT = re.compile(r"[^\w-]+")


@dataclass(frozen=True)
class Card:
    """A job as the grid shows it. `film` moves under the pointer; `when` is a time for machines and for people."""

    id: str
    path: str
    name: str
    when: tuple[str, str]
    tags: list[tuple[str, str]]
    state: str
    tone: str
    percent: int | None
    price: str
    length: str
    poster: str
    film: str
    starred: bool
    left: str
    left_tone: str
    chosen: bool = field(default=False)


# --- the grid ---


@require_GET
@org_view("jobs:read")
def grid(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The page; for htmx the grid alone."""
    form = FilterForm(caller, request.GET)
    context = {"section": "videos", "form": form, "tags": form.tags, **_batch(request, caller, form)}
    answer = render(request, "gallery/_found.html" if partly(request) else "gallery/page.html", context)
    patch_vary_headers(answer, ["HX-Request"])
    return answer


@require_GET
@org_view("jobs:read")
def more(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The next cards, for whoever scrolls to the end."""
    form = FilterForm(caller, request.GET)
    return render(request, "gallery/_cards.html", _batch(request, caller, form))


@require_GET
@org_view("jobs:read")
def news(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The named cards as they are now; those that are under way ask again."""
    jobs = _named(request.GET.getlist("job")[:MOST_CHOSEN], caller)
    context = {"cards": _cards(caller, jobs), "open": _open(jobs), "can_write": caller.can("jobs:write")}
    return render(request, "gallery/_news.html", context)


def _batch(request: HttpRequest, caller: Caller, form: FilterForm) -> dict[str, Any]:
    before = an_id(request.GET.get("before"))
    wanted = form.wanted
    page = browse.page(caller, wanted, before=before, size=PAGE)
    kept = request.GET.copy()
    kept.pop("before", None)
    return {
        "cards": _cards(caller, page.jobs),
        "open": _open(page.jobs),
        "older": page.older,
        "back_to": page.back_to,
        "before": before,
        "filtered": bool(wanted),
        "kept": kept.urlencode(),
        "can_write": caller.can("jobs:write"),
        "base_url": settings.PUBLIC_URL,
        "most": MOST_CHOSEN,
    }


def _open(jobs: Sequence[Job]) -> list[UUID]:
    return [job.pk for job in jobs if not job.final]


def _cards(caller: Caller, jobs: Sequence[Job], *, chosen: bool = False) -> list[Card]:
    """Two statements, however many they are."""
    if not jobs:
        return []
    outputs: dict[UUID, dict[str, Asset]] = {}
    for asset in Asset.objects.live().filter(job__in=jobs, origin=Asset.Origin.OUTPUT):
        assert asset.job_id
        outputs.setdefault(asset.job_id, {})[asset.role] = asset
    starred = browse.starred(caller, jobs)
    return [_card(job, outputs.get(job.pk, {}), starred=job.pk in starred, chosen=chosen) for job in jobs]


def _card(job: Job, files: dict[str, Asset], *, starred: bool, chosen: bool) -> Card:
    state, tone = words.state(job)
    video, poster = files.get("video"), files.get("poster")
    film = files.get("preview") or video
    left, left_tone = words.left(video.expires_at if video else None, timezone.now())
    return Card(
        id=str(job.pk),
        path=f"{PAGES}/{job.pk}",
        name=words.short(words.title(job)),
        when=words.moment(job.created_at),
        tags=[(tag, urlencode({"tag": tag})) for tag in job.tags],
        state=state,
        tone=tone,
        percent=words.percent(job),
        price=words.price(job),
        length=words.length(job.length_ms) if video or not job.final else "",  # of what there is, or will be
        poster=address(poster) if poster else "",
        film=address(film) if film else "",
        starred=starred,
        left=left,
        left_tone=left_tone,
        chosen=chosen,
    )


# --- one video ---


@require_POST
@org_view("jobs:read")
def star(request: HttpRequest, caller: Caller, job_id: UUID) -> HttpResponse:
    """Everybody has favourites of their own; a second press takes the star off."""
    job = get_object_or_404(Job.objects.for_org(caller.organization).visible(), pk=job_id)
    starred = job.pk in browse.starred(caller, [job])
    (browse.unstar if starred else browse.star)(caller, job)
    if not partly(request):
        return _back(request)
    context = {"id": job.pk, "path": f"{PAGES}/{job.pk}", "starred": not starred}
    return render(request, "gallery/_star.html", context)


@require_POST
@org_view("jobs:write")
def job_tag(request: HttpRequest, caller: Caller, job_id: UUID) -> HttpResponse:
    """On the video's own page."""
    job = get_object_or_404(Job.objects.for_org(caller.organization).visible(), pk=job_id)
    off = request.POST.get("off", "")
    try:
        if off:
            browse.untag(caller, [job.pk], off)
        else:
            browse.tag(caller, [job.pk], request.POST.get("tag", ""))
    except JobError as refusal:
        messages.error(request, refusal.message)
    return HttpResponseRedirect(reverse("job", args=[job.pk]) + "#tags")


# --- several ---


@require_POST
@org_view("jobs:write")
def tag(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Puts a tag on the chosen, or takes it off."""
    name = request.POST.get("tag", "").strip()
    off = "off" in request.POST
    try:
        ids = [job.pk for job in _chosen(request.POST.getlist("job"), caller)]
        jobs = (browse.untag if off else browse.tag)(caller, ids, name)
    except JobError as refusal:
        return _told(request, caller, refusal.message, bad=True)
    verb = "taken off" if off else "put on"
    return _told(request, caller, f"“{name}” is {verb} {_videos(len(jobs))}.", changed=jobs)


@require_POST
@org_view("jobs:write")
def delete(request: HttpRequest, caller: Caller) -> HttpResponse:
    try:
        jobs = _chosen(request.POST.getlist("job"), caller)
    except Invalid as refusal:
        return _told(request, caller, refusal.message, bad=True)
    ended = [job.pk for job in jobs if job.final]
    deleted = gallery.delete_jobs(caller, ended)
    told = f"{_videos(deleted).capitalize()} deleted."
    if left := len(jobs) - len(ended):
        told += f" {_videos(left).capitalize()} under way: cancel first, then delete."
    return _told(request, caller, told, bad=not deleted, gone=ended)


@require_POST
@org_view("jobs:read")
def archive(request: HttpRequest, caller: Caller) -> HttpResponseBase:
    """The chosen videos as one file, written while it is sent."""
    try:
        entries = _entries(_chosen(request.POST.getlist("job"), caller))
    except Invalid as refusal:
        messages.error(request, refusal.message)
        return _back(request)
    if not entries:
        messages.error(request, "None of these has a video to download.")
        return _back(request)
    pieces = packing.packed(entries)
    live = isinstance(request, ASGIRequest)
    answer = StreamingHttpResponse(_from_thread(pieces) if live else pieces, content_type="application/zip")
    answer["Content-Disposition"] = 'attachment; filename="videos.zip"'
    answer["Cache-Control"] = "no-store"
    return answer


async def _from_thread(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Off the event loop; a plain iterator would be gathered in memory."""
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece


def _entries(jobs: Sequence[Job]) -> list[packing.Entry]:
    """The videos of these, named by their prompts; where two are alike the later ones are numbered."""
    by_job = {job.pk: job for job in jobs}
    videos = Asset.objects.live().filter(job__in=jobs, origin=Asset.Origin.OUTPUT, role="video")
    entries, taken = [], Counter[str]()
    for video in videos.order_by("-job_id"):
        assert video.job_id
        name = UNFIT.sub("-", words.title(by_job[video.job_id]))[:NAME].strip("-") or "video"
        taken[name] += 1
        number = f"-{taken[name]}" if taken[name] > 1 else ""
        entries.append(packing.Entry(f"{name}{number}.mp4", video.key, video.bytes, video.created_at))
    return entries


def _chosen(raw: Sequence[str], caller: Caller) -> list[Job]:
    """Raises Invalid where there are too many: a part of them is not what was asked for."""
    if len(raw) > MOST_CHOSEN:
        message = f"{len(raw)} videos are chosen, and {MOST_CHOSEN} go at once. Choose fewer."
        raise Invalid("parameter_invalid", message, field="job")
    return _named(raw, caller)


def _named(raw: Sequence[str], caller: Caller) -> list[Job]:
    ids = [found for found in map(an_id, raw) if found]
    return list(Job.objects.for_org(caller.organization).visible().filter(pk__in=ids).order_by("-pk"))


def _told(
    request: HttpRequest,
    caller: Caller,
    text: str,
    *,
    bad: bool = False,
    changed: Sequence[Job] = (),
    gone: Sequence[UUID] = (),
) -> HttpResponse:
    """What came of it: a sentence and the cards as they are now; without htmx the page from its top."""
    if not partly(request):
        (messages.error if bad else messages.success)(request, text)
        return _back(request)
    cards = _cards(caller, changed, chosen=True)
    context = {"text": text, "bad": bad, "cards": cards, "gone": gone, "can_write": True}
    return render(request, "gallery/_told.html", context)


def _back(request: HttpRequest) -> HttpResponseRedirect:
    """To the page that the button was on."""
    came = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(came, {request.get_host()}, require_https=request.is_secure()):
        return HttpResponseRedirect(reverse("gallery"))
    there = urlsplit(came)
    return HttpResponseRedirect(f"{there.path}?{there.query}" if there.query else there.path)


def _videos(number: int) -> str:
    return "1 video" if number == 1 else f"{number} videos"
