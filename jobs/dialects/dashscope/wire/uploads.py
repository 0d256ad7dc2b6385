"""Temporary uploads: `oss://` addresses, and the form that makes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from jobs.dialects.dashscope.wire.faults import refused

SCHEME = "oss://"
ROOT = "dashscope-instant"
# A policy may be used this long (seconds).
POLICY_SECONDS = 300
NAME = re.compile(r"[^/\\\x00-\x1f\ud800-\udfff]{1,255}")


def asset_id(key: str) -> UUID:
    """The id of the file of an upload key: derived, so that a key names one file for good and none is overwritten."""
    return uuid5(NAMESPACE_URL, SCHEME + key)


def folder(secret: str) -> str:
    """Where one policy's files go. Nobody guesses it; whose they are is checked all the same."""
    return f"{ROOT}/{secret}"


def policy(
    *, text: str, signature: str, directory: str, host: str, most_bytes: int, key_id: str
) -> dict[str, Any]:
    return {
        "policy": text,
        "signature": signature,
        "upload_dir": directory,
        "upload_host": host,
        "expire_in_seconds": POLICY_SECONDS,
        "max_file_size_mb": most_bytes // 1024**2,
        "capacity_limit_mb": 999999999,
        "oss_access_key_id": key_id,
        "x_oss_object_acl": "private",
        "x_oss_forbid_overwrite": "true",
    }


def file_key(form: Mapping[str, Any], directory: str) -> tuple[str, str]:
    """The form's key, checked to lie in the policy's folder, and the file's own name."""
    key = str(form.get("key", ""))
    head, _, name = key.rpartition("/")
    if head != directory or not NAME.fullmatch(name):
        raise refused(403, "AccessDenied", f"key must be {directory}/<file name>.")
    return key, name
