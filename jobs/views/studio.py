"""The studio: one page for every model of the catalogue, and what its scripts ask for. Each calls one verb."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, BinaryIO
from uuid import UUID

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.shortcuts import get_object_or_404, render
from django.utils.module_loading import import_string
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.models import BillingMode
from accounts.tenancy import Caller, org_view
from billing import context, ledger, quotes
from billing.models import Unit
from billing.money import format_usd
from jobs import gallery, snapshots, storage, uploads
from jobs.cancel import cancel
from jobs.detect import OURS, detect
from jobs.errors import Conflict, Invalid, NotFound
from jobs.inputs import given_files
from jobs.live import let_go
from jobs.models import Asset, Job
from jobs.submit import MAX_SEED, Offer, known_model, offer, submit
from jobs.types import Example, JobRequest, Sample
from jobs.views import answers, following, forms
from jobs.views.asked import an_id
from providers import catalogue, routing

DIALECT = "rest"
MOST_VARIANTS = 4
PAGE = 24
MOST_NAMED = 10
CHUNK = 256 * 1024
KINDS = ("image", "audio", "video")
# What the shown files of these roles are is no input for anything.
UNUSABLE = ("preview",)
RATIOS = ("", "1:1", "3:4")
GONE = "This file is not here any more."
SAMPLES = {"image": "studio/portrait.jpg", "audio": "studio/voice.mp3", "video": "landing/sample.mp4"}


# --- pages ---


@require_GET
@org_view("jobs:write")
def chooser(request: HttpRequest, caller: Caller) -> HttpResponse:
    """What can be made, and from which price on."""
    least = _least_prices(caller)
    previewed = {entry.preview for entry in catalogue.models().values()}
    cards = [
        {
            "model": entry,
            "summary": _summary(entry),
            "slots": forms.slots(entry),
            "least": least[entry.slug],
        }
        for entry in catalogue.models().values()
        if entry.slug in least and entry.slug not in previewed
    ]
    only = routing.only_previews(caller.organization.pk)
    return render(request, "studio/chooser.html", {"section": "studio", "cards": cards, "previews": only})


@require_GET
@org_view("jobs:write")
def model_page(request: HttpRequest, caller: Caller, slug: str) -> HttpResponse:
    """Empty, or filled in like the job that `?from=` names."""
    model = _model(slug)
    asked = an_id(request.GET.get("from"))
    job = _find(caller, asked) if asked else None
    fields = forms.fields(model, given=job.options if job else {})
    preview = catalogue.models().get(model.preview)
    shown = {
        "section": "studio",
        "model": model,
        "models": [entry for entry in catalogue.models().values() if not entry.per_hour],
        "slots": forms.slots(model),
        "shown": [field for field in fields if not field.folded and not field.detected],
        "folded": [field for field in fields if field.folded and not field.detected],
        "boxes": [field for field in fields if field.detected],
        "has_seed": any(field.name == "seed" for field in fields),
        "variants": range(1, MOST_VARIANTS + 1),
        "preview": preview,
        "preview_seconds": preview.inputs[preview.length_from].max_ms // 1000 if preview else 0,
        "only_preview": model.slug in routing.only_previews(caller.organization.pk),
        "samples": {slot.kind: SAMPLES[slot.kind] for slot in forms.slots(model) if slot.kind in SAMPLES},
        "most_bytes": settings.UPLOAD_MAX_BYTES,
        "most_seed": MAX_SEED,
        "like": job,
        "given": {role: _file(file) for role, file in given_files(caller.organization, job).items()}
        if job
        else {},
    }
    return render(request, "studio/model.html", shown)


def _summary(model: catalogue.Model) -> str:
    """Its first sentence."""
    return model.description.partition(". ")[0].rstrip(".") + "."


def _least_prices(caller: Caller) -> dict[str, str]:
    """The lowest price of a second, by model."""
    least: dict[str, int] = {}
    for price in quotes.price_list(caller.organization):
        if price.unit == Unit.SECOND:
            least[price.model] = min(price.micros_per_unit, least.get(price.model, price.micros_per_unit))
    return {slug: format_usd(micros) for slug, micros in least.items()}


def _model(slug: str) -> catalogue.Model:
    try:
        return catalogue.model(slug)
    except catalogue.UnknownModel:
        raise Http404 from None


# --- files ---


@require_http_methods(["GET", "POST"])
@org_view("jobs:write")
@answers.told
def files(request: HttpRequest, caller: Caller) -> HttpResponseBase:
    """POST keeps a file and looks into it; GET is a page of those that are there, for the picker, or the named ones."""
    if request.method == "POST":
        return _upload(request, caller)
    rows = Asset.objects.for_org(caller.organization).live().filter(status=Asset.Status.READY)
    if ids := request.GET.getlist("id"):
        found = rows.in_bulk([_uuid(name) for name in ids[:MOST_NAMED]])
        return JsonResponse({"files": [_file(row) for row in found.values()], "next": None})
    kind = request.GET.get("kind", "")
    if kind not in KINDS:
        raise Invalid("parameter_invalid", f"kind must be one of {', '.join(KINDS)}.", field="kind")
    rows = rows.filter(kind=kind).exclude(role__in=UNUSABLE).order_by("-id")
    if before := request.GET.get("before"):
        rows = rows.filter(pk__lt=_uuid(before))
    page = list(rows[: PAGE + 1])
    more = len(page) > PAGE
    shown = [_file(row) for row in page[:PAGE]]
    return JsonResponse({"files": shown, "next": shown[-1]["id"] if more else None})


def _upload(request: HttpRequest, caller: Caller) -> HttpResponse:
    file = request.FILES.get("file")
    if file is None:
        raise Invalid("parameter_missing", "Send the file as the form field 'file'.", field="file")
    row = uploads.store(caller.organization, file=file, filename=file.name or "file", by=caller)
    return JsonResponse(_file(row), status=201)


@require_http_methods(["GET", "DELETE"])
@org_view("jobs:write")
@answers.told
def file(request: HttpRequest, caller: Caller, file_id: UUID) -> HttpResponseBase:
    """GET is a file's bytes from this very host, wherever files are kept: scripts may only read those of their own host.
    DELETE is for a part that was cut out of a file here, once another takes its place.
    """
    rows = Asset.objects.for_org(caller.organization).live()
    row = rows.filter(pk=file_id, status=Asset.Status.READY).first()
    if row is None:
        raise NotFound("file_not_found", GONE)
    if request.method == "DELETE":
        gallery.delete_file(row)
        return HttpResponse(status=204)
    try:
        opened = storage.open(row.key)
    except FileNotFoundError:
        raise NotFound("file_not_found", GONE) from None
    return StreamingHttpResponse(
        _from_thread(opened) if isinstance(request, ASGIRequest) else iter(lambda: opened.read(CHUNK), b""),
        headers={
            "Content-Type": row.content_type,
            "Content-Length": str(row.bytes),
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "sandbox",
            "Cache-Control": "private, max-age=3600",
        },
    )


async def _from_thread(opened: BinaryIO) -> AsyncIterator[bytes]:
    """Off the event loop; a plain iterator would be gathered in memory."""
    while data := await asyncio.to_thread(opened.read, CHUNK):
        yield data


@require_POST
@org_view("jobs:write")
@answers.told
def verdict(request: HttpRequest, caller: Caller, slug: str) -> HttpResponse:
    """What our detector says of a picture, before anything is paid. The look itself has a price, which is nothing."""
    _model(slug)
    body = answers.body_of(request)
    ratio = answers.text(body, "ratio")
    look = detect(
        caller,
        OURS,
        str(answers.an_id(body, "image")),
        ratio=ratio if ratio in RATIOS else "",
    )
    seen = look.verdict
    return JsonResponse(
        {
            "fit": seen.fit,
            "person": seen.person,
            "face": seen.face,
            "frame": seen.frame,
            "message": seen.message,
            "cost": f"${format_usd(look.charged_micros)}" if look.charged_micros else "free",
        }
    )


# --- the order ---


@require_POST
@org_view("jobs:write")
@answers.told
def quote(request: HttpRequest, caller: Caller, slug: str) -> HttpResponse:
    """The binding price of the order, once for each seed, and whether there is credit for all of them."""
    body = answers.body_of(request)
    seeds = body.get("seeds") or [None]
    if not isinstance(seeds, list) or len(seeds) > MOST_VARIANTS:
        raise Invalid("body_invalid", f"At most {MOST_VARIANTS} variants at once.", field="seeds")
    offers: list[Offer] = []
    for seed in seeds:
        promised = sum(offered.free for offered in offers)
        offers.append(offer(caller, _order(slug, body, seed), promised=promised))
    total = sum(offered.payable_micros for offered in offers)
    free_micros = sum(offered.free_micros for offered in offers)
    first = offers[0].quote
    return JsonResponse(
        {
            "quotes": [offered.text for offered in offers],
            "free_units": free_micros // first.micros_per_unit if free_micros else 0,
            "each": f"${format_usd(first.total_micros)}",
            "total": f"${format_usd(total)}",
            "total_micros": total,
            "units": first.billed_units,
            "rate": f"${format_usd(first.micros_per_unit)}",
            "unit": first.unit,
            **_affordable(caller, total),
        }
    )


def _affordable(caller: Caller, total: int) -> dict[str, Any]:
    """Told early; what decides is the hold."""
    if not total or caller.organization.billing_mode == BillingMode.POSTPAID:
        return {"affordable": True}
    left = ledger.balance(caller.organization).available_micros
    if left >= total:
        return {"affordable": True}
    message = f"This costs ${format_usd(total)}, and ${format_usd(max(left, 0))} of credit is left."
    return {"affordable": False, "message": message, **answers.credit(caller)}


@require_POST
@org_view("jobs:write")
@answers.told
def order(request: HttpRequest, caller: Caller, slug: str) -> HttpResponse:
    body = answers.body_of(request)
    job = submit(caller, _order(slug, body, body.get("seed"), quote=answers.text(body, "quote")))
    return JsonResponse(_state(caller, job.pk), status=202)


@require_POST
@org_view("jobs:write")
@answers.told
def code(request: HttpRequest, caller: Caller, slug: str) -> HttpResponse:
    """The same order as programmes, in every dialect that can say it."""
    body = answers.body_of(request)
    model = known_model(slug)
    names = {role: str(value) for role, value in answers.part(body, "inputs").items() if role in model.inputs}
    ids = {role: _uuid(name) for role, name in names.items()}
    found = Asset.objects.for_org(caller.organization).live().in_bulk(ids.values())
    missing = [role for role, file_id in ids.items() if file_id not in found]
    missing += [role for role, wanted in model.inputs.items() if wanted.required and role not in ids]
    if missing:
        noun = forms.noun(model.inputs[missing[0]])
        raise Invalid("parameter_missing", f"Choose the {noun} first.", field=missing[0])
    sample = Sample(
        model=model.slug,
        files=names,
        addresses={role: storage.asset_url(pk, found[pk].filename) for role, pk in ids.items()},
        options=answers.part(body, "options"),
        base_url=settings.PUBLIC_URL,
    )
    made: list[Example] = []
    for name in settings.DIALECT_EXAMPLES:
        made += import_string(name)(sample)
    shown = [{"name": one.name, "label": one.label, "code": one.code, "needs": one.needs} for one in made]
    return JsonResponse({"examples": shown})


def _order(slug: str, body: Mapping[str, Any], seed: Any, *, quote: str = "") -> JobRequest:
    options = answers.part(body, "options")
    if seed is not None:
        options = {**options, "seed": seed}
    key = answers.text(body, "key", most=100)
    return JobRequest(
        model=slug,
        inputs=answers.part(body, "inputs"),
        options=options,
        dialect=DIALECT,
        idempotency_key=f"studio:{key}" if key else "",
        quote=quote,
    )


# --- a job under way ---


@require_GET
@org_view("jobs:read")
@answers.told
def job_state(request: HttpRequest, caller: Caller, job_id: UUID) -> HttpResponse:
    return JsonResponse(_state(caller, job_id))


@require_GET
@org_view("jobs:read")
def job_stream(request: HttpRequest, caller: Caller, job_id: UUID) -> StreamingHttpResponse:
    """Server-sent events; each is the whole state."""
    _find(caller, job_id)
    session, name = request.session, request.session.session_key or ""

    def signed_in() -> bool:
        return bool(session.exists(name))

    live = isinstance(request, ASGIRequest)
    frames = following.follow(caller, job_id, signed_in) if live else following.now(caller, job_id)
    answer = StreamingHttpResponse(
        frames, headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
    )
    answer["X-Accel-Buffering"] = "no"
    let_go()
    return answer


@require_GET
@org_view("jobs:read")
@answers.told
def job_clip(request: HttpRequest, caller: Caller, job_id: UUID, index: int) -> HttpResponse:
    """A finished clip of a job that still renders, by a short-lived address of the store."""
    found = following.clip_address(_find(caller, job_id), index)
    if found is None:
        raise Conflict("clip_missing", "This clip is not there: not yet, or not any more.")
    answer = HttpResponseRedirect(found)
    answer["Cache-Control"] = "no-store"
    return answer


@require_POST
@org_view("jobs:write")
@answers.told
def job_cancel(request: HttpRequest, caller: Caller, job_id: UUID) -> HttpResponse:
    cancel(caller, _find(caller, job_id))
    return JsonResponse(_state(caller, job_id))


def _state(caller: Caller, job_id: UUID) -> dict[str, Any]:
    seen = snapshots.read(caller.organization.pk, job_id)
    if seen is None or seen.job.deleted_at:
        raise NotFound("job_not_found", "There is no such job.")
    return {**following.state(seen), **_put_in(caller, seen.job), "balance": context.left(caller)}


def _put_in(caller: Caller, job: Job) -> dict[str, str]:
    """The picture that is shown, and the voice that is heard beside silent clips, until there is a film."""
    by_kind = {row.kind: following.address(row) for row in given_files(caller.organization, job).values()}
    return {"still": by_kind.get("image", ""), "voice": by_kind.get("audio", "")}


def _find(caller: Caller, job_id: UUID) -> Job:
    return get_object_or_404(Job.objects.for_org(caller.organization).visible(), pk=job_id)


def _uuid(value: Any) -> UUID:
    try:
        return UUID(str(value))
    except ValueError:
        raise Invalid("parameter_invalid", "This is not the id of a file.") from None


def _file(row: Asset) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "kind": row.kind,
        "name": row.filename,
        "url": following.address(row),
        "duration_ms": row.duration_ms,
        "width": row.width,
        "height": row.height,
        "video": row.role == "video",
    }
