"""Where files live: an S3 store, or plain files in the embedded stack. Callers cannot tell which.

Objects are named by keys of ours (`new_key`); addresses are signed and expire. A missing object is
FileNotFoundError, a store that does not answer is StorageUnavailable.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from django.conf import settings
from django.core.files.storage import FileSystemStorage, storages

from jobs.storage.addresses import AddressExpired, asset_id_of, asset_url
from jobs.storage.backend import PROBE_KEY, Backend, SignedPut, StorageUnavailable
from jobs.storage.files import FileBackend
from jobs.storage.keys import checked, new_key, safe_name

__all__ = [
    "AddressExpired",
    "SignedPut",
    "StorageUnavailable",
    "Workspace",
    "answers",
    "asset_id_of",
    "asset_url",
    "backend",
    "copy",
    "delete",
    "delete_under",
    "exists",
    "fetch",
    "new_key",
    "open",
    "put",
    "safe_name",
    "signed_get",
    "signed_put",
    "size",
    "warm",
    "workspace",
]

# A render reads and writes within its order's life; callers that know it say so.
WORKSPACE_SECONDS = 24 * 3600


def backend() -> Backend:
    storage = storages["default"]
    if isinstance(storage, FileSystemStorage):
        return FileBackend(storage)
    from jobs.storage.s3 import S3Backend  # noqa: PLC0415  boto3 costs 0.3 s to load; only S3 needs it

    return S3Backend(storage)


def put(key: str, path: Path, *, content_type: str) -> None:
    """Store the file at `path`, replacing what was there."""
    backend().put(checked(key), path, content_type)


def fetch(key: str, dest: Path) -> None:
    """Bring an object to a local path."""
    backend().fetch(checked(key), dest)


def open(key: str) -> BinaryIO:  # noqa: A001  storage.open reads as it should
    """An object as a stream of bytes; the caller closes it."""
    return backend().open(checked(key))


def answers() -> bool:
    """Whether the store is there; known within a few seconds, also of one that takes a question and says nothing."""
    return backend().answers()


def warm() -> None:
    """Have the line to the store ready: the first who asks would wait for it. A store that is away is no trouble yet."""
    with suppress(StorageUnavailable):
        backend().size(PROBE_KEY)


def exists(key: str) -> bool:
    return size(key) is not None


def size(key: str) -> int | None:
    """Bytes, or None when there is no such object."""
    return backend().size(checked(key))


def delete(keys: Iterable[str]) -> None:
    """Remove objects; those already gone are fine."""
    backend().delete([checked(key) for key in keys])


def delete_under(prefix: str) -> int:
    """Remove every object of a folder; how many."""
    found = backend().under(checked(prefix))
    backend().delete(found)
    return len(found)


def copy(src: str, dst: str) -> None:
    backend().copy(checked(src), checked(dst))


def signed_get(
    key: str,
    *,
    seconds: int,
    filename: str | None = None,
    inline: bool = True,
    content_type: str | None = None,
) -> str:
    """An absolute address that reads one object, with ranges, until it expires."""
    name = safe_name(filename) if filename else None
    return backend().signed_get(
        checked(key), seconds=seconds, filename=name, inline=inline, content_type=content_type
    )


def signed_put(
    key: str,
    *,
    content_type: str | None,
    max_bytes: int,
    seconds: int,
    overwrite: bool = False,
    exact: bool = False,
) -> SignedPut:
    """An address that takes one object. S3 cannot bound the bytes: look at `size` before using it. But it can sign
    their number: `exact` takes `max_bytes` and not one more or less.
    """
    return backend().signed_put(
        checked(key),
        content_type=content_type,
        max_bytes=max_bytes,
        seconds=seconds,
        overwrite=overwrite,
        exact=exact,
    )


@dataclass(frozen=True)
class Workspace:
    """A folder that a render reads and writes by signed addresses; a second try may overwrite its clips."""

    prefix: str
    seconds: int
    max_bytes: int

    def key(self, name: str) -> str:
        return checked(f"{self.prefix}/{name}")

    def put_url(self, name: str) -> str:
        put = signed_put(
            self.key(name), content_type=None, max_bytes=self.max_bytes, seconds=self.seconds, overwrite=True
        )
        return put.url

    def get_url(self, name: str) -> str:
        return signed_get(self.key(name), seconds=self.seconds)


def workspace(prefix: str, *, seconds: int = WORKSPACE_SECONDS, max_bytes: int | None = None) -> Workspace:
    return Workspace(checked(prefix), seconds, max_bytes or 10 * settings.UPLOAD_MAX_BYTES)
