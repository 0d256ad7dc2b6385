"""A funded organization whose jobs go to the fake provider, and its programme."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.world import api_client

APP = "infsh/wan-2-2-s2v"
SAMPLES = Path(__file__).parents[2] / "samples"
PORTRAIT, SPEECH = SAMPLES / "portrait.jpg", SAMPLES / "speech.wav"


def as_data(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


@dataclass
class Infsh:
    """An organization's programme that speaks this dialect."""

    client: Any

    def post(self, path: str, body: Any = None, **extra):
        return self.client.post(path, {} if body is None else body, format="json", **extra)

    def get(self, path: str, **extra):
        return self.client.get(path, **extra)

    def delete(self, path: str):
        return self.client.delete(path)

    def run(self, given: dict[str, Any], **body: Any):
        return self.post("/apps/run", {"app": APP, "input": given, **body})

    def ran(self, given: dict[str, Any], **body: Any) -> dict[str, Any]:
        answer = self.run(given, **body)
        assert answer.status_code == 200, answer.content
        return answer.json()["data"]

    def task(self, name: str) -> dict[str, Any]:
        answer = self.get(f"/tasks/{name}")
        assert answer.status_code == 200, answer.content
        return answer.json()["data"]


@pytest.fixture
def infsh(served, key) -> Infsh:
    return Infsh(api_client(key))


@pytest.fixture
def stranger(other_org, other_key) -> Infsh:
    return Infsh(api_client(other_key))
