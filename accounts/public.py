"""Which addresses are public, and which private hosts an operator allows all the same; for all rooms.

`ipaddress.is_global` is not the list: by Python version it calls multicast, NAT64 and 6to4 global.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import httpx
from django.conf import settings

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
