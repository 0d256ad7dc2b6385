"""Accept a job: check it, price it, set its money aside, write it down. All or nothing, and nothing slow."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.db import IntegrityError, connection, transaction
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now

from accounts.models import Organization
from accounts.rows import from_json
from accounts.tenancy import Caller
from billing import free, ledger, quotas, quotes, throttles
from billing.errors import BillingError, RateLimited
from billing.models import Unit
from billing.quotes import Line, Quote
from jobs import fetch, prepare, storage
from jobs.accept import Acceptance
from jobs.errors import Conflict, Invalid, NoRoute, Unpayable
from jobs.inputs import FACTS, as_json, check_input
from jobs.models import Asset, Job
from jobs.moderation import verdicts
from jobs.states import OURS, Status
from jobs.types import JobRequest, new_id
from jobs.wake import wake
from providers import catalogue, errors, routing
from providers.base import InputFile
from providers.bounds import Asked

MAX_SEED = 2147483647
QUOTE_SECONDS = 15 * 60
QUOTE_SALT = "jobs.quote"
# Known once the hold is there, which is in the statement before the job's.
FREE_OF_HOLD = "(SELECT free_micros FROM billing_hold WHERE job_id = %s)"
NUL, BACKSLASH = "\\u0000", "\\\\"  # as json.dumps writes the two characters


@dataclass(frozen=True)
class Source:
    """Where one input comes from: a file of ours, or an address still to be fetched."""

    asset: Asset | None = None
    url: str = ""

    def as_json(self) -> dict[str, Any]:
        if self.ready:
            return as_json(self.ready)
        return {"asset": str(self.asset.id)} if self.asset else {"url": self.url}

    @property
    def ready(self) -> Asset | None:
        """The file if it was looked into and found good, so that its length and size are known."""
        return self.asset if self.asset and self.asset.status == Asset.Status.READY else None

    @property
    def settled(self) -> bool:
        """Nothing is to be done before it may be used."""
        return self.ready is not None and not verdicts.lacks(self.ready.kind, self.ready.moderation)


def submit(caller: Caller, request: JobRequest) -> Job:
    """The accepted job: `queued` when all inputs are known, `preparing` when some must still be fetched.

    The same idempotency key returns the first job. Raises jobs.errors (Invalid, Conflict, NoRoute, Unpayable) and
    billing.errors.RateLimited; whatever is raised, nothing was written and nothing is charged.
    """
    check_text(request)
    digest = request_hash(request)
    known = look_up(caller.organization, request)
    if known.earlier:
        return _same(known.earlier, digest)
    _may_ask(caller, request.model)
    model, options, sources = examined(caller.organization, request, known.files)
    length_ms = known_length(model, sources)
    own_key = require_route(caller.organization, model, options, sources)
    if request.webhook_url:
        _check_address("webhook", request.webhook_url)
    promised = 0
    if request.quote:
        quote, promised = agreed(caller.organization, request.quote, digest)
    else:
        quote = price(caller.organization, model, options, length_ms, own_key=own_key)
    if (quote.unit == Unit.OWN_KEY) != own_key:
        raise Invalid(
            "quote_mismatch", "The quote was made for another provider account; ask anew.", field="quote"
        )
    job = _new_job(caller, request, digest, model, options, sources, quote)
    try:
        return _write(caller, job, quote, promised, tell_place=request.tell_place)
    except IntegrityError:
        # Two requests with one idempotency key raced; the index let the other one in.
        if again := look_up(caller.organization, request).earlier:
            return _same(again, digest)
        raise


def _may_ask(caller: Caller, slug: str) -> None:
    model = catalogue.models().get(slug)
    if model and model.per_hour:
        throttles.free_allowed(caller.organization, slug, model.per_hour)
    else:
        throttles.submit_allowed(caller.organization, caller.key)


@dataclass(frozen=True)
class Known:
    """What is there already: the job that the idempotency key has made, and the files of ours that the inputs name."""

    earlier: Job | None
    files: Mapping[UUID, Asset]


# One statement for both.
LOOK_UP = """
SELECT (SELECT row_to_json(j)::text FROM jobs_job j
        WHERE j.organization_id = %(organization)s AND j.idempotency_key = %(key)s),
       (SELECT json_agg(a)::text FROM jobs_asset a
        WHERE a.organization_id = %(organization)s AND a.id = ANY(%(files)s) AND a.deleted_at IS NULL)
