"""What both kinds of storage can do, and how they fail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

# Asked for where only an answer is wanted; nothing is there.
PROBE_KEY = "status/probe"


class StorageUnavailable(Exception):
    """The store did not answer, or not as it should. The same call may succeed later."""


@dataclass(frozen=True)
class SignedPut:
    """An address that takes one file by PUT, with exactly these headers."""

    url: str
    headers: Mapping[str, str]


class Backend(Protocol):
    """A missing object is FileNotFoundError (None for `size`), any other trouble StorageUnavailable.

    `answers` raises nothing and has no patience.
    """

    def put(self, key: str, path: Path, content_type: str) -> None: ...

    def fetch(self, key: str, dest: Path) -> None: ...

    def open(self, key: str) -> BinaryIO: ...

    def size(self, key: str) -> int | None: ...

    def answers(self) -> bool: ...

    def delete(self, keys: Iterable[str]) -> None: ...

    def under(self, prefix: str) -> list[str]: ...

    def copy(self, src: str, dst: str) -> None: ...

    def signed_get(
        self, key: str, *, seconds: int, filename: str | None, inline: bool, content_type: str | None
    ) -> str: ...

    def signed_put(
        self,
        key: str,
        *,
        content_type: str | None,
        max_bytes: int,
        seconds: int,
        overwrite: bool,
        exact: bool,
    ) -> SignedPut: ...


def disposition(filename: str | None, *, inline: bool) -> str:
    """A Content-Disposition; `filename` must be a safe name."""
    way = "inline" if inline else "attachment"
    return f'{way}; filename="{filename}"' if filename else way
