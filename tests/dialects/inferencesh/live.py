"""Customers of the live stack that use the vendor's SDK as it is installed: only key and base URL differ."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from inferencesh import async_inference, inference

from tests.dialects.inferencesh.conftest import APP
from tests.live import LiveStack

ROUTE = """
INSERT INTO providers_route (model, provider, organization_id, enabled, priority, weight,
                             cost_micros_per_second, settings)
VALUES ('wan-2.2-s2v', 'fake', %s, true, 1, 1, 0, '{}')
"""


@dataclass
class Account:
    """An organization of the live stack, and its programme."""

    stack: LiveStack
    organization: str
    key: str
    prefix: str = ""

    @property
    def base(self) -> str:
        return self.stack.url + self.prefix

    def sdk(self):
        return inference(api_key=self.key, base_url=self.base)

    def async_sdk(self):
        return async_inference(api_key=self.key, base_url=self.base)

    @property
    def http(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.Client(base_url=self.base, headers=headers, timeout=60, trust_env=False)

    def get(self, path: str) -> Any:
        with self.http as http:
            return http.get(path).json()["data"]

    def events(self, name: str) -> list[str]:
        rows = self.stack.sql("SELECT id FROM jobs_jobevent WHERE job_id = %s ORDER BY id", name)
        return [str(row[0]) for row in rows]

    def status(self, name: str) -> str:
        return self.stack.sql("SELECT status FROM jobs_job WHERE id = %s", name)[0][0]

    @contextmanager
    def route_closed(self) -> Iterator[None]:
        """Meanwhile whatever is submitted waits."""
        places = "UPDATE providers_route SET max_running = %s WHERE organization_id = %s"
        self.stack.sql(places, 0, self.organization)
        try:
            yield
        finally:
            self.stack.sql(places, None, self.organization)


def account(stack: LiveStack, *, credit_usd: float = 20, fake: bool = False, prefix: str = "") -> Account:
    made = stack.create_org(f"Org {uuid.uuid4().hex[:8]}", credit_usd=credit_usd)
    if fake:
        stack.sql(ROUTE, made["organization"])
    return Account(stack, made["organization"], made["api_key"], prefix)


def order(given: dict[str, Any], prompt: str = "", **body: Any) -> dict[str, Any]:
    return {"app": APP, "input": {**given, "prompt": prompt, "resolution": "480p"}, **body}
