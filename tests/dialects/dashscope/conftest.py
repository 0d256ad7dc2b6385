"""A funded organization whose jobs go to the fake provider, and its programme."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.jobs import drive
from tests.world import api_client

SYNTHESIS = "/api/v1/services/aigc/image2video/video-synthesis"
GENERATION = "/api/v1/services/aigc/video-generation/video-synthesis"


@dataclass
class Dash:
    """An organization's programme that speaks this dialect."""

    client: Any

    def submit(self, body: Any, path: str = SYNTHESIS, **headers: str):
        sent = {"X-DashScope-Async": "enable", **headers}
        return self.client.post(path, body, format="json", headers=sent)

    def started(self, body: Any) -> str:
        answer = self.submit(body)
        assert answer.status_code == 200, answer.content
        return answer.json()["output"]["task_id"]

    def task(self, task_id: str):
        return self.client.get(f"/api/v1/tasks/{task_id}").json()

    def tasks(self, **query):
        return self.client.get("/api/v1/tasks/", query)


@pytest.fixture
def dash(served, key) -> Dash:
    drive.fake_route(served, model="wan-2.2-animate")
    return Dash(api_client(key))


@pytest.fixture
def stranger(other_org, other_key) -> Dash:
    return Dash(api_client(other_key))


@pytest.fixture
def s2v(org) -> dict[str, Any]:
    """A body of a talking video, over files of 4 s."""
    files = {"image_url": str(drive.asset(org, "image").id), "audio_url": str(drive.asset(org, "audio").id)}
    return {"model": "wan2.2-s2v", "input": files, "parameters": {"resolution": "480P"}}


@pytest.fixture
def animate(org) -> dict[str, Any]:
    files = {"image_url": str(drive.asset(org, "image").id), "video_url": str(drive.asset(org, "video").id)}
    return {"model": "wan2.2-animate-mix", "input": files, "parameters": {"mode": "wan-std"}}
