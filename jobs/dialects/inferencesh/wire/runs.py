"""The body of `POST /apps/run` as a JobRequest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jobs.dialects.inferencesh.wire.apps import FUNCTION, WAN_S2V, app_of, parse, slug_of
from jobs.errors import Invalid, NotFound
from jobs.types import JobRequest
from providers.catalogue import Model

DIALECT = "inferencesh"
MAX_WEBHOOK = 2000
MAX_IDEMPOTENCY_KEY = 255
# What the app does where its caller says nothing; our own defaults are others.
DEFAULTS: dict[str, dict[str, Any]] = {
    WAN_S2V: {
        "resolution": "720p",
        "num_frames_per_chunk": 81,
        "fps": 16,
        "enable_first_block_cache": True,
        "first_block_cache_threshold": 0.05,
    }
}
# Fields of the body whose silent neglect would be wrong, and what to say of each.
UNSUPPORTED = {
    "session": "This app keeps no state, so there are no sessions: leave `session` out.",
    "run_at": "Tasks cannot be scheduled here: leave `run_at` out.",
}


@dataclass(frozen=True)
class Run:
    """`notices` are told to the caller beside the task."""

    request: JobRequest
    notices: tuple[dict[str, str], ...]


def run(body: Any, models: Mapping[str, Model], *, idempotency_key: str = "") -> Run:
    """Raises jobs.errors: NotFound for an app that is not here, Invalid for all else."""
    fields = present(body, "The body")
    model = _model(fields, models)
    for name, sentence in UNSUPPORTED.items():
        if name in fields:
            raise Invalid("parameter_invalid", sentence, field=name)
    values = present(fields.get("input"), "input")
    known = [*model.inputs, *model.options["properties"]]
    inputs = {role: _address(role, values[role]) for role in model.inputs if role in values}
    options = {name: values[name] for name in model.options["properties"] if name in values}
    if len(idempotency_key) > MAX_IDEMPOTENCY_KEY:
        message = f"Idempotency-Key may have {MAX_IDEMPOTENCY_KEY} characters at most."
        raise Invalid("parameter_invalid", message)
    request = JobRequest(
        model=model.slug,
        inputs=inputs,
        options={**DEFAULTS.get(app_of(model.slug), {}), **options},
        dialect=DIALECT,
        webhook_url=_webhook(fields),
        idempotency_key=idempotency_key,
    )
    return Run(request, tuple(_notices(fields, [name for name in values if name not in known])))


def present(value: Any, name: str) -> dict[str, Any]:
    """A JSON object without its nulls: absent and null are the same, and so is no object at all."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise Invalid("parameter_invalid", f"{name} must be a JSON object.", field="input")
    return {str(key): entry for key, entry in value.items() if entry is not None}


def _model(fields: Mapping[str, Any], models: Mapping[str, Model]) -> Model:
    reference = fields.get("app")
    if not isinstance(reference, str) or not reference.strip():
        raise Invalid("parameter_missing", f"app is required, such as {WAN_S2V}.", field="app")
    name, function = parse(reference)
    slug = slug_of(name, models)
    if slug is None:
        known = ", ".join(app_of(known) for known in models)
        raise NotFound("model_unknown", f"There is no app {name[:100]!a}; known are {known}.", field="app")
    function = fields.get("function", function)
    if function != FUNCTION:
        raise Invalid("parameter_invalid", f"The only function of this app is {FUNCTION}.", field="function")
    return models[slug]


def _address(role: str, value: Any) -> Any:
    """A file is an address, or an object that has it as `uri`."""
    if isinstance(value, Mapping):
        value = value.get("uri")
    if not isinstance(value, str):
        raise Invalid("parameter_invalid", f"{role} must be the address of a file.", field=role)
    return value


def _webhook(fields: Mapping[str, Any]) -> str:
    webhook = fields.get("webhook", "")
    if not isinstance(webhook, str):
        raise Invalid("url_invalid", "webhook must be an address.", field="webhook")
    if len(webhook) > MAX_WEBHOOK:
        raise Invalid("url_invalid", f"webhook may have {MAX_WEBHOOK} characters at most.", field="webhook")
    return webhook


def _notices(fields: Mapping[str, Any], unknown: Iterable[str]) -> Iterable[dict[str, str]]:
    for name in unknown:
        yield notice(
            "warning", "unknown_field", f"The input field {name[:60]!a} is not known and was ignored."
        )
    if fields.get("wait") is True or fields.get("stream") is True:
        yield notice(
            "info",
            "answered_at_once",
            "This answer never waits: follow the task at its stream, or ask for it again.",
        )


def notice(level: str, code: str, message: str) -> dict[str, str]:
    return {"level": level, "code": code, "message": message}