"""


def look_up(organization: Organization, request: JobRequest) -> Known:
    key = request.idempotency_key or None
    values = {"organization": organization.pk, "key": key, "files": _named_files(request.inputs)}
    with connection.cursor() as cursor:
        cursor.execute(LOOK_UP, values)
        job, files = (json.loads(text) if text else None for text in cursor.fetchone())
    assets = [from_json(Asset, row) for row in files or ()]
    return Known(from_json(Job, job) if job else None, {asset.pk: asset for asset in assets})


def _named_files(inputs: Mapping[str, Any]) -> list[UUID]:
    """An address that cannot be used is refused later, in its turn."""
    found = []
    for role, value in inputs.items():
        with suppress(Invalid):
            if isinstance(value, str) and (asset_id := _own_id(role, value.strip())):
                found.append(asset_id)
    return found


def _same(earlier: Job, digest: str) -> Job:
    if earlier.request_hash != digest:
        raise Conflict("idempotency_conflict", "This idempotency key was used with a different request.")
    return earlier


def examined(
    organization: Organization, request: JobRequest, files: Mapping[UUID, Asset] | None = None
) -> tuple[catalogue.Model, dict[str, Any], dict[str, Source]]:
    """The order's model, checked options and inputs. Raises Invalid."""
    model = known_model(request.model)
    options = checked_options(model, request.options)
    sources = resolve(organization, model, request.inputs, files)
    for role, source in sources.items():
        if source.ready:
            check_input(model.inputs[role], source.ready)
    return model, options, sources


@dataclass(frozen=True)
class Offer:
    """The price of an order, what is free of it (thousandths of units, micro-dollars), and the signed text by which
    `submit` keeps to both for QUOTE_SECONDS.
    """

    quote: Quote
    free: int
    free_micros: int
    text: str

    @property
    def payable_micros(self) -> int:
        return self.quote.total_micros - self.free_micros

    @property
    def lines(self) -> tuple[Line, ...]:
        return self.quote.bill(self.free_micros)


def offer(caller: Caller, request: JobRequest, *, promised: int = 0) -> Offer:
    """`promised`: thousandths of free units that go to other orders, offered just before.

    Raises Invalid as submit does, and where the length is not known yet: a foreign address cannot be priced.
    """
    check_text(request)
    model, options, sources = examined(caller.organization, request)
    length_ms = known_length(model, sources)
    if length_ms is None:
        message = "A price can be promised when all inputs are uploaded files; upload them first."
        raise Invalid("quote_needs_files", message, field="inputs")
    own_key = require_route(caller.organization, model, options, sources)
    quote = price(caller.organization, model, options, length_ms, own_key=own_key)
    left = max(free.left(caller.organization.pk, model.slug, quote.terms) - promised, 0)
    part = quote.terms.part(quote.total_micros, left) if quote.terms else (0, 0)
    promise = {
        "o": str(caller.organization.pk),
        "h": request_hash(request),
        "q": quote.as_json(),
        "f": part[1],
    }
    return Offer(quote, *part, signing.dumps(promise, salt=QUOTE_SALT, compress=True))


def same_again(row: Job) -> JobRequest:
    """The order of a job, to be placed once more: the seed is the one that was drawn."""
    return JobRequest(
        model=row.model,
        inputs={role: source.get("asset") or source["url"] for role, source in row.inputs.items()},
        options=row.options,
        webhook_url=row.webhook_url,
        tags=tuple(row.tags),
        dialect=OURS,
    )


def agreed(organization: Organization, text: str, digest: str) -> tuple[Quote, int]:
    """The quote that was offered for this very order, and how many micro-dollars of it are free at least. Raises Invalid:
    forged, expired, or of another order.
    """
    try:
        promise = signing.loads(text, salt=QUOTE_SALT, max_age=QUOTE_SECONDS)
    except signing.SignatureExpired:
        raise Invalid("quote_expired", "The quote has expired; ask for a new one.", field="quote") from None
    except signing.BadSignature:
        raise Invalid("quote_invalid", "This is no quote of ours.", field="quote") from None
    if (promise["o"], promise["h"]) != (str(organization.pk), digest):
        raise Invalid("quote_mismatch", "The quote was made for another order.", field="quote")
    return Quote.from_json(promise["q"]), promise.get("f", 0)


