"""A funded organization whose jobs go to the fake provider, and its programme."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from billing import quotas
from billing.models import Limits
from tests.jobs import drive
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
def infsh(org, key) -> Infsh:
    with transaction.atomic():
        drive.fund(org)
    drive.fake_route(org)
    Limits.objects.create(organization=org, submits_per_minute=1000)
    quotas.forget()
    return Infsh(api_client(key))


@pytest.fixture
def stranger(other_org, other_key) -> Infsh:
    return Infsh(api_client(other_key))


@pytest.fixture
def inputs(org) -> dict[str, str]:
    """A picture and a voice of 4 s, stored and looked into."""
    return {"image": str(drive.asset(org, "image").id), "audio": str(drive.asset(org, "audio").id)}
