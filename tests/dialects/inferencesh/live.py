"""Customers of the live stack that use the vendor's SDK as it is installed: only key and base URL differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from inferencesh import async_inference, inference

from tests.dialects import accounts
from tests.dialects.inferencesh.conftest import APP
from tests.live import LiveStack


@dataclass
class Account(accounts.Account):
    prefix: str = ""

    @property
    def base(self) -> str:
        return self.stack.url + self.prefix

    def sdk(self):
        return inference(api_key=self.key, base_url=self.base)

    def async_sdk(self):
        return async_inference(api_key=self.key, base_url=self.base)

    def get(self, path: str) -> Any:
        with self.http as http:
            return http.get(path).json()["data"]

    def events(self, name: str) -> list[str]:
        rows = self.stack.sql("SELECT id FROM jobs_jobevent WHERE job_id = %s ORDER BY id", name)
        return [str(row[0]) for row in rows]

    def status(self, name: str) -> str:
        return self.stack.sql("SELECT status FROM jobs_job WHERE id = %s", name)[0][0]


def account(stack: LiveStack, *, credit_usd: float = 20, fake: bool = False, prefix: str = "") -> Account:
    return accounts.made(Account, stack, credit_usd=credit_usd, fake=fake, prefix=prefix)


def order(given: dict[str, Any], prompt: str = "", **body: Any) -> dict[str, Any]:
    return {"app": APP, "input": {**given, "prompt": prompt, "resolution": "480p"}, **body}
