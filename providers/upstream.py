"""Requests to a vendor's API: bounded in time and size, never redirected, and whatever happens is one of our errors.

The address is the operator's, so no private network is refused there; where a vendor wants files elsewhere, it is. What
a vendor names as a result is fetched by others, through the pinned transport.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any, Self

import httpx

from providers.base import Account, InputFile, Lost, State, Update
from providers.connections import Connections, PublicOnly
from providers.errors import (
    AccountRefused,
    NotFound,
    OutcomeUnknown,
    ProviderError,
    Refused,
    Throttled,
    Unavailable,
)
from providers.failures import unsuitable

log = logging.getLogger(__name__)

ANSWER_BYTES = 1024 * 1024
ANSWER_SECONDS = 25.0
CONNECT_SECONDS = 8.0
CHUNK = 256 * 1024
# How many questions a batch has on the wire at once, where the vendor sets no pace.
AT_ONCE = 32
# Requests on their way to one address where many are asked all the time.
KEPT = 1000
LONGEST_PAUSE = 300.0
SETTLED = timedelta(minutes=2)
NOTE = 400
# An id that no order has, to ask about where only the asking matters.
NOBODYS = "00000000-0000-4000-8000-000000000000"
# What may stand in an address of theirs: an id is put into paths.
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,199}", re.ASCII)
OK, REDIRECT, BAD, FAULT = 200, 300, 400, 500
UNAUTHORIZED, UNPAID, FORBIDDEN, MISSING, LATE, MANY = 401, 402, 403, 404, 408, 429

# Of a file: it may be there later, or once an operator has entered another key.
LATER = {UNAUTHORIZED, UNPAID, LATE, 425, MANY}

# Reads an error answer (status, JSON or None) in the vendor's words; None: they may be anybody's, see _usual.
Complaint = Callable[[int, Any], ProviderError | None]
# The status that an answer means, where the vendor writes another one into its body.
Meant = Callable[[int, Any], int]


# The clients of a process that asks again and again, by address; None where a conversation ends with its connections.
_kept: ContextVar[dict[str, httpx.AsyncClient] | None] = ContextVar("kept", default=None)


@asynccontextmanager
async def kept_connections() -> AsyncIterator[None]:
    """Within it, conversations with a vendor go on over the connections of those before. One event loop throughout."""
    clients: dict[str, httpx.AsyncClient] = {}
    before = _kept.set(clients)
    try:
        yield
    finally:
        _kept.reset(before)
        for client in clients.values():
            await client.aclose()


def _client(most: int, *, public_only: bool = False) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=Connections(most, _tls(), PublicOnly() if public_only else None),
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
        # Several accounts may share a client; nothing of one goes with another's requests.
        cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
    )


class Upstream:
    """A conversation with one vendor on one account; use it as an asynchronous context."""

    def __init__(
        self,
        account: Account,
        *,
        base_url: str,
        headers: Mapping[str, str],
        complaint: Complaint,
        meant: Meant | None = None,
    ) -> None:
        self.account = account
        self.base_url = (account.base_url or base_url).rstrip("/")
        self.complaint, self.meant = complaint, meant
        self.headers = {"User-Agent": "Voicereel/1", "Accept-Encoding": "identity", **headers}
        self.kept = _kept.get()
        self.http = _client(AT_ONCE * 2) if self.kept is None else self._shared(self.kept)

    def _shared(self, kept: dict[str, httpx.AsyncClient]) -> httpx.AsyncClient:
        if self.base_url not in kept:
            kept[self.base_url] = _client(KEPT)
        return kept[self.base_url]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.kept is None:
            await self.http.aclose()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        places_order: bool = False,
        counts: bool = False,
    ) -> dict[str, Any]:
        """The JSON object that the vendor answers.

        `places_order`: from the moment the request may have arrived, a lost or unreadable answer is OutcomeUnknown.
        `counts`: it is one of the queries that the vendor limits, and waits for its place among them.
        """
        if counts and self.account.turn:
            await self.account.turn()
        lost: type[ProviderError] = OutcomeUnknown if places_order else Unavailable
        extra = {**self.headers, **(headers or {})}
        try:
            async with asyncio.timeout(ANSWER_SECONDS + CONNECT_SECONDS):
                request = self.http.build_request(
                    method, self.base_url + path, json=body, content=content, headers=extra
                )
                status, answer_headers, raw = await self._answer(request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Unavailable(_say(error)) from error
        except (httpx.HTTPError, TimeoutError, _TooLarge) as error:
            raise lost(_say(error)) from error
        return self._read(status, answer_headers, raw, places_order=places_order)

    def _read(self, status: int, headers: httpx.Headers, raw: bytes, *, places_order: bool) -> dict[str, Any]:
        said = _json(raw)
        if status < OK or REDIRECT <= status < BAD:
            raise Unavailable(f"{status} instead of an answer")
        status = self.meant(status, said) if self.meant else status
        lost: type[ProviderError] = OutcomeUnknown if places_order else Unavailable
        if status >= BAD:
            error = self.complaint(status, said) or _usual(status, headers, places_order=places_order)
            error.message = f"{status} {error.message or raw[:NOTE].decode(errors='replace')}"[:NOTE]
            raise error
        if not isinstance(said, dict):
            raise lost(f"{status} with a body that is no object: {raw[:NOTE]!r}")
        return said

    async def _answer(self, request: httpx.Request) -> tuple[int, httpx.Headers, bytes]:
        response = await self.http.send(request, stream=True)
        try:
            raw = bytearray()
            async for chunk in response.aiter_raw(CHUNK):
                raw += chunk
                if len(raw) > ANSWER_BYTES:
                    raise _TooLarge(f"{response.status_code} with more than {ANSWER_BYTES} bytes")
            return response.status_code, response.headers, bytes(raw)
        finally:
            await response.aclose()

    async def send_file(
        self, file: InputFile, method: str, url: str, headers: Mapping[str, str], form: Form | None = None
    ) -> None:
        """Stream an input from our storage to where the vendor wants it. Nothing was ordered by it, so whatever goes
        wrong is Unavailable.
        """
        before, after = form.around(file) if form else (b"", b"")
        length = str(len(before) + file.bytes + len(after))
        try:
            place = self._place(url)
            async with self.source(file) as pieces, self._sender(place) as http:
                content = _around(before, pieces, after)
                extra = {"User-Agent": "Voicereel/1", **headers, "Content-Length": length}
                # Of the answer its status is all that is read.
                async with http.stream(method, place, content=content, headers=extra) as response:
                    status = response.status_code
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(f"a file could not be sent: {_say(error)}") from error
        if not OK <= status < REDIRECT:
            raise Unavailable(f"a file was answered with {status}")

    def _place(self, url: str) -> httpx.URL:
        """A vendor names it itself: by https, or as openly as the operator's own address is written."""
        place = httpx.URL(url)
        if not place.host or place.scheme not in {"https", httpx.URL(self.base_url).scheme}:
            raise Unavailable(f"will not send files to {url[:100]!r}")
        return place

    @asynccontextmanager
    async def _sender(self, place: httpx.URL) -> AsyncIterator[httpx.AsyncClient]:
        """The vendor's own host is the operator's choice, in a private network or not; any other must be public."""
        ours = httpx.URL(self.base_url)
        if (place.scheme, place.host, place.port) == (ours.scheme, ours.host, ours.port):
            yield self.http
            return
        async with _client(1, public_only=True) as http:
            yield http

    @asynccontextmanager
    async def source(self, file: InputFile) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes of one of our own files."""
        async with self.http.stream("GET", file.url, headers={"Accept-Encoding": "identity"}) as response:
            if response.status_code != OK:
                raise Unavailable(f"our own storage answered {response.status_code}")
            yield response.aiter_raw(CHUNK)

    async def save(self, path: str, to: Path, *, most: int) -> None:
        """Write what the vendor keeps for the account into a file.

        NotFound where it has nothing, or nothing any more; Refused for more than `most` bytes.
        """
        try:
            async with self.http.stream("GET", self.base_url + path, headers=self.headers) as response:
                if response.status_code in LATER or response.status_code >= FAULT:
                    raise Unavailable(f"{response.status_code} instead of the file")
                if response.status_code != OK:
                    raise NotFound(f"{response.status_code} instead of {path}")
                size = 0
                if int(response.headers.get("content-length") or 0) > most:
                    raise Refused(f"a file of more than {most} bytes")
                with to.open("wb") as out:
                    async for chunk in response.aiter_raw(CHUNK):
                        size += len(chunk)
                        if size > most:
                            raise Refused(f"a file of more than {most} bytes")
                        out.write(chunk)
        except httpx.HTTPError as error:
            raise Unavailable(_say(error)) from error

    async def verify(self, path: str) -> None:
        """Whether the account is let in, asked by an order that nobody has."""
        with suppress(NotFound, Refused):
            await self.ask("GET", path)

    async def each(self, ids: Sequence[str], ask: Callable[[str], Awaitable[Update]]) -> list[Update]:
        """An update for each id, at the account's pace; LOST for what is not known, none for what went wrong."""
        if len(ids) == 1:
            update = await answered(ids[0], ask)
            return [update] if update else []
        rate = self.account.queries_per_second
        places = asyncio.Semaphore(AT_ONCE)

        async def one(place: int, name: str) -> Update | None:
            if rate:
                await asyncio.sleep(place / rate)
            async with places:
                return await answered(name, ask)

        updates = await asyncio.gather(*(one(place, name) for place, name in enumerate(ids)))
        return [update for update in updates if update is not None]


