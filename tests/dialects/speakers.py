"""One organization's programme in each dialect, and what it reads of a job there, put side by side."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, ClassVar
from uuid import UUID

from jobs.models import Job
from tests.dialects.inferencesh.conftest import APP
from tests.dialects.wavespeed.conftest import S2V

SYNTHESIS = "/api/v1/services/aigc/image2video/video-synthesis"
BEIJING = timezone(timedelta(hours=8))


@dataclass(frozen=True)
class Seen:
    """A job as one dialect tells it: its own words, and what must be the same everywhere."""

    id: str
    word: Any
    model: str
    output: str
    code: Any
    message: str
    created: datetime


class Speaker:
    dialect: ClassVar[str]

    def __init__(self, client: Any) -> None:
        self.client = client

    def name(self, job: Job) -> str:
        """The job's id as this dialect writes it."""
        return str(job.pk)

    def post(self, path: str, body: Any, **headers: str) -> dict[str, Any]:
        answer = self.client.post(path, body, format="json", headers=headers)
        assert answer.status_code in {200, 202}, answer.content
        return answer.json()

    def get(self, path: str) -> dict[str, Any]:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.content
        return answer.json()


class Rest(Speaker):
    dialect = "rest"

    def submit(self, inputs: dict[str, str], prompt: str) -> UUID:
        body = {"model": "wan-2.2-s2v", "inputs": inputs, "options": {"prompt": prompt}}
        return UUID(self.post("/v1/jobs", body)["id"])

    def read(self, job: Job) -> Seen:
        return self.seen(self.get(f"/v1/jobs/{job.pk}"))

    def listed(self) -> list[Seen]:
        return [self.seen(row) for row in self.get("/v1/jobs?limit=200")["data"]]

    def seen(self, body: dict[str, Any]) -> Seen:
        error = body["error"] or {"code": "", "message": ""}
        output = body["outputs"][0]["url"] if body["outputs"] else ""
        created = datetime.fromisoformat(body["created_at"])
        return Seen(
            body["id"], body["status"], body["model"], output, error["code"], error["message"], created
        )


class WaveSpeed(Speaker):
    dialect = "wavespeed"

    def name(self, job: Job) -> str:
        return job.pk.hex

    def submit(self, inputs: dict[str, str], prompt: str) -> UUID:
        return UUID(self.post(S2V, {**inputs, "prompt": prompt})["data"]["id"])

    def read(self, job: Job) -> Seen:
        return self.seen(self.get(f"/api/v3/predictions/{job.pk.hex}/result")["data"])

    def listed(self) -> list[Seen]:
        rows = self.post("/api/v3/predictions", {"page": 1, "page_size": 100})["data"]["items"]
        return [self.seen(row) for row in rows]

    def seen(self, data: dict[str, Any]) -> Seen:
        output = data["outputs"][0] if data["outputs"] else ""
        created = datetime.fromisoformat(data["created_at"])
        return Seen(data["id"], data["status"], data["model"], output, data["code"], data["error"], created)


class DashScope(Speaker):
    dialect = "dashscope"

    def submit(self, inputs: dict[str, str], prompt: str) -> UUID:
        given = {"image_url": inputs["image"], "audio_url": inputs["audio"], "prompt": prompt}
        body = {"model": "wan2.2-s2v", "input": given, "parameters": {}}
        answer = self.post(SYNTHESIS, body, **{"X-DashScope-Async": "enable"})
        return UUID(answer["output"]["task_id"])

    def read(self, job: Job) -> Seen:
        output = self.get(f"/api/v1/tasks/{job.pk}")["output"]
        (line,) = self.get(f"/api/v1/tasks?task_id={job.pk}")["data"]
        assert (line["task_id"], line["status"]) == (output["task_id"], output["task_status"])
        created = datetime.strptime(output["submit_time"], "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=BEIJING)
        assert round(created.timestamp() * 1000) == line["gmt_create"]
        video = output.get("results", {}).get("video_url", "")
        code, message = output.get("code", ""), output.get("message", "")
        return Seen(
            output["task_id"], output["task_status"], line["model_name"], video, code, message, created
        )

    def listed(self) -> list[Seen]:
        rows = self.get("/api/v1/tasks?page_size=100")["data"]
        return [
            Seen(row["task_id"], row["status"], row["model_name"], "", "", "", moment(row["gmt_create"]))
            for row in rows
        ]


class InferenceSh(Speaker):
    dialect = "inferencesh"

    def submit(self, inputs: dict[str, str], prompt: str) -> UUID:
        body = {"app": APP, "input": {**inputs, "prompt": prompt}}
        return UUID(self.post("/apps/run", body)["data"]["id"])

    def read(self, job: Job) -> Seen:
        task = self.get(f"/tasks/{job.pk}")["data"]
        assert self.get(f"/tasks/{job.pk}/status")["data"]["status"] == task["status"]
        output = task["output"]["file"] if task["output"] else ""
        code, _, message = (task["error"] or "").partition(": ")
        created = datetime.fromisoformat(task["created_at"])
        return Seen(task["id"], task["status"], task["app_id"], output, code, message, created)


def moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


SPEAKERS: dict[str, type[Any]] = {
    speaker.dialect: speaker for speaker in (Rest, WaveSpeed, DashScope, InferenceSh)
}
