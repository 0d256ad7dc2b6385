"""A `/v1/videos` server as vllm-omni documents it: forms with references that it fetches, jobs, contents, deletes."""

from __future__ import annotations

import json
import secrets
import time
from typing import Any, ClassVar

import httpx

from tests.vendors.server import Answer, Call, Task, Vendor, multipart, picture_size, sound_ms

KEY = "sk-local"
WHOLE = ("width", "height", "num_frames", "fps", "num_inference_steps", "seed")
FIELDS = {
    "prompt",
    "model",
    "seconds",
    "size",
    "user",
    "image_reference",
    "audio_reference",
    "guidance_scale",
    "flow_shift",
    "negative_prompt",
    "extra_params",
    *WHOLE,
}
FAILURE = "CUDA out of memory in WanS2VPipeline"


class OpenAIVideos(Vendor):
    ROUTES: ClassVar = [
        ("POST", r"/v1/videos", "submit"),
        ("GET", r"/v1/videos", "listing"),
        ("GET", r"/v1/videos/(?P<id>[^/]+)", "poll"),
        ("DELETE", r"/v1/videos/(?P<id>[^/]+)", "delete"),
        ("GET", r"/v1/videos/(?P<id>[^/]+)/content", "file"),
    ]
    WRONG: ClassVar = [[], {"id": 7, "data": 5}, {"id": {}, "status": []}, "text"]

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.created: dict[str, int] = {}

    def words(self) -> list[str]:
        return [*super().words(), "video_gen_", "WanS2VPipeline", "CUDA", "vllm"]

    def trouble(self, kind: str) -> Answer:
        return {
            "refusal": problem(400, "vllm cannot read this image_reference"),
            "throttle": problem(429, "too many requests"),
            "denied": problem(401, "Unauthorized"),
            "error": problem(500, "vllm: EngineDeadError"),
        }[kind]

    def answer(self, call: Call) -> Answer | None:
        if call.path.startswith("/v1/") and call.headers.get("authorization") != f"Bearer {KEY}":
            return self.trouble("denied")
        return super().answer(call)

    def submit(self, call: Call) -> Answer:
        assert call.headers["content-type"].startswith("multipart/form-data")
        fields = {name: content.decode() for name, content in multipart(call).items()}
        if set(fields) - FIELDS or not fields.get("prompt"):
            return problem(422, f"unknown or missing fields: {sorted(set(fields) - FIELDS)}")
        if not all(fields[name].isdecimal() for name in WHOLE if name in fields):
            return problem(422, "not a whole number")
        image = httpx.get(
            json.loads(fields["image_reference"])["image_url"], timeout=10, trust_env=False
        ).content
        audio = httpx.get(
            json.loads(fields["audio_reference"])["audio_url"], timeout=10, trust_env=False
        ).content
        assert min(picture_size(image)) > 0
        task = Task(f"video_gen_{secrets.token_hex(16)}", "Wan2.2-S2V", fields, sound_ms(audio))
        self.tasks[task.id] = task
        self.created[task.id] = int(time.time())
        return Answer(200, self.shown(task))

    def poll(self, call: Call) -> Answer:
        task = self.tasks.get(call.named["id"])
        if task is None:
            return problem(404, "no such video")
        task.polls += 1
        return Answer(200, self.shown(task))

    def listing(self, call: Call) -> Answer:
        rows = list(reversed(self.tasks.values()))
        names = [task.id for task in rows]
        start = names.index(call.query["after"]) + 1 if "after" in call.query else 0
        page = rows[start : start + int(call.query.get("limit", 20))]
        data = [self.shown(task) for task in page]
        ends = {"first_id": page[0].id if page else None, "last_id": page[-1].id if page else None}
        return Answer(
            200, {"object": "list", "data": data, **ends, "has_more": start + len(page) < len(rows)}
        )

    def delete(self, call: Call) -> Answer:
        task = self.tasks.pop(call.named["id"], None)
        if task is None:
            return problem(404, "no such video")
        return Answer(200, {"id": task.id, "object": "video.deleted", "deleted": True})

    def file(self, call: Call) -> Answer:
        task = self.tasks.get(call.named["id"])
        if task is None or self.status(task) != "completed":
            return problem(404, "no content")
        return Answer(200, task.film(), {"Content-Type": "video/mp4"})

    def status(self, task: Task) -> str:
        if task.polls < self.polls_to_end:
            return "in_progress" if task.polls else "queued"
        return "failed" if self.ending else "completed"

    def shown(self, task: Task) -> dict[str, Any]:
        status = self.status(task)
        return {
            "id": task.id,
            "object": "video",
            "model": task.model,
            "prompt": task.request["prompt"],
            "status": status,
            "progress": 100 if status == "completed" else 0,
            "seconds": "4",
            "size": f"{task.request['width']}x{task.request['height']}",
            "created_at": self.created[task.id],
            "completed_at": None,
            "error": {"code": 500, "message": FAILURE} if status == "failed" else None,
        }


def problem(status: int, message: str) -> Answer:
    return Answer(status, {"error": {"message": message, "type": "BadRequestError", "code": status}})