class Form:
    """A multipart/form-data body; where it has a file, that comes last and is streamed.

    Its boundary is drawn for this one body, so nothing that was written before can hold it.
    """

    def __init__(self, fields: Mapping[str, str], file_field: str = "", filename: str = "") -> None:
        self.fields, self.file_field, self.filename = fields, file_field, filename
        self.boundary = f"voicereel-{secrets.token_hex(16)}"

    @property
    def content_type(self) -> str:
        return f"multipart/form-data; boundary={self.boundary}"

    def whole(self) -> bytes:
        """The body of a form without a file."""
        return f"{self._fields()}--{self.boundary}--\r\n".encode()

    def around(self, file: InputFile) -> tuple[bytes, bytes]:
        """What goes before the file's bytes, and what after."""
        head = (
            f'{self._fields()}--{self.boundary}\r\nContent-Disposition: form-data; name="{self.file_field}"; '
            f'filename="{self.filename}"\r\nContent-Type: {file.content_type}\r\n\r\n'
        )
        return head.encode(), f"\r\n--{self.boundary}--\r\n".encode()

    def _fields(self) -> str:
        return "".join(
            f'--{self.boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in self.fields.items()
        )


def settled(lost: Lost) -> bool:
    """Whether a lost order is old enough for its absence to mean something: a slow vendor may still be taking it."""
    return datetime.now(UTC) - lost.since > SETTLED


