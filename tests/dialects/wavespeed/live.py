"""Customers of the live stack that use the vendor's SDK as it is installed: only key and base URL differ."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from wavespeed.api.client import Client

from tests.live import LiveStack

MODEL = "wavespeed-ai/wan-2.2/speech-to-video"
SAMPLES = Path(__file__).parents[2] / "samples"
PORTRAIT, SPEECH = str(SAMPLES / "portrait.jpg"), str(SAMPLES / "speech.wav")
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

    def sdk(self, **options: Any) -> Client:
        return Client(api_key=self.key, base_url=self.stack.url, **options)

    @property
    def http(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.Client(base_url=self.stack.url, headers=headers, timeout=60, trust_env=False)

    def post(self, path: str, body: Any) -> dict[str, Any]:
        with self.http as http:
            return http.post(f"/api/v3/{path}", json=body).json()

    def get(self, path: str) -> dict[str, Any]:
        with self.http as http:
            return http.get(f"/api/v3/{path}").json()

    def balance(self) -> tuple[int, int]:
        """Available and held micro-dollars, from the books."""
        rows = dict(
            self.stack.sql(
                "SELECT kind, balance_micros FROM billing_account WHERE organization_id = %s",
                self.organization,
            )
        )
        return rows.get("available", 0), rows.get("held", 0)

    def jobs(self) -> list[str]:
        rows = self.stack.sql(
            "SELECT id FROM jobs_job WHERE organization_id = %s ORDER BY id", self.organization
        )
        return [row[0].hex for row in rows]

    def route_to_fake(self) -> None:
        self.stack.sql(ROUTE, self.organization)

    @contextmanager
    def route_closed(self) -> Iterator[None]:
        """Meanwhile whatever is submitted waits."""
        places = "UPDATE providers_route SET max_running = %s WHERE organization_id = %s"
        self.stack.sql(places, 0, self.organization)
        yield
        self.stack.sql(places, None, self.organization)


def account(stack: LiveStack, *, credit_usd: float = 20, fake: bool = False) -> Account:
    made = stack.create_org(f"Org {uuid.uuid4().hex[:8]}", credit_usd=credit_usd)
    found = Account(stack, made["organization"], made["api_key"])
    if fake:
        found.route_to_fake()
    return found


def refusal(error: object) -> dict[str, Any]:
    """The JSON body at the end of an SDK error's text."""
    found = re.search(r"HTTP \d+: (\{.*\})", str(error), re.DOTALL)
    assert found, error
    return json.loads(found[1])
