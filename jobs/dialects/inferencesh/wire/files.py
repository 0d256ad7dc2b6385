"""Files: what an upload announces, and how one is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.dialects.inferencesh.wire.tasks import moment
from jobs.errors import Invalid
from jobs.models import Asset

MOST = 20
UNNAMED = "upload"
ROLES = ("input", "output")


@dataclass(frozen=True)
class Announced:
    """`size` in bytes."""

    filename: str
    content_type: str
    size: int


def announced(body: Any) -> list[Announced]:
    files = body.get("files") if isinstance(body, Mapping) else None
    if not isinstance(files, list) or not 1 <= len(files) <= MOST:
        raise Invalid("parameter_invalid", f"files must be a list of 1 to {MOST} files.", field="files")
    return [_one(entry) for entry in files]


def _one(entry: Any) -> Announced:
    if not isinstance(entry, Mapping):
        raise Invalid("parameter_invalid", "Each of files must be a JSON object.", field="files")
    size = entry.get("size")
    if not isinstance(size, int) or isinstance(size, bool):
        raise Invalid("parameter_invalid", "size must be the file's length in whole bytes.", field="size")
    return Announced(_text(entry, "filename") or UNNAMED, _text(entry, "content_type"), size)


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    if value is not None and not isinstance(value, str):
        raise Invalid("parameter_invalid", f"{name} must be a text.", field=name)
    return value or ""


def file(asset: Asset, *, uri: str, upload_url: str) -> dict[str, Any]:
    return {
        "id": str(asset.id),
        "path": asset.filename,
        "remote_path": "",
        "upload_url": upload_url,
        "uri": uri,
        "content_type": asset.content_type,
        "size": asset.bytes,
        "filename": asset.filename,
        "category": "",
        "rating": "unrated",
        "metadata": None,
    }


def task_file(asset: Asset, *, uri: str, role: str) -> dict[str, Any]:
    return {
        "id": str(asset.id),
        "created_at": moment(asset.created_at),
        "role": role,
        "uri": uri,
        "filename": asset.filename,
        "content_type": asset.content_type,
        "size": asset.bytes,
    }


def roles(wanted: str | None) -> tuple[str, ...]:
    if not wanted:
        return ROLES
    if wanted not in ROLES:
        raise Invalid("parameter_invalid", "role must be input or output.", field="role")
    return (wanted,)
