"""A submit's flat JSON object as a JobRequest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.dialects.wavespeed.wire.models import CONTROLS
from jobs.errors import Invalid
from jobs.types import JobRequest
from providers.catalogue import Model

DIALECT = "wavespeed"
MAX_IDEMPOTENCY_KEY = 255
MAX_WEBHOOK = 2000
MAX_ADDRESS = 2048


class Base64WithWebhook(Exception):
    """The one refusal that has a body of its own: only `error`."""

    message = "enable_base64_output cannot be combined with a webhook: fetch the result instead."


@dataclass(frozen=True)
class Submission:
    """`sync`: hold the answer until the end. `base64`: outputs are the files themselves."""

    request: JobRequest
    sync: bool
    base64: bool


def submission(model: Model, body: Any, *, webhook: str = "", idempotency_key: str = "") -> Submission:
    """Raises jobs.errors.Invalid, or Base64WithWebhook."""
    fields = flat(body)
    sync, base64 = (_switch(fields, name) for name in CONTROLS)
    if base64 and webhook:
        raise Base64WithWebhook
    inputs, options = split(model, fields)
    if len(idempotency_key) > MAX_IDEMPOTENCY_KEY:
        raise Invalid(
            "parameter_invalid", f"Idempotency-Key may have {MAX_IDEMPOTENCY_KEY} characters at most."
        )
    if len(webhook) > MAX_WEBHOOK:
        raise Invalid("url_invalid", f"webhook may have {MAX_WEBHOOK} characters at most.", field="webhook")
    request = JobRequest(
        model=model.slug,
        inputs=inputs,
        options=options,
        dialect=DIALECT,
        webhook_url=webhook,
        idempotency_key=idempotency_key,
        wire={"base64": True} if base64 else {},
    )
    return Submission(request, sync=sync, base64=base64)


def flat(body: Any) -> dict[str, Any]:
    """The body as a dictionary, its nulls dropped: absent and null are the same."""
    if not isinstance(body, Mapping):
        raise Invalid("parameter_invalid", "The body must be a JSON object with the model's parameters.")
    return {str(name): value for name, value in body.items() if value is not None}


def split(model: Model, fields: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Inputs and options; what the model does not know is refused by name."""
    known = [*model.inputs, *model.options["properties"]]
    for name, value in fields.items():
        if name not in known and name not in CONTROLS:
            raise Invalid(
                "parameter_invalid",
                f"Unknown parameter {name[:60]!r}; known are {', '.join(known)}.",
                field=name,
            )
        if isinstance(value, str) and not _storable(value):
            raise Invalid("parameter_invalid", f"{name} contains characters that are not text.", field=name)
        if name in model.inputs and isinstance(value, str) and _is_content(value):
            message = f"{name} must be the address of a file, not its content: upload the file first."
            raise Invalid("parameter_invalid", message, field=name)
    inputs = {name: value for name, value in fields.items() if name in model.inputs}
    options = {name: value for name, value in fields.items() if name in model.options["properties"]}
    return inputs, options


def _switch(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name, False)
    if not isinstance(value, bool):
        raise Invalid("parameter_invalid", f"{name} must be true or false.", field=name)
    return value


def _is_content(value: str) -> bool:
    return value[:5].lower() == "data:" or len(value) > MAX_ADDRESS


def _storable(text: str) -> bool:
    """JSON can carry a NUL and halves of characters, which no database takes as text."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
