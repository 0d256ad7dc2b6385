"""What the pages say of numbers: `{{ name }}` in docs/*.md, read from the code, the catalogue and the price book.

Nothing that the code decides is typed a second time. A fact is Markdown: a word, or a whole table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.db import DatabaseError

from accounts.models import Organization
from accounts.scopes import ALL_SCOPES, ROLE_SCOPES, SCOPES
from billing.models import Price, Tier, Unit
from billing.money import format_usd
from jobs import notify, submit, uploads, webhooks
from jobs.dialects.rest import errors, idempotency, stream
from jobs.dialects.rest.views import base
from jobs.dialects.rest.wire import orders
from jobs.media import results
from providers import catalogue
from providers.catalogue import Model

NAME = re.compile(r"\{\{ ([a-z_]+) \}\}")
MIB = 1024**2
GB = 1000**3
AWAY = "*This table cannot be read at the moment. `GET /v1/models` and the console know it.*"
Fact = Callable[[], str]


def fill(text: str) -> tuple[str, bool]:
    """The text with its facts in place, and whether all of them could be read."""
    complete = True

    def value(found: re.Match[str]) -> str:
        nonlocal complete
        try:
            return FACTS[found[1]]()
        except DatabaseError:
            complete = False
            return AWAY

    return NAME.sub(value, text), complete


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def span(seconds: float) -> str:
    """As a person says it: 900 is "15 minutes"."""
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f} {name}{'s' if seconds > size else ''}"
    return f"{seconds:.4g} seconds"


def mib(size: int) -> str:
    return f"{size / MIB:.4g} MiB"


# --- tables ----------------------------------------------------------------------------------------------------
def tiers() -> str:
    heads = ["tier", "bought so far", "submits a minute", "running jobs", "waiting jobs", "weight"]
    heads += ["requests a second by key", "in all", "files"]
    return table(
        heads,
        (
            [
                tier.slug,
                f"${tier.threshold_micros / 1_000_000:,.0f}",
                f"{tier.submits_per_minute:,}",
                f"{tier.running:,}",
                f"{tier.queued:,}",
                f"{tier.weight:,}",
                f"{tier.reads_per_second:,}",
                f"{tier.requests_per_second:,}",
                f"{tier.storage_bytes / GB:,.0f} GB",
            ]
            for tier in Tier.objects.all()
        ),
    )


def prices() -> str:
    heads = ["model", "resolution", "price", "billed at least", "billed at most"]
    return table(heads, (_price_row(price) for price in _public_prices() if price.unit == Unit.SECOND))


def detector_prices() -> str:
    rows = (
        [f"`{p.model}`", f"${format_usd(p.micros_per_unit)}"]
        for p in _public_prices()
        if p.unit == Unit.IMAGE
    )
    return table(["detector", "price of a picture"], rows)


def _public_prices() -> Iterable[Price]:
    return Price.objects.on_sale(Organization()).filter(organization=None).order_by("model", "resolution")


def _price_row(price: Price) -> list[str]:
    unit = price.step_ms / 1000
    return [
        f"`{price.model}`",
        price.resolution or "all",
        f"${format_usd(price.micros_per_unit)} a second",
        f"{price.min_units * unit:g} s",
        f"{price.max_units * unit:g} s",
    ]


def models() -> str:
    return "\n\n".join(_model(entry) for entry in catalogue.models().values())


def _model(entry: Model) -> str:
    inputs = table(
        ["input", "", "kind", "longest", "meaning"],
        (
            [
                f"`{role}`",
                "required" if wanted.required else "optional",
                wanted.kind,
                f"{wanted.max_ms // 1000} s" if wanted.max_ms else "",
                wanted.description,
            ]
            for role, wanted in entry.inputs.items()
        ),
    )
    required = entry.options.get("required", [])
    options = table(
        ["option", "accepted", "default", "meaning"],
        (
            [f"`{name}`", _accepted(schema), _default(name, schema, required), schema["description"]]
            for name, schema in entry.options["properties"].items()
        ),
    )
    return f"## {entry.name}\n\n`{entry.slug}`: {entry.description}\n\n{inputs}\n\n{options}"


def _accepted(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "minimum" in schema:
        return f"{schema['type']}, {schema['minimum']} to {schema['maximum']}"
    if "maxLength" in schema:
        return f"text of at most {schema['maxLength']} characters"
    if schema["type"] == "array":
        return f"{schema['maxItems']} {schema['items']['type']}s"
    return str(schema["type"])


def _default(name: str, schema: dict[str, Any], required: Sequence[str]) -> str:
    if name in required:
        return "required"
    default = schema.get("default")
    return "" if default is None else f"`{default}`" if default != "" else "empty"


def scopes() -> str:
    return table(["scope", "lets a key"], ([f"`{name}`", text.lower()] for name, text in SCOPES.items()))


def roles() -> str:
    rows = ([role, _scopes_of(role)] for role in ROLE_SCOPES)
    return table(["role", "may"], rows)


def _scopes_of(role: str) -> str:
    given = ROLE_SCOPES[role]
    if given == ALL_SCOPES:
        return "everything"
    if len(given) > len(ALL_SCOPES) / 2 and (left := sorted(ALL_SCOPES - given)) and len(left) == 1:
        return f"everything but `{left[0]}`"
    return ", ".join(f"`{name}`" for name in SCOPES if name in given)


def error_codes() -> str:
    """Every code of /v1 under its status, in alphabetical order."""
    parts = []
    for status, codes in errors.by_status(errors.ERRORS).items():
        parts.append(f"### {status} {HTTPStatus(status).phrase}")
        parts += [_code(code, *errors.ERRORS[code][1:]) for code in codes]
    return "\n\n".join(parts)


def failure_codes() -> str:
    codes = (_code(code, *failure) for code, failure in sorted(errors.FAILURES.items()))
    return "\n\n".join(["### All of its codes", *codes])


def unfit_codes() -> str:
    rows = ([f"`{code}`", *words] for code, words in sorted(errors.UNFIT.items()))
    return table(["code", "meaning", "what helps"], rows)


def _code(code: str, meaning: str, remedy: str, again: bool) -> str:  # noqa: FBT001  a row of the catalogue
    helps = "yes, later" if again else "no"
    return f"#### `{code}`\n\n{meaning} {remedy} *Try again: {helps}.*"


def webhook_schedule() -> str:
    return ", ".join(_about(seconds) for seconds in notify.PLANNED)


def _about(seconds: float) -> str:
    size, unit = next((size, unit) for size, unit in ((3600, "h"), (60, "min"), (1, "s")) if seconds >= size)
    return f"{seconds / size:.3g} {unit}"


FACTS: dict[str, Fact] = {
    "error_codes": error_codes,
    "failure_codes": failure_codes,
    "unfit_codes": unfit_codes,
    "base_url": lambda: settings.PUBLIC_URL,
    "tiers": tiers,
    "prices": prices,
    "detector_prices": detector_prices,
    "models": models,
    "scopes": scopes,
    "roles": roles,
    "upload_most": lambda: mib(settings.UPLOAD_MAX_BYTES),
    "body_most": lambda: mib(settings.DATA_UPLOAD_MAX_MEMORY_SIZE),
    "file_address_life": lambda: span(settings.OUTPUT_URL_SECONDS),
    "job_life": lambda: span(settings.JOB_LIFE_SECONDS),
    "quote_life": lambda: span(submit.QUOTE_SECONDS),
    "retention": lambda: span(86_400 * int(Organization._meta.get_field("retention_days").default)),  # noqa: SLF001  Django's documented name
    "page_size": lambda: str(base.PAGE),
    "page_most": lambda: str(base.MOST),
    "tags_most": lambda: str(orders.MAX_TAGS),
    "tag_most": lambda: str(orders.MAX_TAG),
    "key_most": lambda: str(idempotency.MAX_KEY),
    "beat": lambda: span(stream.BEAT_SECONDS),
    "webhook_schedule": webhook_schedule,
    "webhook_log": lambda: span(86_400 * settings.WEBHOOK_LOG_DAYS),
    "request_log": lambda: span(86_400 * settings.REQUEST_LOG_DAYS),
    "endpoints_most": lambda: str(webhooks.MAX_ENDPOINTS),
    "failing_days": lambda: str(notify.FAILING_DAYS),
    "secret_overlap": lambda: span(webhooks.OVERLAP.total_seconds()),
    "ticket_life": lambda: span(uploads.TICKET_SECONDS),
    "webhook_tries": lambda: str(len(notify.WAITS) + 1),
    "webhook_hours": lambda: f"{sum(notify.WAITS) / 3600:.1f} hours",
    "webhook_patience": lambda: span(settings.WEBHOOK_TIMEOUT_SECONDS),
    "side_least": lambda: str(results.MIN_SIDE),
    "side_most": lambda: f"{results.MAX_SIDE:,}",
    "picture_most": lambda: f"{results.MAX_IMAGE_PIXELS / 1e6:g} million pixels",
    "video_most": lambda: f"{results.MAX_VIDEO_PIXELS:,} pixels",
    "pictures_accepted": lambda: results.ACCEPTED["image"],
    "recordings_accepted": lambda: results.ACCEPTED["audio"],
    "videos_accepted": lambda: results.ACCEPTED["video"],
    "wavespeed_sync": lambda: span(settings.WAVESPEED_SYNC_SECONDS),
}
