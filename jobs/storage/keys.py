"""Names of stored objects: made by us, never taken from a customer."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath
from uuid import UUID, uuid4

from django.utils import timezone

MAX_NAME = 80
SAFE_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*")


def new_key(organization_id: object, asset_id: UUID | None, filename: str) -> str:
    """`<organization>/<year>/<month>/<uuid>/<name>`: a tenant's objects share a prefix, none shares a key."""
    month = timezone.now().strftime("%Y/%m")
    return f"{organization_id}/{month}/{asset_id or uuid4()}/{safe_name(filename)}"


def safe_name(filename: str) -> str:
    """A file name of harmless ASCII that keeps its ending."""
    plain = unicodedata.normalize("NFKD", filename).encode("ascii", "ignore").decode()
    name = PurePosixPath(plain.replace("\\", "/")).name
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")
    stem, dot, suffix = name.rpartition(".")
    if dot and 0 < len(suffix) <= 10:  # noqa: PLR2004  longer is no file ending
        return f"{stem[: MAX_NAME - len(suffix) - 1]}.{suffix}"
    return name[:MAX_NAME] or "file"


def checked(key: str) -> str:
    """The key, if it is one of ours in form. A provider's output name must not climb out of its folder."""
    if not SAFE_KEY.fullmatch(key):
        raise ValueError(f"not a storage key: {key!r}")
    return key
