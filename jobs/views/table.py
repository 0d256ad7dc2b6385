"""The table of an organization's jobs: state, cost, who ordered what and when, kept up to date while one looks at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_GET

from accounts.tenancy import Caller, org_view
from jobs import browse
from jobs.live import let_go
from jobs.models import Asset, Job
from jobs.states import Status
from jobs.views import following, words
from jobs.views.asked import an_id, partly
from jobs.views.gallery_form import FilterForm

PAGE = 20


@dataclass(frozen=True)
class Row:
    """A job as the table shows it. `by`: the person, or the key's name."""

    job: Job
    path: str
    name: str
    short: str
    when: tuple[str, str]
    state: str
    tone: str
    percent: int | None
    price: str
    length: str
    poster: str
    model: str
    by: str = ""
    failed: bool = False
    why: str = ""


@require_GET
@org_view("jobs:read")
def job_list(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The page; for htmx, which changes a filter, the rows alone."""
    form = FilterForm(caller, request.GET)
    context = {"section": "jobs", "form": form, **_rows(request, caller, form)}
    answer = render(request, "jobs/_rows.html" if partly(request) else "jobs/list.html", context)
    patch_vary_headers(answer, ["HX-Request"])
    return answer


@require_GET
@org_view("jobs:read")
def job_rows(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The rows alone. They ask for themselves again as long as something in them can still change."""
    return render(request, "jobs/_rows.html", _rows(request, caller, FilterForm(caller, request.GET)))


@require_GET
@org_view("jobs:read")
def job_news(request: HttpRequest, caller: Caller) -> StreamingHttpResponse:
    """Server-sent events: a word whenever the table should be asked for again."""
    session, name = request.session, request.session.session_key or ""

    def signed_in() -> bool:
        return bool(session.exists(name))

    # A server of threads keeps none for a stream: it tells the browser to come back, and the rows to ask by themselves.
    live = isinstance(request, ASGIRequest)
    frames = following.follow_all(caller, signed_in) if live else [following.LATER]
    answer = StreamingHttpResponse(
        frames, headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
    )
    answer["X-Accel-Buffering"] = "no"
    let_go()
    return answer


def _rows(request: HttpRequest, caller: Caller, form: FilterForm) -> dict[str, Any]:
    before = an_id(request.GET.get("before"))
    wanted = form.wanted
    page = browse.page(caller, wanted, before=before, size=PAGE, related=("user", "key"))
    posters = _posters(page.jobs)
    kept = request.GET.copy()
    kept.pop("before", None)
    return {
        "rows": [row(job, posters.get(job.pk, ""), by=_by(job)) for job in page.jobs],
        "live": any(not job.final for job in page.jobs),
        "before": before,
        "older": page.older,
        "back_to": page.back_to,
        "filtered": bool(wanted),
        "kept": kept.urlencode(),
        "address": request.GET.urlencode(),
        "can_write": caller.can("jobs:write"),
        "base_url": settings.PUBLIC_URL,
    }


def row(job: Job, poster: str, *, by: str = "") -> Row:
    state, tone = words.state(job)
    return Row(
        job=job,
        path=f"/jobs/{job.pk}",
        name=words.title(job),
        short=words.short(words.title(job), 70),
        when=words.moment(job.created_at),
        state=state,
        tone=tone,
        percent=words.percent(job),
        price=words.price(job),
        length=words.length(job.length_ms),
        poster=poster,
        model=words.model(job),
        by=words.short(by or "—", 60),
        failed=job.final and job.status != Status.SUCCEEDED,
        why=words.short(job.error_message, 80),
    )


def _by(job: Job) -> str:
    if job.user:
        return job.user.get_short_name()
    return job.key.name if job.key else ""


def _posters(jobs: Sequence[Job]) -> dict[UUID, str]:
    """Poster addresses by job, in one query."""
    posters = Asset.objects.live().filter(job__in=jobs, role="poster")
    return {poster.job_id: following.address(poster) for poster in posters if poster.job_id}
