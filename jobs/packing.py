"""Many videos as one ZIP file, written while it is read: nothing is kept, neither in memory nor on disk.

Films are packed already, so they are stored as they are; their sums follow them, because a stream cannot go back.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO, cast

from jobs import storage

CHUNK = 256 * 1024
# Above this a member's sizes take 8 bytes each; a file that grew since is refused by then.
LARGE = 2 * 1024**3
EARLIEST = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Entry:
    """One file of the archive: its name there, its key in our storage, its bytes as we know them."""

    name: str
    key: str
    bytes: int
    at: datetime


class Spout:
    """What a ZIP file is written to: keeps what came since it was last emptied. It cannot seek, and says so."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.parts.append(bytes(data))
        return len(data)

    def flush(self) -> None: ...

    def emptied(self) -> bytes:
        data = b"".join(self.parts)
        self.parts.clear()
        return data


def packed(entries: Sequence[Entry]) -> Iterator[bytes]:
    """The archive, piece by piece. What is gone by its turn is left out; a store that falls silent breaks the stream."""
    spout = Spout()
    with zipfile.ZipFile(cast("IO[bytes]", spout), "w", zipfile.ZIP_STORED) as archive:
        for entry in entries:
            try:
                source = storage.open(entry.key)
            except FileNotFoundError:
                continue
            info = zipfile.ZipInfo(entry.name, max(entry.at.timetuple()[:6], EARLIEST))
            with source, archive.open(info, "w", force_zip64=entry.bytes > LARGE) as member:
                while data := source.read(CHUNK):
                    member.write(data)
                    yield spout.emptied()
            yield spout.emptied()
    yield spout.emptied()
