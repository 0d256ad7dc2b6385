"""An httpx transport that connects only to the address it has checked.

The check sits where the socket is opened: the name is resolved once, every answer must be public, and the
socket goes to one of those very answers. Host header, SNI and the certificate check keep the name. A second
look-up, which a rebinding name server could answer differently, does not happen.
"""

from __future__ import annotations

import functools
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from ipaddress import ip_address

import httpcore
import httpx

from accounts.public import is_allowed, is_public
from jobs.fetch.refusals import FetchRefused

# A name with many answers costs at most this many connection attempts.
MAX_ADDRESSES = 4
SocketOptions = Iterable[
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
]


def resolve(host: str, port: int, seconds: float) -> list[str]:
    """The host's addresses, all of them public (or the operator's), in the resolver's order.

    getaddrinfo knows no time-out; it runs in a thread that is left behind when the time is up.
    """
    answer: list[str] = []
    failure: list[Exception] = []

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answer.extend(dict.fromkeys(str(entry[4][0]) for entry in found))
        except (OSError, UnicodeError) as error:
            failure.append(error)

    thread = threading.Thread(target=ask, daemon=True, name="resolve")
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise FetchRefused("url_timeout")
    if failure or not answer:
        raise FetchRefused("url_unreachable")
    if not is_allowed(host, port) and not all(is_public(ip_address(address)) for address in answer):
        raise FetchRefused("url_private")
    return answer


class DeadlineStream(httpcore.NetworkStream):
    """A stream whose reads and writes end at one moment, however slowly the other side drips."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def _left(self, timeout: float | None, error: type[Exception]) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise error
        return left if timeout is None else min(left, timeout)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._left(timeout, httpcore.ConnectTimeout)
        return DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


class PinnedBackend(httpcore.NetworkBackend):
    """Opens sockets for the connection pool: resolve, check, connect to what was checked."""

    def __init__(self, total_seconds: float) -> None:
        self._inner = httpcore.SyncBackend()
        self._total = total_seconds

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: SocketOptions | None = None,
    ) -> httpcore.NetworkStream:
        deadline = time.monotonic() + self._total
        addresses = resolve(host, port, self._total if timeout is None else min(timeout, self._total))

        def connect(address: str) -> httpcore.NetworkStream:
            left = max(0.001, deadline - time.monotonic())
            wait = left if timeout is None else min(left, timeout)
            return self._inner.connect_tcp(address, port, wait, local_address, socket_options)

        return DeadlineStream(first_of(addresses[:MAX_ADDRESSES], connect), deadline)


def first_of(
    addresses: list[str], connect: Callable[[str], httpcore.NetworkStream]
) -> httpcore.NetworkStream:
    """The first address that takes the connection: a broken IPv6 route must not hide a working IPv4 one."""
    for address in addresses[:-1]:
        try:
            return connect(address)
        except (httpcore.ConnectError, httpcore.ConnectTimeout):
            continue
    return connect(addresses[-1])


@functools.cache
def tls_context() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


class PinnedTransport(httpx.HTTPTransport):
    """See the module. `total_seconds` bounds one request from connect to last byte."""

    def __init__(self, *, total_seconds: float = 30.0) -> None:
        super().__init__(verify=tls_context(), trust_env=False)
        # No connection is kept: each request resolves and checks anew, and its deadline is its own.
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls_context(),
            max_connections=20,
            max_keepalive_connections=0,
            http1=True,
            http2=False,
            network_backend=PinnedBackend(total_seconds),
        )


def client(*, timeout: float, headers: dict[str, str] | None = None) -> httpx.Client:
    """A client for addresses that customers gave (webhooks): pinned, no proxies, no redirects.

    One request takes at most `timeout` seconds in all. Raises FetchRefused as well as httpx's errors.
    """
    return httpx.Client(
        transport=PinnedTransport(total_seconds=timeout),
        timeout=timeout,
        headers=headers,
        follow_redirects=False,
        trust_env=False,
    )
