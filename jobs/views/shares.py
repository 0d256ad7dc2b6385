"""Links to a video: made and revoked by its people, opened by anybody who has one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.address import client_address
from accounts.tenancy import Caller, org_view
from billing.errors import RateLimited
from jobs import shares, storage
from jobs.errors import Conflict, NotFound
from jobs.models import Asset, Job, Share
from jobs.shares import Shared, ShareOver
from jobs.views import pages, words
from jobs.views.share_form import ShareForm

# A browser may ask for the rest of a film at the address that it was led to: long enough to watch it, with a pause.
FILE_SECONDS = 3600
OPENED_SECONDS = 12 * 3600
UNUSABLE = 422
WRONG = "That is not the password of this video."

Opened = Callable[[HttpRequest, str, Shared], HttpResponse]


# --- its people ---


@require_http_methods(["GET", "POST"])
@org_view("jobs:write")
def share_make(request: HttpRequest, caller: Caller, job_id: UUID) -> HttpResponse:
    """The link is in this one answer and nowhere else. A form that cannot be comes back with what was typed."""
    job = _job(caller, job_id)
    if request.method == "GET":  # a refused form that is loaded anew
        return _back(job_id)
    form = ShareForm(request.POST)
    if not form.is_valid():
        return _refused(request, caller, job, form)
    data = form.cleaned_data
    try:
        share, token = shares.make(
            caller, job, life=form.life, title=data["title"], password=data["password"]
        )
    except Conflict as refusal:
        messages.error(request, refusal.message)
        return _refused(request, caller, job, form)
    link = f"{settings.PUBLIC_URL}{reverse('share', args=[token])}"
    context = {"section": "videos", "job": job, "share": share, "link": link}
    response = render(request, "jobs/share_made.html", context)
    add_never_cache_headers(response)
    return response


def _refused(request: HttpRequest, caller: Caller, job: Job, form: ShareForm) -> HttpResponse:
    wrong = next(iter(form.errors), None)
    if wrong in form.fields:
        form.fields[wrong].widget.attrs["autofocus"] = True  # the form is far down the page
    response = pages.page(request, caller, job, share_form=form, status=UNUSABLE)
    add_never_cache_headers(response)
    return response


@require_POST
@org_view("jobs:write")
def share_revoke(request: HttpRequest, caller: Caller, job_id: UUID, share_id: UUID) -> HttpResponse:
    job = _job(caller, job_id)
    share = get_object_or_404(Share.objects.for_org(caller.organization).filter(job=job), pk=share_id)
    shares.revoke(caller, share)
    messages.success(request, "The link no longer works.")
    return _back(job_id)


def _job(caller: Caller, job_id: UUID) -> Job:
    job = get_object_or_404(Job.objects.for_org(caller.organization).visible(), pk=job_id)
    job.organization = caller.organization  # known already
    return job


def _back(job_id: UUID) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("job", args=[job_id]) + "#share")


# --- anybody ---


def by_link(view: Opened) -> Callable[[HttpRequest, str], HttpResponse]:
    """A view of what a link opens. A link that does not says so; no search engine and no cache keeps any of it."""

    @functools.wraps(view)
    def opening(request: HttpRequest, token: str) -> HttpResponse:
        try:
            response = view(request, token, shares.find(token))
        except NotFound:
            response = render(request, "share/over.html", {"unknown": True}, status=404)
        except ShareOver:
            response = render(request, "share/over.html", status=410)
        add_never_cache_headers(response)
        response["X-Robots-Tag"] = "noindex, nofollow"
        return response

    return opening


@require_http_methods(["GET", "HEAD", "POST"])
@by_link
def share_page(request: HttpRequest, token: str, shared: Shared) -> HttpResponse:
    if request.method == "POST":
        return _password(request, token, shared.share)
    if not _opened(request, shared.share):
        return _locked(request)
    if request.method == "GET":
        shares.count(shared.share)
    context = {
        "title": shared.share.title or "A video",
        "video": shared.video,
        "shape": words.shape(shared.video.width, shared.video.height),
        "page": _here("share", token),
        "file": _here("share_video", token),
        "poster": _here("share_poster", token) if shared.poster else "",
        "poster_file": shared.poster,
        "source": urlsplit(_here("share_video", token)).path,
        "poster_source": urlsplit(_here("share_poster", token)).path if shared.poster else "",
        # What is behind a password is not shown to whoever only has the link.
        "told": not shared.share.password,
    }
    return render(request, "share/page.html", context)


@require_safe
@by_link
def share_video(request: HttpRequest, token: str, shared: Shared) -> HttpResponse:
    """To the file, for a few minutes. `?download` saves it."""
    if not _opened(request, shared.share):
        return _locked(request, status=403)
    return _to(shared.video, "?download" if "download" in request.GET else "")


@require_safe
@by_link
def share_poster(request: HttpRequest, token: str, shared: Shared) -> HttpResponse:
    if shared.poster is None:
        raise NotFound("share_unknown", "This video has no poster.")
    if not _opened(request, shared.share):
        return _locked(request, status=403)
    return _to(shared.poster)


def _to(asset: Asset, query: str = "") -> HttpResponse:
    """On the host by which the link was opened: the page's policy trusts only that one."""
    path = urlsplit(storage.asset_url(asset.pk, f"video{_ending(asset)}", seconds=FILE_SECONDS)).path
    return HttpResponseRedirect(path + query)


def _ending(asset: Asset) -> str:
    """Without the file's own name, which may tell of the job."""
    name, dot, ending = asset.filename.rpartition(".")
    return f".{ending}" if name and dot else ""


def _here(name: str, token: str) -> str:
    return f"{settings.PUBLIC_URL}{reverse(name, args=[token])}"


# --- the password ---


def _password(request: HttpRequest, token: str, share: Share) -> HttpResponse:
    try:
        fits = shares.password_fits(
            share, request.POST.get("password", ""), address=client_address(request) or ""
        )
    except RateLimited as refusal:
        response = _locked(request, refusal.message, status=429)
        response["Retry-After"] = str(refusal.retry_after)
        return response
    if not fits:
        return _locked(request, WRONG, status=422)
    opened = redirect("share", token)
    opened.set_signed_cookie(
        _cookie(share),
        "opened",
        salt=_cookie(share),
        max_age=OPENED_SECONDS,
        path=reverse("share", args=[token]),
        secure=request.is_secure(),
        httponly=True,
        samesite="Lax",
    )
    return opened


def _opened(request: HttpRequest, share: Share) -> bool:
    """Without a password, or after it was given in this browser."""
    name = _cookie(share)
    given = request.get_signed_cookie(name, default="", salt=name, max_age=OPENED_SECONDS)
    return not share.password or given == "opened"


def _cookie(share: Share) -> str:
    return f"share-{share.pk.hex}"


def _locked(request: HttpRequest, error: str = "", *, status: int = 200) -> HttpResponse:
    return render(request, "share/locked.html", {"error": error}, status=status)
