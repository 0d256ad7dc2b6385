"""What a model takes as an input, checked once the file is known."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from accounts.models import Organization
from billing.models import Unit
from jobs.errors import Invalid
from jobs.models import Asset, Job
from providers import catalogue
from providers.base import InputFile
from providers.bounds import Asked


def check_input(wanted: catalogue.Input, asset: Asset) -> None:
    """The file is of the kind, and of a length, that the model takes."""
    if asset.kind != wanted.kind:
        message = f"{wanted.role} must be {_article(wanted.kind)}; this file is {_article(asset.kind)}."
        raise Invalid("wrong_type", message, field=wanted.role)
    if wanted.max_ms and asset.duration_ms > wanted.max_ms:
        message = f"{wanted.role} may last {wanted.max_ms // 1000} s at most; it lasts {asset.duration_ms / 1000:.1f} s."
        raise Invalid(f"{wanted.kind}_too_long", message, field=wanted.role)
    if asset.duration_ms < wanted.min_ms:
        raise Invalid(f"{wanted.kind}_empty", f"{wanted.role} has no content.", field=wanted.role)


def _article(kind: str) -> str:
    return f"a{'n' if kind[:1] in 'aeiou' else ''} {kind or 'unknown kind of'} file"


# What is kept of a file beside its id, so that routes can be chosen without reading it again.
FACTS = ("content_type", "bytes", "width", "height")


SOUND = "has_audio"


def as_json(asset: Asset) -> dict[str, Any]:
    """An input of a job: our file, what routes are chosen by, and whether it sounds."""
    return {"asset": str(asset.pk), SOUND: asset.has_audio, **{name: getattr(asset, name) for name in FACTS}}


def sounds(job: Job) -> bool:
    """Whether its film must sound: a voice was given, or a clip that has sound."""
    wanted = catalogue.model(job.model).inputs
    return any(
        wanted[role].kind == "audio" or source.get(SOUND, False) for role, source in job.inputs.items()
    )


def given_files(organization: Organization, job: Job) -> dict[str, Asset]:
    """The files that went into a job and are still there, by role. One query."""
    ids = {role: UUID(source["asset"]) for role, source in job.inputs.items() if "asset" in source}
    found = Asset.objects.for_org(organization).live().in_bulk(ids.values()) if ids else {}
    return {role: found[pk] for role, pk in ids.items() if pk in found}


def asked(job: Job, now: datetime) -> Asked:
    """The job as routes are chosen for it."""
    known = {role: source for role, source in job.inputs.items() if "content_type" in source}
    since = job.queued_at or now
    return Asked(
        model=job.model,
        length_ms=job.length_ms,
        resolution=catalogue.model(job.model).resolution(job.options),
        files={
            role: InputFile(url="", **{name: source[name] for name in FACTS})
            for role, source in known.items()
        },
        own_key=job.quote.get("unit") == Unit.OWN_KEY,
        waited_seconds=(now - since).total_seconds(),
    )