def _write(caller: Caller, job: Job, quote: Quote, promised: int, *, tell_place: bool) -> Job:
    """The job as the database has it. `promised`: micro-dollars that are free by the quote."""
    told = {"model": job.model, "quoted_micros": job.quoted_micros}
    accepted = Acceptance(job, told, tell_place=tell_place)
    try:
        with transaction.atomic():
            # The hold locks the organization's account, so the count of waiting jobs below cannot be raced.
            held = ledger.hold(
                caller.organization,
                job_id=job.id,
                amount_micros=quote.total_micros,
                key=caller.key,
                model=job.model,
                terms=quote.terms,
            )
            if held.free_micros < promised:
                message = "Other orders used the free units that this quote counted on; ask for a new one."
                raise Invalid("quote_outdated", message, field="quote")
            quotas.may_use(caller.organization, job.model)
            quotas.may_last(caller.organization, job.length_ms)
            quotas.may_queue(caller.organization, accepted.write())
            wake("jobs.prepare" if job.status == Status.PREPARING else "jobs.dispatch", *_named(job))
    except RateLimited:
        raise
    except BillingError as refusal:
        raise Unpayable(refusal.code, refusal.message, retryable=refusal.retryable) from refusal
    return accepted.row()


def _named(job: Job) -> tuple[str, ...]:
    return (str(job.id),) if job.status == Status.PREPARING else ()


def check_text(request: JobRequest) -> None:
    """PostgreSQL keeps neither NUL characters nor half surrogates, and JSON knows no NaN: refused before that."""
    named = {**request.options, **request.inputs, "model": request.model, "tags": list(request.tags)}
    named |= {"webhook": request.webhook_url, "Idempotency-Key": request.idempotency_key}
    for name, value in named.items():
        try:
            text = json.dumps([name, value], allow_nan=False, ensure_ascii=False)
            text.encode()
        except (ValueError, TypeError, RecursionError):
            keepable = False
        else:
            keepable = NUL not in text.replace(BACKSLASH, "")
        if not keepable:
            raise Invalid(
                "parameter_invalid", f"{name!a} has a character or number that cannot be kept.", field=name
            )


def request_hash(request: JobRequest) -> str:
    body = {"model": request.model, "inputs": dict(request.inputs), "options": dict(request.options)}
    return hashlib.sha256(json.dumps(body, sort_keys=True, default=str).encode()).hexdigest()


def known_model(slug: str) -> catalogue.Model:
    try:
        return catalogue.model(slug)
    except catalogue.UnknownModel:
        known = ", ".join(catalogue.models())
        raise Invalid(
            "model_unknown", f"There is no model {slug!r}; known are {known}.", field="model"
        ) from None


def checked_options(model: catalogue.Model, options: Mapping[str, Any]) -> dict[str, Any]:
    """Checked against the model's schema, defaults filled in, the seed drawn."""
    try:
        checked = model.checked(options)
    except catalogue.OptionRefused as refusal:
        raise Invalid("parameter_invalid", refusal.message, field=refusal.field) from None
    if checked.get("seed") == -1:
        checked["seed"] = random.randint(0, MAX_SEED)
    return checked


def resolve(
    organization: Organization,
    model: catalogue.Model,
    inputs: Mapping[str, Any],
    files: Mapping[UUID, Asset] | None = None,
) -> dict[str, Source]:
    """Every input as a Source. Addresses of our own files are recognised; foreign ones are not touched yet.
    `files`: those of ours, where they were read already.
    """
    for role in inputs:
        if role not in model.inputs:
            known = ", ".join(model.inputs)
            raise Invalid("parameter_invalid", f"Unknown input {role!r}; known are {known}.", field=role)
    given = {}
    for role, wanted in model.inputs.items():
        value = inputs.get(role)
        if value is None or value == "":
            if wanted.required:
                raise Invalid("parameter_missing", f"{role} is required: {wanted.description}", field=role)
            continue
        if not isinstance(value, str):
            raise Invalid("parameter_invalid", f"{role} must be an address or a file id.", field=role)
        given[role] = value.strip()
    return found(organization, given, files)


def source(organization: Organization, role: str, value: str) -> Source:
    """One input as a Source."""
    return found(organization, {role: value})[role]


def found(
    organization: Organization, given: Mapping[str, str], files: Mapping[UUID, Asset] | None = None
) -> dict[str, Source]:
    """Inputs as Sources, in the order given; one statement for all files of ours."""
    ids = {role: _own_id(role, value) for role, value in given.items()}
    for role, value in given.items():
        if ids[role] is None:
            _check_address(role, value)
    if files is None:
        ours = [asset_id for asset_id in ids.values() if asset_id]
        files = Asset.objects.for_org(organization).live().in_bulk(ours)
    return {
        role: _own(role, files.get(asset_id)) if asset_id else Source(url=given[role])
        for role, asset_id in ids.items()
    }


