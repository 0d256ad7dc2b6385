"""What a caller may give a key: no more than it has itself.

A key with an end, with networks or with a spend cap passes none of them by through another key: the end and the networks
of what it issues are no wider than its own, and with a spend cap it issues nothing, but may be rotated, since the keys
of one chain of rotations spend from one cap.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_network

from django.core.exceptions import ValidationError

from accounts.audit import Actor
from accounts.errors import LimitEscaped
from accounts.models import ApiKey
from accounts.scopes import ALL_SCOPES
from accounts.tenancy import Caller, require

SETTINGS = ("scopes", "expires_at", "allowed_networks", "spend_cap_micros")


def key_of(by: Actor) -> ApiKey | None:
    return by.key if isinstance(by, Caller) else None


def checked_scopes(scopes: Iterable[str]) -> list[str]:
    granted = sorted(set(scopes))
    if not granted or not ALL_SCOPES.issuperset(granted):
        raise ValidationError(f"Choose from the permissions {', '.join(sorted(ALL_SCOPES))}.", code="scopes")
    return granted


def within_own(by: Actor, key: ApiKey, settings: Iterable[str], *, but: Collection[str] = ()) -> None:
    """The named settings of a key are no wider than those of whoever sets them. `but`: scopes it has already.

    Raises ScopeMissing or LimitEscaped.
    """
    if isinstance(by, Caller) and "scopes" in settings:
        for scope in sorted(set(key.scopes) - set(but)):
            require(by, scope)
    own = key_of(by)
    if own is None:
        return
    if "expires_at" in settings and own.expires_at and _later(key.expires_at, own.expires_at):
        end = own.expires_at.isoformat()
        raise LimitEscaped("expires_at", f"The key you use ends at {end}; it can give away no later end.")
    if "allowed_networks" in settings and not _inside(key.allowed_networks, own.allowed_networks):
        nets = ", ".join(own.allowed_networks)
        raise LimitEscaped(
            "allowed_networks", f"The key you use works from {nets}; it can give away no other networks."
        )
    if "spend_cap_micros" in settings and own.spend_cap_micros is not None:
        _within_cap(own, key, own.spend_cap_micros)


def _within_cap(own: ApiKey, key: ApiKey, cap: int) -> None:
    """Only a key of its own chain spends from the same cap."""
    if key.chain_id != own.chain_id:
        message = "The key you use has a spend cap: it can be rotated itself, but issue no other keys."
        raise LimitEscaped("spend_cap_micros", message)
    if key.spend_cap_micros is None or key.spend_cap_micros > cap:
        message = f"The key you use may spend {cap} micro-dollars; it cannot raise that."
        raise LimitEscaped("spend_cap_micros", message)


def _later(end: datetime | None, than: datetime) -> bool:
    return end is None or end > than


def _inside(networks: Iterable[str], own: Iterable[str]) -> bool:
    """Nowhere narrower than everywhere: no networks mean all."""
    outer = [ip_network(text) for text in own]
    inner = [ip_network(text) for text in networks]
    if not outer or not inner:
        return not outer
    return all(any(_subnet(net, wide) for wide in outer) for net in inner)


def _subnet(net: IPv4Network | IPv6Network, wide: IPv4Network | IPv6Network) -> bool:
    if isinstance(net, IPv4Network) and isinstance(wide, IPv4Network):
        return net.subnet_of(wide)
    return isinstance(net, IPv6Network) and isinstance(wide, IPv6Network) and net.subnet_of(wide)
