"""A customer of `/v1`, for tests against the live stack."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Self

import httpx

SAMPLES = Path(__file__).parent / "samples"
FINAL = {"succeeded", "failed", "canceled", "expired"}


class Customer:
    def __init__(self, url: str, key: str) -> None:
        self.http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def upload(self, path: Path) -> str:
        with path.open("rb") as file:
            answer = self.http.post("/v1/files", files={"file": (path.name, file)})
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def samples(self) -> dict[str, str]:
        return {"image": self.upload(SAMPLES / "portrait.jpg"), "audio": self.upload(SAMPLES / "speech.wav")}

    def submit(self, inputs: dict[str, str], **options: Any) -> dict[str, Any]:
        answer = self.http.post(
            "/v1/jobs", json={"model": "wan-2.2-s2v", "inputs": inputs, "options": options}
        )
        assert answer.status_code == 202, answer.text
        return answer.json()

    def job(self, job_id: str) -> dict[str, Any]:
        answer = self.http.get(f"/v1/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def until(self, job_id: str, wanted, *, seconds: float = 90) -> dict[str, Any]:
        """The job once `wanted(job)` holds; fails when it ended otherwise or in time it did not."""
        end = time.monotonic() + seconds
        while not wanted(job := self.job(job_id)):
            assert time.monotonic() < end, job
            assert job["status"] not in FINAL, job
            time.sleep(0.05)
        return job

    def finished(self, job_id: str, *, seconds: float = 90) -> dict[str, Any]:
        return self.until(job_id, lambda job: job["status"] in FINAL, seconds=seconds)

    def balance(self) -> tuple[int, int]:
        body = self.http.get("/v1/balance").json()
        return body["available_micros"], body["held_micros"]
