"""DashScope's words: requests as it wants them, answers as we mean them. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from providers.base import Bounds, Box, InputFile, Lost, Order, Output, State, Update, Verdict
from providers.errors import (
    AccountRefused,
    OutcomeUnknown,
    ProviderError,
    Refused,
    Throttled,
    Unavailable,
)
from providers.failures import FAILURES, failed, refused, unsuitable
from providers.upstream import ID, named, text, web_address

MIB = 1024 * 1024
IMAGES = ("image/jpeg", "image/png", "image/bmp", "image/webp")
VOICES = ("audio/wav", "audio/mpeg")
CLIPS = ("video/mp4", "video/x-msvideo", "video/quicktime")
S2V_DETECT, EMO_DETECT = "wan2.2-s2v-detect", "emo-detect-v1"


@dataclass(frozen=True)
class Kind:
    """What one of our models is there: by name, by length, and by what its files may be."""

    names: tuple[str, ...]
    longest_ms: int
    shortest_ms: int
    sides: tuple[int, int]
    image_bytes: int
    regions: tuple[str, ...]
    clip_sides: tuple[int, int] = (0, 0)
    steepest: float = 0.0


BEIJING, SINGAPORE = "cn-beijing", "ap-southeast-1"
KINDS = {
    "wan-2.2-s2v": Kind(("wan2.2-s2v",), 19_999, 0, (400, 7000), 100 * MIB, (BEIJING,)),
    "emo-v1": Kind(("emo-v1",), 59_999, 0, (400, 7000), 100 * MIB, (BEIJING,)),
    "wan-2.2-animate": Kind(
        ("wan2.2-animate-move", "wan2.2-animate-mix"),
        30_000,
        2_000,
        (200, 4096),
        5 * MIB,
        (BEIJING, SINGAPORE),
        clip_sides=(200, 2048),
        steepest=3.0,
    ),
}
VOICE_BYTES, CLIP_BYTES = 15 * MIB, 200 * MIB
BOUNDS = {
    slug: Bounds(
        shortest_ms=kind.shortest_ms,
        longest_ms=kind.longest_ms,
        sides=kind.sides,
        clip_sides=kind.clip_sides,
        steepest=kind.steepest,
        formats={"image": IMAGES, "audio": VOICES, "video": CLIPS},
        most_bytes={"image": kind.image_bytes, "audio": VOICE_BYTES - 1, "video": CLIP_BYTES},
        regions=kind.regions,
    )
    for slug, kind in KINDS.items()
}
DETECTORS = {"wan-2.2-s2v-detect": S2V_DETECT, "emo-detect": EMO_DETECT}
HOSTS = {
    BEIJING: "dashscope.aliyuncs.com",
    SINGAPORE: "dashscope-intl.aliyuncs.com",
    "us-east-1": "dashscope-us.aliyuncs.com",
    "cn-hongkong": "cn-hongkong.dashscope.aliyuncs.com",
}
STATES = {
    "PENDING": State.WAITING,
    "PRE-PROCESSING": State.RUNNING,
    "RUNNING": State.RUNNING,
    "SUSPENDED": State.RUNNING,
    "POST-PROCESSING": State.RUNNING,
    "CANCELED": State.CANCELED,
    # a record older than a day, or one that never was: both are told by status 200
    "UNKNOWN": State.LOST,
}
# Their codes, whole or by what they begin with; what is not here is a failure of theirs.
CODES = {
    "DataInspectionFailed": "content_refused",
    "data_inspection_failed": "content_refused",
    "IPInfringementSuspect": "rights_refused",
    "InvalidFile.NoHuman": "face_not_found",
    "InvalidImage.NoHumanFace": "face_not_found",
    "InvalidFile.Content": "face_not_found",
    "InvalidFile.MultiHuman": "face_many",
    "InvalidPerson": "face_many",
    "InvalidFile.FacePose": "face_turned",
    "InvalidFile.FullFace": "face_turned",
    "InvalidFile.FrontBody": "face_turned",
    "InvalidFile.FullBody": "face_small",
    "InvalidFile.BodyPose": "face_small",
    "InvalidFile.BodyProportion": "face_small",
    "InvalidFile.Resolution": "image_size",
    "InvalidFile.ImageSize": "image_size",
    "InvalidFile.AspectRatio": "image_size",
    "InvalidImage.ImageSize": "image_size",
    "InvalidImageResolution": "image_size",
    "InvalidFile.Value": "image_unsuitable",
    "InvalidImage": "image_unsuitable",
    "InvalidImageFormat": "image_unsuitable",
    "InvalidFile.AudioLengthError": "audio_too_long",
    "InvalidFile.Duration": "input_unsuitable",
    "InvalidFile.FPS": "video_unsuitable",
    "InvalidFile.DownloadFailed": "input_unreachable",
    "InvalidFile": "input_unsuitable",
    "InvalidURL": "input_unsuitable",
    "InvalidURL.ConnectionRefused": "input_unreachable",
    "InvalidURL.Timeout": "input_unreachable",
    "InvalidParameter": "input_unsuitable",
    "InvalidParameter.DataInspection": "input_unreachable",
    "BadRequest.InputDownloadFailed": "input_unreachable",
    "BadRequest": "input_unsuitable",
    "InternalError.Timeout": "provider_timeout",
    "RequestTimeOut": "provider_timeout",
}
OF_THE_PICTURE = {"face_not_found", "face_many", "face_turned", "face_small"}
FINAL_WORD = {"content_refused", "rights_refused", *OF_THE_PICTURE}
ACCOUNT = (
    "Arrearage",
    "InvalidApiKey",
    "NOT AUTHORIZED",
    "AccessDenied",
    "Model.AccessDenied",
    "Workspace.AccessDenied",
    "Endpoint.AccessDenied",
    "AllocationQuota.FreeTierOnly",
    "ModelNotFound",
    "WorkSpaceNotFound",
    "CommodityNotPurchased",
    "PrepaidBillOverdue",
    "PostpaidBillOverdue",
)
QUOTA_PAUSE = 60.0
CORNERS = 4


def base_url(settings: Mapping[str, Any]) -> str:
    """By region and workspace; the shared host of Beijing where nothing is said."""
    region, workspace = str(settings.get("region", BEIJING)), str(settings.get("workspace", ""))
    if workspace:
        return f"https://{workspace}.{region}.maas.aliyuncs.com/api/v1"
    if region not in HOSTS:
        raise AccountRefused(f"the region {region!r} needs a workspace in the account's settings")
    return f"https://{HOSTS[region]}/api/v1"


def model(order: Order, settings: Mapping[str, Any]) -> str:
    """The model's name there. Raises Unsuitable for what it does not make, or not of these files."""
    kind = KINDS.get(order.model)
    if kind is None or settings.get("region", kind.regions[0]) not in kind.regions:
        raise unsuitable("model_unsuitable", f"{order.model} is not made in this region")
    _check_length(order, kind)
    for role, file in order.inputs.items():
        _check_file(role, file, kind)
    return kind.names[order.options.get("mode") == "replace"] if len(kind.names) > 1 else kind.names[0]


