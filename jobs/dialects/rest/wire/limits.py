"""Rate limits as headers, by the IETF's draft-ietf-httpapi-ratelimit-headers-10."""

from __future__ import annotations

from collections.abc import Sequence

from billing.throttles import Standing

MS = 1000
# Structured fields (RFC 9651): one member for each limit that the request counted against.
POLICY_SHAPE = r'^"[a-z]+";q=\d+;w=\d+(, "[a-z]+";q=\d+;w=\d+)*$'
LIMIT_SHAPE = r'^"[a-z]+";r=\d+;t=\d+(, "[a-z]+";r=\d+;t=\d+)*$'


def headers(seen: Sequence[Standing]) -> dict[str, str]:
    """`q` requests in `w` seconds are allowed; `r` are left for the next `t` seconds."""
    if not seen:
        return {}
    policies = [f'"{one.name}";q={one.limit};w={one.window_ms // MS}' for one in seen]
    limits = [f'"{one.name}";r={one.now.left};t={-(-one.now.ends_ms // MS)}' for one in seen]
    return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(limits)}