def _own(role: str, asset: Asset | None) -> Source:
    if asset is None:
        raise Invalid("file_unknown", f"{role} names a file that does not exist (any more).", field=role)
    if asset.status == Asset.Status.REFUSED:
        raise Invalid(asset.refusal["code"], f"{role}: {asset.refusal['message']}", field=role)
    # A video that was made here and handed out with its mark.
    if verdicts.checks(verdicts.INPUT) and verdicts.flagged(asset.moderation):
        raise Invalid(prepare.FLAGGED.code, f"{role}: {prepare.FLAGGED.message}", field=role)
    return Source(asset=asset)


def _own_id(role: str, value: str) -> UUID | None:
    """The id of one of our files, given bare or by one of our own addresses."""
    try:
        return UUID(value)
    except ValueError:
        pass
    try:
        return storage.asset_id_of(value)
    except storage.AddressExpired:
        raise Invalid(
            "file_address_expired", f"The address in {role} has expired; ask for a new one.", field=role
        ) from None


def _check_address(field: str, url: str) -> None:
    try:
        fetch.check_url(url)
    except fetch.FetchRefused as refusal:
        raise Invalid(refusal.code, f"{field}: {refusal.message}", field=field) from None


def known_length(model: catalogue.Model, sources: Mapping[str, Source]) -> int | None:
    """Milliseconds to bill, when every input is known; None while some must still be fetched."""
    if not all(source.ready for source in sources.values()):
        return None
    billed = sources[model.length_from].ready
    return billed.duration_ms if billed else None


def price(
    organization: Organization,
    model: catalogue.Model,
    options: Mapping[str, Any],
    length_ms: int | None,
    *,
    own_key: bool = False,
) -> Quote:
    """The quote for a known length, else the least the model can cost. `own_key`: the platform's fee for a render on the
    customer's own account at a provider.
    """
    resolution, unit = model.resolution(options), Unit.OWN_KEY if own_key else model.unit
    try:
        if length_ms is None:
            return quotes.minimum(organization, model=model.slug, resolution=resolution, unit=unit)
        return quotes.quote(
            organization, model=model.slug, resolution=resolution, measured_ms=length_ms, unit=unit
        )
    except BillingError as refusal:
        raise Unpayable(refusal.code, refusal.message) from refusal


def require_route(
    organization: Organization,
    model: catalogue.Model,
    options: Mapping[str, Any],
    sources: Mapping[str, Source],
) -> bool:
    """NoRoute unless somebody renders the model now; Invalid where nobody takes these files. True: it is rendered on the
    customer's own account at a provider.
    """
    ready = {role: source.ready for role, source in sources.items()}
    files = {
        role: InputFile(url="", **{name: getattr(asset, name) for name in FACTS})
        for role, asset in ready.items()
        if asset
    }
    asked = Asked(model.slug, known_length(model, sources) or 0, model.resolution(options), files)
    try:
        return routing.require_route(asked, organization.pk)
    except errors.NoRoute as refusal:
        if refusal.field:
            raise Invalid(refusal.code, refusal.message, field=refusal.field) from None
        raise NoRoute("no_route", refusal.message, field="model", retryable=True) from None


def _new_job(
    caller: Caller,
    request: JobRequest,
    digest: str,
    model: catalogue.Model,
    options: dict[str, Any],
    sources: Mapping[str, Source],
    quote: Quote,
) -> Job:
    length_ms, job_id = known_length(model, sources), new_id()
    ready = length_ms is not None and all(source.settled for source in sources.values())
    return Job(
        id=job_id,
        organization=caller.organization,
        key=caller.key,
        user=caller.user,
        dialect=request.dialect,
        model=model.slug,
        inputs={role: source.as_json() for role, source in sources.items()},
        options=options,
        request={"inputs": dict(request.inputs), "options": dict(request.options)},
        wire=dict(request.wire),
        tags=list(request.tags),
        webhook_url=request.webhook_url,
        idempotency_key=request.idempotency_key or None,
        request_hash=digest,
        status=Status.QUEUED if ready else Status.PREPARING,
        length_ms=length_ms or 0,
        quote=quote.as_json(),
        quoted_micros=quote.total_micros,
        free_micros=RawSQL(FREE_OF_HOLD, [job_id]) if quote.terms else 0,  # noqa: S611  no customer's text
        queued_at=Now() if ready else None,
        deadline_at=Now() + timedelta(seconds=settings.JOB_LIFE_SECONDS),
    )
