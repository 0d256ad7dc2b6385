"""Which URLs are worth resolving at all."""

from __future__ import annotations

import re

import httpx

from accounts.public import is_allowed, is_public, literal, normal_host
from jobs.fetch.refusals import FetchRefused

PORTS = {80, 443, 8080, 8443}
MAX_URL = 2048
MAX_HOST = 253
# C0, DEL, C1 and every kind of space; a URL that needs them percent-encodes them.
FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\ufeff\\]")
PRIVATE_SUFFIXES = ("localhost", "local", "localdomain", "internal", "intranet", "lan", "home.arpa", "corp")


def port_of(url: httpx.URL) -> int:
    if url.port is not None:
        return url.port
    return 443 if url.scheme == "https" else 80


def check_url(url: str) -> None:
    """Static checks, without DNS: what is refused here is refused at submit. Raises FetchRefused."""
    parse(url)


def parse(url: str) -> httpx.URL:
    """The URL as the transport will read it (one parser, so no two readings), or FetchRefused."""
    if not url or len(url) > MAX_URL or FORBIDDEN.search(url):
        raise FetchRefused("url_invalid")
    try:
        parts = httpx.URL(url)
        host = parts.raw_host.decode("ascii")
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise FetchRefused("url_invalid") from None
    if parts.scheme not in {"http", "https"}:
        raise FetchRefused("url_scheme")
    if not host or len(host) > MAX_HOST or parts.userinfo or "%" in host:
        raise FetchRefused("url_invalid")
    port = port_of(parts)
    if not is_allowed(host, port):
        _check_host(host)
        if port not in PORTS:
            raise FetchRefused("url_invalid", "Only the ports 80, 443, 8080 and 8443 are accepted.")
    return parts.copy_with(fragment=None)


def _check_host(host: str) -> None:
    name = normal_host(host)
    address = literal(name)
    if address is not None:
        if not is_public(address):
            raise FetchRefused("url_private")
        return
    # A name without a dot is only known inside a network, through its search domains.
    if "." not in name or any(name == suffix or name.endswith(f".{suffix}") for suffix in PRIVATE_SUFFIXES):
        raise FetchRefused("url_private")
