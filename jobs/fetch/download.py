"""Bring a customer's file here: capped in bytes, in time and in hops."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import httpx

from jobs.fetch.addresses import parse
from jobs.fetch.refusals import FetchRefused
from jobs.fetch.transport import PinnedTransport

CHUNK = 256 * 1024
OK = 200
REDIRECTS = {301, 302, 303, 307, 308}
# Statuses after which the same address may answer properly.
LATER = {408, 425, 429, 500, 502, 503, 504}
# identity: what is counted is what is stored; a compressed answer could grow a thousandfold.
HEADERS = {"User-Agent": "Voicereel/1", "Accept": "*/*", "Accept-Encoding": "identity"}
DATA_URI = re.compile(
    r"data:(?P<type>[\w.+-]+/[\w.+-]+)?(?:;[\w-]+=[^;,]*)*;base64,", re.ASCII | re.IGNORECASE
)


@dataclass(frozen=True)
class Fetched:
    """A downloaded file. `content_type` is the server's claim and decides nothing."""

    bytes: int
    sha256: str
    final_url: str
    content_type: str


def download(
    url: str, dest: Path, *, max_bytes: int, timeout_seconds: float, max_redirects: int = 3
) -> Fetched:
    """Stream `url` into `dest`; all hops together take at most `timeout_seconds`.

    Raises FetchRefused and then leaves no file.
    """
    deadline = time.monotonic() + timeout_seconds
    here = parse(url)
    for hop in range(max_redirects + 1):
        try:
            step = _hop(here, dest, max_bytes=max_bytes, deadline=deadline)
        except FetchRefused as refusal:
            if hop and refusal.code == "url_private":
                raise FetchRefused("url_redirect_private") from None
            raise
        if isinstance(step, Fetched):
            return step
        here = _next_hop(here, step)
    raise FetchRefused("url_too_many_redirects")


def _hop(url: httpx.URL, dest: Path, *, max_bytes: int, deadline: float) -> Fetched | str:
    """One request: the file, or the Location it redirects to."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise FetchRefused("url_timeout")
    with (
        _transport_errors(),
        httpx.Client(transport=PinnedTransport(total_seconds=left), timeout=left, trust_env=False) as http,
        http.stream("GET", url, headers=HEADERS, follow_redirects=False) as response,
    ):
        if response.status_code in REDIRECTS and response.headers.get("location"):
            return str(response.headers["location"])
        _check_answer(response, max_bytes)
        with _whole_file(dest) as file:
            size, digest = _copy(response, file, max_bytes)
        content_type = response.headers.get("content-type", "")
        return Fetched(bytes=size, sha256=digest, final_url=str(url), content_type=content_type)


def _next_hop(here: httpx.URL, location: str) -> httpx.URL:
    try:
        target = str(here.join(location))
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise FetchRefused("url_invalid", "This address redirects to one that is not usable.") from None
    try:
        return parse(target)
    except FetchRefused as refusal:
        code = "url_redirect_private" if refusal.code == "url_private" else refusal.code
        raise FetchRefused(code) from None


def _check_answer(response: httpx.Response, max_bytes: int) -> None:
    if response.status_code != OK:
        message = f"The server behind this address answered {response.status_code} instead of the file."
        raise FetchRefused("url_status", message, retryable=response.status_code in LATER)
    if response.headers.get("content-encoding", "identity").lower() not in {"", "identity"}:
        raise FetchRefused("url_status", "The server sends this file only in a compressed form.")
    length = response.headers.get("content-length", "")
    if length.isdecimal() and int(length) > max_bytes:
        raise _too_large(max_bytes)


def _copy(response: httpx.Response, file: BinaryIO, max_bytes: int) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    for chunk in response.iter_raw(CHUNK):
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes)
        digest.update(chunk)
        file.write(chunk)
    return size, digest.hexdigest()


def _too_large(max_bytes: int) -> FetchRefused:
    return FetchRefused("url_too_large", f"This file is larger than {max_bytes / 1024**2:.4g} MiB.")


@contextmanager
def _whole_file(dest: Path) -> Iterator[BinaryIO]:
    """`dest` appears complete or not at all."""
    part = dest.with_name(f"{dest.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(dest)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _transport_errors() -> Iterator[None]:
    """Httpx's errors as refusals; their texts may hold addresses and are not shown."""
    try:
        yield
    except httpx.TimeoutException:
        raise FetchRefused("url_timeout") from None
    except (httpx.TransportError, httpx.DecodingError):
        raise FetchRefused("url_unreachable") from None
    except httpx.InvalidURL:
        raise FetchRefused("url_invalid") from None


def data_uri(text: str, dest: Path, max_bytes: int) -> Fetched:
    """Decode a `data:<type>;base64,<data>` input into `dest`. Raises FetchRefused."""
    head = DATA_URI.match(text)
    if head is None:
        raise FetchRefused("url_invalid", "Data addresses must read data:<type>;base64,<data>.")
    # Four letters carry three bytes; measured before anything is decoded.
    if (len(text) - head.end()) * 3 // 4 > max_bytes + 2:
        raise _too_large(max_bytes)
    try:
        content = base64.b64decode(text[head.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise FetchRefused("url_invalid", "The data address is not valid base64.") from None
    if len(content) > max_bytes:
        raise _too_large(max_bytes)
    with _whole_file(dest) as file:
        file.write(content)
    digest = hashlib.sha256(content).hexdigest()
    return Fetched(len(content), digest, "data:", (head["type"] or "").lower())
