"""Customers of the live stack that use the vendor's SDK as it is installed: only key and base URL differ."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wavespeed.api.client import Client

from tests.dialects import accounts
from tests.live import LiveStack

MODEL = "wavespeed-ai/wan-2.2/speech-to-video"
SAMPLES = Path(__file__).parents[2] / "samples"
PORTRAIT, SPEECH = str(SAMPLES / "portrait.jpg"), str(SAMPLES / "speech.wav")


@dataclass
class Account(accounts.Account):
    def sdk(self, **options: Any) -> Client:
        return Client(api_key=self.key, base_url=self.stack.url, **options)

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


def account(stack: LiveStack, *, credit_usd: float = 20, fake: bool = False) -> Account:
    return accounts.made(Account, stack, credit_usd=credit_usd, fake=fake)


def refusal(error: object) -> dict[str, Any]:
    """The JSON body at the end of an SDK error's text."""
    found = re.search(r"HTTP \d+: (\{.*\})", str(error), re.DOTALL)
    assert found, error
    return json.loads(found[1])