def _check_length(order: Order, kind: Kind) -> None:
    if not kind.shortest_ms <= order.length_ms <= kind.longest_ms:
        code = "audio_too_long" if "audio" in order.inputs else "video_unsuitable"
        raise unsuitable(code, f"{order.length_ms} ms")


def _check_file(role: str, file: InputFile, kind: Kind) -> None:
    if role != "audio" and not _fits(file, kind.sides if role == "image" else kind.clip_sides, kind.steepest):
        code = "image_size" if role == "image" else "video_unsuitable"
        raise unsuitable(code, f"{file.width}x{file.height}")
    if role == "image" and (file.content_type not in IMAGES or file.bytes > kind.image_bytes):
        raise unsuitable("image_unsuitable", f"{file.content_type}, {file.bytes} bytes")
    if role == "audio" and (file.content_type not in VOICES or file.bytes >= VOICE_BYTES):
        raise unsuitable("audio_unsuitable", f"{file.content_type}, {file.bytes} bytes")
    if role == "video" and (file.content_type not in CLIPS or file.bytes > CLIP_BYTES):
        raise unsuitable("video_unsuitable", f"{file.content_type}, {file.bytes} bytes")


def _fits(file: InputFile, sides: tuple[int, int], steepest: float) -> bool:
    short, long = sorted((file.width, file.height))
    least, most = sides
    return least <= short and long <= (most or long) and (not steepest or long <= steepest * short)


