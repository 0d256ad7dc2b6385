"""The child process: one order, one JSON answer on stdout. It imports no Django and knows no secret.

`children` starts it, and tells how it ended.

The answer is {"ok": {...}}, {"refused": {"code", "message", "hint"}} or {"output": {"code", "message"}};
anything else, and any other end, is a crash to the parent.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import av
import av.logging

from jobs.media import pictures, sampling, stills, streams
from jobs.media.results import ACCEPTED, MediaRefused, OutputRefused
from jobs.media.sandbox import Limits, confine, die_with_parent
from jobs.media.sniff import Type, describe, sniff

FOUND = {"image": "a picture", "audio": "an audio recording", "video": "a video"}
NEEDED = {"image": "A picture", "audio": "An audio recording", "video": "A video"}
OF_PARTS = {"cuts", "piece", "last_frame", "join"}
CHUNK = 1 << 20


def load() -> None:
    """Whatever an order may need: once confined, a process reads no more of our files."""
    import jobs.media.parts  # noqa: F401, PLC0415  numpy takes long to load, and a child alone may not need it


def main(order: dict[str, Any]) -> None:
    # Libraries may print; the answer has its own descriptor and everything else goes to stderr.
    answer_to = os.dup(1)
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    logging.disable()
    av.logging.set_level(None)
    die_with_parent(order["parent"])
    if order["do"] in OF_PARTS:
        load()
    confine(Limits(**order["limits"]))
    answer = json.dumps(_answer(order)).encode()
    os.write(answer_to, answer)
    # Not through the interpreter's shutdown: a hostile file may have left a library unwell.
    os._exit(0)


def _answer(order: dict[str, Any]) -> dict[str, Any]:
    try:
        with Path(order["path"]).open("rb") as file:
            return {"ok": _carry_out(order, file)}
    except MediaRefused as refusal:
        return {"refused": {"code": refusal.code, "message": refusal.message, "hint": refusal.hint}}
    except OutputRefused as refusal:
        return {"output": {"code": refusal.code, "message": refusal.message}}
    except MemoryError:
        return {"memory": True}


def _carry_out(order: dict[str, Any], file: BinaryIO) -> dict[str, Any]:
    do = order["do"]
    if do == "poster":
        return stills.poster(file, order["dest"])
    if do == "preview":
        return stills.preview(file, order["dest"], order["encoder"])
    if do == "samples":
        return sampling.samples(file, order["folder"], order["most"], order["side"])
    if do in OF_PARTS:
        return _of_parts(do, order, file)
    if do == "verify":
        wanted, slack = order["expect_ms"], order["tolerance_ms"]
        stills.verify(file, wanted, slack, expect_audio=order["expect_audio"])
        file.seek(0)
    return probe(file, order["expect"])


def _of_parts(do: str, order: dict[str, Any], file: BinaryIO) -> dict[str, Any]:
    from jobs.media import parts  # noqa: PLC0415  see load

    if do == "cuts":
        return parts.cuts(file, order["limit_ms"], order["least_ms"])
    if do == "piece":
        return parts.piece(file, order["start_ms"], order["end_ms"], order["dest"])
    if do == "last_frame":
        return parts.last_frame(file, order["dest"], order["least_side"])
    return parts.join(file, order["films"], order["bounds"], order["dest"], order["encoder"])


def probe(file: BinaryIO, expect: str | None) -> dict[str, Any]:
    digest, size = _hash(file)
    if not size:
        raise MediaRefused("not_media", "This file is empty.", f"Accepted are {ACCEPTED[expect]}.")
    found = sniff(file)
    if found is None:
        raise MediaRefused("not_media", f"This is {describe(file)}.", f"Accepted are {ACCEPTED[expect]}.")
    if found.family == "picture":
        _expected("image", found, expect)
        fields = {**pictures.look(file, found), "content_type": found.content_type}
    else:
        fields = _stream(file, found, expect)
    return {**fields, "bytes": size, "sha256": digest}


def _stream(file: BinaryIO, found: Type, expect: str | None) -> dict[str, Any]:
    head = file.read(64)
    file.seek(0)
    likely = expect if expect in {"audio", "video"} else found.content_type.partition("/")[0]
    with streams.opened(file, found, likely) as container:
        kind = streams.kind_of(container)
        if not kind:
            raise streams.unreadable(likely)
        _expected(kind, found, expect)
        video = streams.film(container)
        if video is not None:
            fields = streams.film_fields(container, video)
        else:
            fields = streams.sound_fields(container, container.streams.audio[0])
    return {**fields, "container": found.reader, "content_type": _content_type(found, kind, head)}


def _expected(kind: str, found: Type, expect: str | None) -> None:
    if expect is not None and kind != expect:
        message = f"{NEEDED[expect]} is needed here; this is {FOUND[kind]} ({found.name})."
        raise MediaRefused("wrong_type", message, f"Accepted are {ACCEPTED[expect]}.")


def _content_type(found: Type, kind: str, head: bytes) -> str:
    """Containers that carry sound or film are told apart by what is inside."""
    if found.reader == "matroska":
        return f"{kind}/webm" if b"webm" in head else f"{kind}/x-matroska"
    if found.reader == "ogg":
        return f"{kind}/ogg"
    if kind == "audio":
        return {"mov": "audio/mp4", "asf": "audio/x-ms-wma"}.get(found.reader, found.content_type)
    return _mov_type(head) if found.reader == "mov" else found.content_type


def _mov_type(head: bytes) -> str:
    brand = head[8:12] if head[4:8] == b"ftyp" else b"qt  "
    if brand == b"qt  ":
        return "video/quicktime"
    return "video/3gpp" if brand.startswith(b"3g") else "video/mp4"


def _hash(file: BinaryIO) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while chunk := file.read(CHUNK):
        digest.update(chunk)
        size += len(chunk)
    file.seek(0)
    return digest.hexdigest(), size
