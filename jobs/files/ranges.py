"""Byte ranges, and bodies that read a file piece by piece under WSGI and under ASGI."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import BinaryIO

CHUNK = 256 * 1024
RANGE = re.compile(r"bytes=(?P<first>[0-9]{0,18})-(?P<last>[0-9]{0,18})", re.ASCII)


class Unsatisfiable(Exception):
    """The range lies wholly outside the file."""


def parse(header: str, size: int) -> tuple[int, int] | None:
    """The wanted (start, stop) of a single range; None to send everything, which odd headers get too.

    Raises Unsatisfiable.
    """
    match = RANGE.fullmatch(header.strip())
    if match is None or (not match["first"] and not match["last"]):
        return None
    if not match["first"]:
        length = int(match["last"])
        if length == 0 or size == 0:
            raise Unsatisfiable
        return max(0, size - length), size
    first = int(match["first"])
    last = int(match["last"]) if match["last"] else size - 1
    if match["last"] and last < first:
        return None
    if first >= size:
        raise Unsatisfiable
    return first, min(last + 1, size)


class Slice:
    """`file` from start to stop, in pieces."""

    def __init__(self, file: BinaryIO, start: int, stop: int) -> None:
        self._file = file
        self._left = stop - start
        file.seek(start)

    def close(self) -> None:
        self._file.close()

    def piece(self) -> bytes:
        data = self._file.read(min(CHUNK, self._left))
        self._left -= len(data)
        return data


class SyncSlice(Slice):
    """For WSGI."""

    def __iter__(self) -> Iterator[bytes]:
        while data := self.piece():
            yield data


class AsyncSlice(Slice):
    """For ASGI, where Django would gather a synchronous body in memory. Reads off the event loop."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await asyncio.to_thread(self.piece):
            yield data
