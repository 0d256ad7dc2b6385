"""A funded organization whose jobs go to the fake provider, and its programme."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.world import api_client

S2V = "/api/v3/wavespeed-ai/wan-2.2/speech-to-video"
ANIMATE = "/api/v3/wavespeed-ai/wan-2.2/animate"


@dataclass
class Wave:
    """An organization's programme that speaks this dialect."""

    client: Any

    def post(self, path: str, body: Any = None, **extra):
        return self.client.post(path, {} if body is None else body, format="json", **extra)

    def get(self, path: str, **extra):
        return self.client.get(path, **extra)

    def result(self, prediction_id: str):
        return self.get(f"/api/v3/predictions/{prediction_id}/result").json()["data"]


@pytest.fixture
def wave(served, key) -> Wave:
    return Wave(api_client(key))


@pytest.fixture
def stranger(other_org, other_key) -> Wave:
    return Wave(api_client(other_key))
