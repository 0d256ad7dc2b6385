"""A submit's body as a JobRequest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.dialects.dashscope.wire.faults import invalid, refused
from jobs.dialects.dashscope.wire.models import SPOKEN, URL_ERROR, Spoken
from jobs.dialects.dashscope.wire.uploads import SCHEME, asset_id
from jobs.types import JobRequest

DIALECT = "dashscope"
MAX_ADDRESS = 2048
MAX_IDEMPOTENCY_KEY = 255
RESOLUTIONS = {"480P": "480p", "720P": "720p"}
STYLES = ("speech", "singing", "performance")
LEVELS = ("normal", "calm", "active")
SHAPES = {"1:1": (1, 1), "3:4": (3, 4)}
CORNERS, SLACK, MAX_SIDE = 4, 2, 7000
# The vendor's two grades of the animate models; ours are sizes.
GRADES = {"wan-std": "480p", "wan-pro": "720p"}
# What the SDK calls the picture.
ALIASES = {"image_url": "img_url"}


@dataclass(frozen=True)
class Body:
    """The three parts of every call, and whether `oss://` addresses are to be resolved."""

    model: str
    input: Mapping[str, Any]
    parameters: Mapping[str, Any]
    has_parameters: bool
    resolve: bool

    def address(self, name: str) -> str:
        """A file's address, or the id of an uploaded file for an `oss://` one."""
        value = self.input.get(name)
        if value is None and name in ALIASES:
            value = self.input.get(ALIASES[name])
        if value is None or value == "":
            raise invalid(f"input.{name} is required: the address of a file.")
        if not isinstance(value, str) or not storable(value):
            raise invalid(f"input.{name} must be the address of a file.")
        if value[:5].lower() == "data:" or len(value) > MAX_ADDRESS:
            raise refused(400, "InvalidURL", f"input.{name} must be an address: upload the file first.")
        if not value.startswith(SCHEME):
            return value
        if not self.resolve:
            raise invalid(
                f"input.{name} is an oss:// address: send the header X-DashScope-OssResourceResolve: enable."
            )
        return str(asset_id(value.removeprefix(SCHEME)))

    def choice(self, part: Mapping[str, Any], name: str, known: tuple[str, ...], default: str = "") -> str:
        value = part.get(name)
        if value is None and default:
            return default
        if not isinstance(value, str) or value not in known:
            raise invalid(f"{name} must be one of {', '.join(known)}.")
        return value

    def switch(self, part: Mapping[str, Any], name: str, *, default: bool) -> bool:
        value = part.get(name, default)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise invalid(f"{name} must be true or false.")
        return value


def read_body(data: Any, *, resolve: bool) -> Body:
    """The body of any model call. Raises Refused with the vendor's code for what is missing."""
    if not isinstance(data, Mapping):
        raise invalid("The body must be a JSON object with model, input and parameters.")
    model, given, parameters = data.get("model"), data.get("input"), data.get("parameters")
    if model is None or model == "":
        raise refused(400, "BadRequest.EmptyModel", "model is required.")
    if not isinstance(model, str):
        raise invalid("model must be a text.")
    if given is None or given in ("", {}):
        raise refused(400, "BadRequest.EmptyInput", "input is required.")
    if not isinstance(given, Mapping):
        raise refused(400, "BadRequest.IllegalInput", "input must be a JSON object.")
    if parameters is not None and not isinstance(parameters, Mapping):
        raise invalid("parameters must be a JSON object.")
    return Body(model, given, parameters or {}, parameters is not None, resolve)


def spoken_model(name: str, elsewhere: Mapping[str, str]) -> Spoken:
    """`elsewhere`: names that exist, but at another address."""
    if name in elsewhere:
        raise invalid(f"{URL_ERROR} {name} is served at {elsewhere[name]}.")
    if name not in SPOKEN:
        raise invalid(f"Model not exist: {name[:100]!r}; known are {', '.join([*SPOKEN, *elsewhere])}.")
    return SPOKEN[name]


def submission(body: Body, spoken: Spoken, *, request_id: str = "", idempotency_key: str = "") -> JobRequest:
    """What is unknown in `input` and `parameters` is passed over: the SDK always sends some of that."""
    if spoken.parameters_required and not body.has_parameters:
        raise refused(400, "BadRequest.EmptyParameters", f"parameters is required for {spoken.name}.")
    inputs = {role: body.address(name) for name, role in spoken.inputs.items()}
    if len(idempotency_key) > MAX_IDEMPOTENCY_KEY:
        raise invalid(f"Idempotency-Key may have {MAX_IDEMPOTENCY_KEY} characters at most.")
    return JobRequest(
        model=spoken.slug,
        inputs=inputs,
        options={**spoken.options, **_options(body, spoken)},
        dialect=DIALECT,
        idempotency_key=idempotency_key,
        wire={"request_id": request_id},
    )


def _options(body: Body, spoken: Spoken) -> dict[str, Any]:
    options = _common(body, spoken)
    if spoken.slug == "wan-2.2-animate":
        grade = body.choice(body.parameters, "mode", tuple(GRADES))
        body.switch(body.parameters, "check_image", default=True)
        if body.switch(body.input, "watermark", default=False):
            raise invalid("watermark: this service adds no watermarks.")
        return {**options, "resolution": GRADES[grade]}
    if spoken.slug == "emo-v1":
        face, frame = _box(body, "face_bbox"), _box(body, "ext_bbox")
        level = body.choice(body.parameters, "style_level", LEVELS, default=LEVELS[0])
        shape = {"resolution": _shape(frame), "style_level": level}
        return {**options, **shape, "face_bbox": face, "ext_bbox": frame}
    body.choice(body.parameters, "style", STYLES, default=STYLES[0])
    known = (*RESOLUTIONS, *RESOLUTIONS.values())
    resolution = body.choice(body.parameters, "resolution", known, default="480P")
    return {**options, "resolution": resolution.lower()}


def _box(body: Body, name: str) -> list[int]:
    box: Any = body.input.get(name)
    whole = isinstance(box, list) and len(box) == CORNERS and all(type(corner) is int for corner in box)
    if not whole or not (0 <= box[0] < box[2] <= MAX_SIDE and 0 <= box[1] < box[3] <= MAX_SIDE):
        raise invalid(f"input.{name} must be the four whole numbers that emo-detect-v1 gave.")
    return list(box)


def _shape(frame: list[int]) -> str:
    """The box decides what the video looks like, and so what it costs. Whole pixels may miss the ratio by a few."""
    width, height = frame[2] - frame[0], frame[3] - frame[1]
    for name, (columns, rows) in SHAPES.items():
        if abs(width * rows - height * columns) <= SLACK * max(columns, rows):
            return name
    raise invalid("The ratio of input.ext_bbox must be 1:1 or 3:4.")


def _common(body: Body, spoken: Spoken) -> dict[str, Any]:
    """What our models take beyond the vendor's."""
    options: dict[str, Any] = {}
    prompt = body.input.get("prompt")
    if isinstance(prompt, str) and prompt and spoken.slug != "emo-v1":
        if not storable(prompt):
            raise invalid("input.prompt contains characters that are not text.")
        options["prompt"] = prompt
    if body.parameters.get("seed") is not None:
        options["seed"] = body.parameters["seed"]
    return options


def storable(text: str) -> bool:
    """JSON can carry a NUL and halves of characters, which no database takes as text."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
