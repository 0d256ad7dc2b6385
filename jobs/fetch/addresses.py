"""Which addresses are public, and which URLs are worth resolving at all.

`ipaddress.is_global` is not the list: by Python version it calls multicast, NAT64 and 6to4 global.
"""

from __future__ import annotations

import re
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import httpx
from django.conf import settings

from jobs.fetch.refusals import FetchRefused

PORTS = {80, 443, 8080, 8443}
MAX_URL = 2048
MAX_HOST = 253
# C0, DEL, C1 and every kind of space; a URL that needs them percent-encodes them.
FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\ufeff\\]")

PRIVATE_V4 = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier NAT; one cloud's metadata at 100.100.100.200
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's host agent, a public address that only answers inside
        "169.254.0.0/16",  # link local; metadata services
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments; metadata at 192.0.0.192
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved and broadcast
    )
)
# Only 2000::/3 is handed out; this drops ::1, mapped, NAT64 (64:ff9b::), unique local, link local, multicast.
PUBLIC_V6 = IPv6Network("2000::/3")
PRIVATE_V6 = tuple(
    IPv6Network(block)
    for block in (
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4 carries any IPv4 address inside
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
PRIVATE_SUFFIXES = ("localhost", "local", "localdomain", "internal", "intranet", "lan", "home.arpa", "corp")


def is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in block for block in PRIVATE_V4)
    if address.scope_id is not None:
        return False
    return address in PUBLIC_V6 and not any(address in block for block in PRIVATE_V6)


def literal(host: str) -> IPv4Address | IPv6Address | None:
    """The address a host spells, in any form the resolver takes: 2130706433, 0x7f.1, 0177.0.0.1 too."""
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None


def is_allowed(host: str, port: int) -> bool:
    """Whether the operator named this host (every port of it) or this host:port in FETCH_ALLOW_HOSTS."""
    host = normal_host(host)
    for entry in settings.FETCH_ALLOW_HOSTS:
        try:
            parts = httpx.URL(f"//{entry.strip()}")
        except httpx.InvalidURL:
            continue
        if normal_host(parts.host) == host and parts.port in {None, port}:
            return True
    return False


def normal_host(host: str) -> str:
    return host.lower().strip("[]").rstrip(".")


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
