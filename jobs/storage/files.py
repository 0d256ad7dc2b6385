"""Plain files under MEDIA_DIR: the embedded default. Its signed addresses are served by jobs/files.py."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.core.files.storage import FileSystemStorage

from jobs.storage.backend import PROBE_KEY, SignedPut, StorageUnavailable
from jobs.storage.keys import checked
from jobs.storage.tokens import seal


class FileBackend:
    """Objects appear complete or not at all: written beside their place, flushed to disk, renamed."""

    def __init__(self, storage: FileSystemStorage) -> None:
        self._storage = storage

    def path(self, key: str) -> Path:
        return Path(self._storage.path(checked(key)))

    def put(self, key: str, path: Path, content_type: str) -> None:
        del content_type  # kept in the Asset row
        with _errors(), path.open("rb") as source, self.writing(key, overwrite=True) as file:
            shutil.copyfileobj(source, file, 1 << 20)

    @contextmanager
    def writing(self, key: str, *, overwrite: bool) -> Iterator[BinaryIO]:
        """A file that becomes the object when the block ends well. Or FileExistsError."""
        place = self.path(key)
        if not overwrite and place.exists():
            raise FileExistsError(key)
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_name(f".{place.name[:60]}.{secrets.token_hex(6)}.part")
        try:
            with part.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if overwrite:
                part.replace(place)
            else:
                # Unlike a rename a link fails when somebody else was first.
                os.link(part, place)
        finally:
            part.unlink(missing_ok=True)

    def fetch(self, key: str, dest: Path) -> None:
        with _errors():
            shutil.copyfile(self.path(key), dest)

    def open(self, key: str) -> BinaryIO:
        with _errors():
            return self.path(key).open("rb")

    def size(self, key: str) -> int | None:
        try:
            with _errors():
                return self.path(key).stat().st_size
        except FileNotFoundError:
            return None

    def answers(self) -> bool:
        try:
            self.size(PROBE_KEY)
        except StorageUnavailable:
            return False
        return True

    def delete(self, keys: Iterable[str]) -> None:
        with _errors():
            for key in keys:
                # Not through `path`: what a killed upload left half-written has a name that no key has.
                place = Path(self._storage.path(key))
                place.unlink(missing_ok=True)
                # The folder was this object's own; a folder with others stays.
                with suppress(OSError):
                    place.parent.rmdir()

    def under(self, prefix: str) -> list[str]:
        root = self.path(prefix)
        with _errors():
            return [f"{prefix}/{place.relative_to(root)}" for place in root.rglob("*") if place.is_file()]

    def copy(self, src: str, dst: str) -> None:
        self.put(dst, self.path(src), "")

    def signed_get(
        self, key: str, *, seconds: int, filename: str | None, inline: bool, content_type: str | None
    ) -> str:
        content = {
            "m": "get",
            "k": checked(key),
            "n": filename or "",
            "i": int(inline),
            "t": content_type or "",
        }
        return address(content, seconds)

    def signed_put(
        self,
        key: str,
        *,
        content_type: str | None,
        max_bytes: int,
        seconds: int,
        overwrite: bool,
        exact: bool,
    ) -> SignedPut:
        content = {
            "m": "put",
            "k": checked(key),
            "t": content_type or "",
            "b": max_bytes,
            "o": int(overwrite),
            "e": int(exact),
        }
        headers = {"Content-Type": content_type} if content_type else {}
        if not overwrite:
            headers["If-None-Match"] = "*"
        return SignedPut(address(content, seconds), headers)


def address(content: dict[str, Any], seconds: int) -> str:
    return f"{settings.PUBLIC_URL}/storage/{seal(content, seconds=seconds)}"


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, FileExistsError):
        raise
    except OSError as error:
        raise StorageUnavailable(str(error)) from error