def submission(name: str, order: Order, addresses: Mapping[str, str]) -> dict[str, Any]:
    """The body of a submit; `addresses` are the inputs by role."""
    inputs: dict[str, Any] = {f"{role}_url": address for role, address in addresses.items()}
    options = order.options
    if order.model == "emo-v1":
        inputs |= {"face_bbox": list(options["face_bbox"]), "ext_bbox": list(options["ext_bbox"])}
        parameters = {"style_level": options.get("style_level", "normal")}
    elif order.model == "wan-2.2-animate":
        parameters = {"mode": str(order.route.get("mode", "wan-std")), "check_image": True}
    else:
        parameters = {"resolution": str(options.get("resolution", "480p")).upper()}
    return {"model": name, "input": inputs, "parameters": parameters}


def detection(name: str, address: str, ratio: str) -> dict[str, Any]:
    parameters = {"parameters": {"ratio": ratio or "1:1"}} if name == EMO_DETECT else {}
    return {"model": name, "input": {"image_url": address}, **parameters}


def verdict(said: Mapping[str, Any]) -> Verdict:
    """Raises Unavailable for an answer that is no verdict."""
    output = said.get("output")
    if not isinstance(output, dict) or not isinstance(output.get("check_pass"), bool):
        raise Unavailable(f"no verdict: {json.dumps(said)[:200]}")
    if output["check_pass"]:
        return Verdict(
            fit=True, person=True, face=_box(output.get("face_bbox")), frame=_box(output.get("ext_bbox"))
        )
    code = ours(text(output.get("code")), "image_unsuitable")
    words = FAILURES[code]
    person = output.get("humanoid") is True
    return Verdict(fit=False, person=person, code=code, message=f"{words.message} {words.hint}".strip())


def _box(value: Any) -> Box | None:
    if not isinstance(value, list) or len(value) != CORNERS or not all(type(c) is int for c in value):
        return None
    left, top, right, bottom = value
    return left, top, right, bottom


@dataclass(frozen=True)
class Policy:
    """Leave to put files into the vendor's temporary store."""

    host: str
    folder: str
    most_bytes: int
    fields: Mapping[str, str]


def policy(said: Mapping[str, Any]) -> Policy:
    """Raises Unavailable for what is none."""
    data = said.get("data")
    names = ("policy", "signature", "upload_dir", "upload_host", "oss_access_key_id")
    if not isinstance(data, dict) or not all(isinstance(data.get(name), str) for name in names):
        raise Unavailable("no leave to upload")
    most = data.get("max_file_size_mb")
    return Policy(
        host=data["upload_host"],
        folder=data["upload_dir"],
        most_bytes=(most if isinstance(most, int) else 100) * MIB,
        fields={
            "OSSAccessKeyId": data["oss_access_key_id"],
            "Signature": data["signature"],
            "policy": data["policy"],
            "x-oss-object-acl": str(data.get("x_oss_object_acl", "private")),
            "x-oss-forbid-overwrite": str(data.get("x_oss_forbid_overwrite", "true")),
            "success_action_status": "200",
        },
    )


