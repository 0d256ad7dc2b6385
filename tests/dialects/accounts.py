"""Customers of the live stack, as the tests of each dialect know them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from tests.live import LiveStack

ROUTE = """
INSERT INTO providers_route (model, provider, organization_id, enabled, priority, weight,
                             cost_micros_per_second, cost_by_resolution, settings, region, cut_longer,
                             resolutions, formats)
VALUES ('wan-2.2-s2v', 'fake', %s, true, 1, 1, 0, '{}', '{}', '', false, '{}', '{}')
"""


@dataclass
class Account:
    """An organization of the live stack, and its programme."""

    stack: LiveStack
    organization: str
    key: str

    @property
    def base(self) -> str:
        return self.stack.url

    @property
    def http(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.Client(base_url=self.base, headers=headers, timeout=60, trust_env=False)

    def limited(self, **limits: int) -> None:
        """Limits of its own; they hold from its first request on."""
        names, marks = ", ".join(limits), ", ".join("%s" for _ in limits)
        row = f"INSERT INTO billing_limits (organization_id, credit_limit_micros, {names}) VALUES (%s, 0, {marks})"
        self.stack.sql(row, self.organization, *limits.values())

    def scoped(self, *scopes: str) -> None:
        """Its key may do this and nothing else; say so before its first request, keys are remembered for seconds."""
        change = "UPDATE accounts_apikey SET scopes = %s WHERE organization_id = %s"
        self.stack.sql(change, list(scopes), self.organization)

    def cancel(self, name: str) -> None:
        with self.http as http:
            assert http.post(f"/v1/jobs/{uuid.UUID(name)}/cancel").status_code == 200

    @contextmanager
    def route_closed(self) -> Iterator[None]:
        """Meanwhile whatever is submitted waits."""
        places = "UPDATE providers_route SET max_running = %s WHERE organization_id = %s"
        self.stack.sql(places, 0, self.organization)
        try:
            yield
        finally:
            self.stack.sql(places, None, self.organization)


A = TypeVar("A", bound=Account)


def made(kind: type[A], stack: LiveStack, *, credit_usd: float, fake: bool, **more: Any) -> A:
    """A new organization; `fake`: its jobs go to the fake provider."""
    org = stack.create_org(f"Org {uuid.uuid4().hex[:8]}", credit_usd=credit_usd)
    if fake:
        stack.sql(ROUTE, org["organization"])
    return kind(stack, org["organization"], org["api_key"], **more)


def is_video(address: str) -> bool:
    return httpx.get(address, trust_env=False, follow_redirects=True).content[4:8] == b"ftyp"
