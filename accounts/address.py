"""The network address a request came from, and whether a list of networks holds it."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str | None:
    """The peer, or behind our proxy the last entry of X-Forwarded-For: the only one the proxy wrote."""
    given = str(request.META.get("REMOTE_ADDR", ""))
    if settings.BEHIND_PROXY:
        given = request.headers.get("X-Forwarded-For", given).rpartition(",")[2].strip()
    address = _parsed(given)
    return str(address) if address else None


def within(address: str | None, networks: Iterable[str]) -> bool:
    found = _parsed(address or "")
    return found is not None and any(found in ip_network(network, strict=False) for network in networks)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:  # a Unix socket has no address
        return None
    # A dual-stack listener sees 192.0.2.1 as ::ffff:192.0.2.1; lists are written in the plain form.
    return getattr(address, "ipv4_mapped", None) or address