def suffix(file: InputFile) -> str:
    return {"audio/mpeg": "mp3", "video/x-msvideo": "avi", "video/quicktime": "mov", "image/jpeg": "jpg"}.get(
        file.content_type, file.content_type.rpartition("/")[2]
    )


def update(external_id: str, said: Mapping[str, Any]) -> Update:
    """A task in our words. Raises Unavailable for an answer that says nothing."""
    output = said.get("output")
    if not isinstance(output, dict) or output.get("task_id") != external_id:
        raise Unavailable(f"an answer about something else: {json.dumps(said)[:200]}")
    status = output.get("task_status")
    if status == "SUCCEEDED":
        return _succeeded(external_id, output, said.get("usage"))
    if status == "FAILED":
        code, note = text(output.get("code")), text(output.get("message"))
        return failed(external_id, ours(code, "provider_failed"), f"{code}: {note}")
    if not isinstance(status, str) or status not in STATES:
        raise Unavailable(f"an unknown status {str(status)[:50]!r}")
    state = STATES[status]
    return Update(external_id, state, phase="render" if state is State.RUNNING else "waiting")


def _succeeded(external_id: str, output: Mapping[str, Any], usage: Any) -> Update:
    """Sibling models put the address beside `results`; some tell the length by another name."""
    address = web_address(named(output, "results", "video_url") or output.get("video_url"))
    if not address:
        return failed(external_id, "provider_failed", "succeeded without a usable output")
    seconds = named(usage, "duration") or named(usage, "video_duration")
    billed = round(seconds * 1000) if isinstance(seconds, int | float) and 0 < seconds < 3600 else 0  # noqa: PLR2004  an hour
    outputs = (Output("video", url=address),)
    return Update(external_id, State.SUCCEEDED, progress=1.0, outputs=outputs, billed_ms=billed)


def ours(code: str, otherwise: str) -> str:
    """Our code for one of theirs: by its whole, then by what it begins with."""
    while code:
        if code in CODES:
            return CODES[code]
        code = code.rpartition(".")[0]
    return otherwise


def complaint(status: int, said: Any) -> ProviderError | None:
    """An error answer, which its code explains better than its status."""
    code, note = text(named(said, "code")), text(named(said, "message"))
    why = f"{code}: {note}"
    if code in ACCOUNT or code.startswith("AccessDenied"):
        return AccountRefused(why)
    if code.startswith("Throttling"):
        return Throttled(why, retry_after=QUOTA_PAUSE if code.endswith("Quota") else 5.0)
    if code in {"ModelServingError", "ModelUnavailable"}:
        return Unavailable(why)
    if code == "NotFound" or (code in {"InvalidParameter", "InvalidURL"} and "url error" in note):
        # Stands for a wrong path or a model of another family: the route is wrong, not the order.
        return unsuitable("model_unsuitable", why)
    if 400 <= status < 500 and status != 408 and code:  # noqa: PLR2004  HTTP
        mine = ours(code, "input_unsuitable")
        return refused(mine, why) if mine in FINAL_WORD else unsuitable(mine, why)
    return None


def unfit(found: Verdict) -> Refused:
    """A picture that the vendor's detector refused: its generator would refuse it as well."""
    return refused(found.code, f"the detector refused the picture: {found.code}")


def page(number: int, name: str) -> str:
    return f"/tasks?page_no={number}&page_size=50&model_name={name}"


def unaccounted(said: Mapping[str, Any], lost: Lost, slack_ms: int) -> list[str]:
    """The tasks of a page that are none of our known ones and not older than the lost order."""
    items = said.get("data")
    if not isinstance(items, list):
        raise OutcomeUnknown("a list without tasks")
    since = lost.since.timestamp() * 1000 - slack_ms
    found = []
    for item in items:
        name, created = named(item, "task_id"), named(item, "gmt_create")
        if not isinstance(name, str) or not ID.fullmatch(name) or not isinstance(created, int):
            raise OutcomeUnknown("a list of something else")
        if name not in lost.known and created >= since:
            found.append(name)
    return found
