"""Connections to vendors: many at once, and a request costs the same whatever their number.

The pool of httpx goes through all of its connections, for each of them again, whenever a request begins or ends: with
two hundred that alone takes more than ten milliseconds.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any

import httpcore
import httpx

from accounts.public import is_allowed, is_public

# A connection that nobody needed for so long is closed.
IDLE_SECONDS = 30.0
# A name with many answers costs at most this many tries.
MAX_ADDRESSES = 4
# What may go wrong, by the names of both layers.
NAMES: dict[type[Exception], type[httpx.TransportError]] = {
    httpcore.ConnectTimeout: httpx.ConnectTimeout,
    httpcore.ReadTimeout: httpx.ReadTimeout,
    httpcore.WriteTimeout: httpx.WriteTimeout,
    httpcore.PoolTimeout: httpx.PoolTimeout,
    httpcore.ConnectError: httpx.ConnectError,
    httpcore.ReadError: httpx.ReadError,
    httpcore.WriteError: httpx.WriteError,
    httpcore.LocalProtocolError: httpx.LocalProtocolError,
    httpcore.RemoteProtocolError: httpx.RemoteProtocolError,
    httpcore.UnsupportedProtocol: httpx.UnsupportedProtocol,
}


class Connections(httpx.AsyncBaseTransport):
    """At most `most` requests on their way, each on a connection of its own; the one used last is used next."""

    def __init__(
        self, most: int, tls: ssl.SSLContext, backend: httpcore.AsyncNetworkBackend | None = None
    ) -> None:
        self.places = asyncio.Semaphore(most)
        self.tls, self.backend = tls, backend
        self.idle: defaultdict[str, deque[httpcore.AsyncHTTPConnection]] = defaultdict(deque)
        self.lent: set[httpcore.AsyncHTTPConnection] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        url = request.url
        asked = httpcore.Request(
            method=request.method,
            url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with as_httpx():
            await self._take_place(asked)
            connection = self._connection(asked.url.origin)
            self.lent.add(connection)
            try:
                answer = await connection.handle_async_request(asked)
            except BaseException:
                self.places.release()
                self.lent.discard(connection)
                await connection.aclose()
                raise
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer, lambda: self._take_back(asked.url.origin, connection)),
            extensions=answer.extensions,
        )

    async def _take_place(self, request: httpcore.Request) -> None:
        try:
            async with asyncio.timeout(request.extensions.get("timeout", {}).get("pool")):
                await self.places.acquire()
        except TimeoutError as error:
            raise httpcore.PoolTimeout("all connections are taken") from error

    def _connection(self, origin: httpcore.Origin) -> httpcore.AsyncHTTPConnection:
        idle = self.idle[str(origin)]
        if idle and not idle[-1].has_expired():
            return idle.pop()
        return httpcore.AsyncHTTPConnection(
            origin=origin,
            ssl_context=self.tls,
            keepalive_expiry=IDLE_SECONDS,
            network_backend=self.backend,
        )

    async def _take_back(self, origin: httpcore.Origin, connection: httpcore.AsyncHTTPConnection) -> None:
        """Keep it for the next request if it can serve one, and close those at either end that cannot any more."""
        self.places.release()
        if connection not in self.lent:  # all are closed
            return
        self.lent.discard(connection)
        idle = self.idle[str(origin)]
        if connection.is_idle():
            idle.append(connection)
        while idle and idle[0].has_expired():
            await idle.popleft().aclose()

    async def aclose(self) -> None:
        """Close all of them, under those as well who still wait for an answer."""
        while self.lent:
            await self.lent.pop().aclose()
        for idle in self.idle.values():
            while idle:
                await idle.popleft().aclose()


class _Body(httpx.AsyncByteStream):
    """An answer's body; when it is closed, the connection goes back."""

    def __init__(self, answer: httpcore.Response, take_back: Callable[[], Awaitable[None]]) -> None:
        self.answer = answer
        self.take_back: Callable[[], Awaitable[None]] | None = take_back

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with as_httpx():
            async for piece in self.answer.aiter_stream():
                yield piece

    async def aclose(self) -> None:
        take_back, self.take_back = self.take_back, None
        if take_back is None:
            return
        try:
            await self.answer.aclose()
        finally:
            await take_back()


class PublicOnly(httpcore.AsyncNetworkBackend):
    """Opens sockets to public addresses, and to hosts that the operator allows: a name is resolved once, every answer is
    checked, and the socket goes to one of those very answers.
    """

    def __init__(self) -> None:
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  the base class has it
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        found = await _resolved(host, port, timeout)
        if not is_allowed(host, port) and not all(is_public(ip_address(address)) for address in found):
            raise httpcore.ConnectError("not an address of the public internet")
        *others, last = found[:MAX_ADDRESSES]
        for address in others:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._inner.connect_tcp(last, port, timeout, local_address, socket_options)


async def _resolved(host: str, port: int, seconds: float | None) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(seconds):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError as error:
        raise httpcore.ConnectTimeout("the name was not resolved in time") from error
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError("the name cannot be resolved") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@contextmanager
def as_httpx() -> Iterator[None]:
    """The errors of httpcore as those of httpx."""
    try:
        yield
    except tuple(NAMES) as error:
        raise NAMES[type(error)](str(error)) from error