async def answered(name: str, ask: Callable[[str], Awaitable[Update]]) -> Update | None:
    """One poll; None when it failed."""
    try:
        return await ask(name)
    except NotFound:
        return Update(name, State.LOST)
    except ProviderError as error:
        log.warning("asking about %s failed: %s: %s", name, type(error).__name__, error.message)
        return None


def external_id(value: Any) -> str:
    """An id as the vendor gave it; OutcomeUnknown for what cannot be one, since the order was taken."""
    if not isinstance(value, str) or not ID.fullmatch(value):
        raise OutcomeUnknown(f"no usable id: {str(value)[:100]!r}")
    return value


def web_address(value: Any) -> str:
    """A result's address, or "" for what is none."""
    longest = 2048
    fits = isinstance(value, str) and value.startswith(("https://", "http://")) and len(value) <= longest
    return str(value) if fits else ""


def text(value: Any) -> str:
    return value[:NOTE] if isinstance(value, str) else ""


def named(said: Any, *path: str) -> Any:
    """What stands at a path of keys in an answer; None where the answer is shaped otherwise."""
    for key in path:
        said = said.get(key) if isinstance(said, dict) else None
    return said


class _TooLarge(Exception):
    pass


def _usual(status: int, headers: httpx.Headers, *, places_order: bool) -> ProviderError:
    """What a status means where the vendor's own words say no more: it may come from whatever stands before the vendor.

    So it never says that an order is gone, nor that the customer's files are at fault; and what a gateway says when it
    has waited for too long, it may say of an order that was taken.
    """
    if status == MANY:
        return Throttled("", retry_after=_pause(headers))
    if status in {UNAUTHORIZED, UNPAID, FORBIDDEN}:
        return AccountRefused()
    if status == MISSING:
        return AccountRefused() if places_order else Unavailable()
    if status == LATE or status >= FAULT:
        return OutcomeUnknown() if places_order else Unavailable()
    return unsuitable("provider_failed")


def _pause(headers: httpx.Headers) -> float:
    """Seconds of Retry-After; a date, or nothing, means a few."""
    try:
        return min(max(float(headers.get("retry-after", "")), 0.1), LONGEST_PAUSE)
    except ValueError:
        return 5.0


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _say(error: BaseException) -> str:
    return f"{type(error).__name__} {error}"[:NOTE]


async def _around(before: bytes, pieces: AsyncIterator[bytes], after: bytes) -> AsyncIterator[bytes]:
    if before:
        yield before
    async for piece in pieces:
        yield piece
    if after:
        yield after


@cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)
