"""inference.sh as far as one app needs it: files, runs, tasks, streams, cancel, unsigned webhooks.

Written from the vendor's pages and from what its SDK sends and reads; the SDK runs against it in test_sdk.py.
"""

from __future__ import annotations

import json
import secrets
from typing import Any, ClassVar

import httpx

from tests.vendors.server import Answer, Call, Task, Vendor, picture_size, sound_ms

KEY = "inf_of-the-double"
APP = "infsh/wan-2-2-s2v"
FIELDS = {
    "image",
    "audio",
    "prompt",
    "resolution",
    "num_frames_per_chunk",
    "fps",
    "seed",
    "enable_first_block_cache",
    "first_block_cache_threshold",
}
QUEUED, RUNNING, COMPLETED, FAILED, CANCELLED, REJECTED = 2, 7, 10, 11, 12, 13
NAMES = {2: "queued", 7: "running", 10: "completed", 11: "failed", 12: "cancelled", 13: "rejected"}
REFUSAL = "This input is blocked by the usage policy of inference.sh."
FAILURE = "no active workers with matching resources at infsh"


class InferenceSh(Vendor):
    ROUTES: ClassVar = [
        ("POST", r"/files", "upload"),
        ("PUT", r"/put/(?P<name>\w+)", "put"),
        ("GET", r"/cloud/(?P<name>\w+)/[^/]*", "media"),
        ("GET", r"/outputs/(?P<id>\w+)\.mp4", "file"),
        ("POST", r"/apps/run", "submit"),
        ("GET", r"/tasks/(?P<id>[^/]+)", "poll"),
        ("GET", r"/tasks/(?P<id>[^/]+)/stream", "stream"),
        ("POST", r"/tasks/(?P<id>[^/]+)/cancel", "cancel"),
    ]
    WRONG: ClassVar = [[], {"data": 5}, {"data": {"id": 7, "status": "done"}}, {"data": [{}]}]

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.files: dict[str, dict[str, Any]] = {}
        self.shows_names = True
        self.rejects = False

    def words(self) -> list[str]:
        return [*super().words(), "inference.sh", "infsh", "usage policy", "matching resources"]

    def trouble(self, kind: str) -> Answer:
        return {
            "refusal": problem(400, "blocked_by_usage_policy", REFUSAL),
            "throttle": problem(429, "rate_limited", "slow down"),
            "denied": problem(402, "payment_required", "top up at inference.sh"),
            "error": problem(500, "internal_error", "infsh had a problem"),
        }[kind]

    def answer(self, call: Call) -> Answer | None:
        open_paths = ("/put/", "/cloud/", "/outputs/", "/inside")
        if not call.path.startswith(open_paths) and call.headers.get("authorization") != f"Bearer {KEY}":
            return problem(401, "unauthorized", "who are you?")
        return super().answer(call)

    # --- files ----------------------------------------------------------------------------------------------

    def upload(self, call: Call) -> Answer:
        (entry,) = call.json()["files"]
        assert set(entry) >= {"uri", "filename", "content_type", "path", "size", "public"}
        name = secrets.token_hex(8)
        self.files[name] = {**entry, "content": b""}
        place = f"{self.url}/cloud/{name}/{entry['filename'] or 'file'}"
        return done([{**entry, "id": name, "uri": place, "upload_url": f"{self.store}/put/{name}"}])

    def put(self, call: Call) -> Answer:
        entry = self.files[call.named["name"]]
        fits = (
            len(call.body) == entry["size"]
            and call.headers.get("content-type") == entry["content_type"]
            and "authorization" not in call.headers
        )
        entry["content"] = call.body
        return Answer(200 if fits else 403, b"")

    def media(self, call: Call) -> Answer:
        return Answer(200, self.files[call.named["name"]]["content"])

    def read(self, url: str) -> bytes:
        if url.startswith(f"{self.url}/cloud/"):
            return self.files[url.split("/")[4]]["content"]
        return httpx.get(url, timeout=10, trust_env=False).raise_for_status().content

    # --- tasks ----------------------------------------------------------------------------------------------

    def submit(self, call: Call) -> Answer:
        body = call.json()
        if body["app"].partition("@")[0] != APP:
            return problem(404, "not_found", "no such app")
        given = body.get("input") or {}
        strange = set(given) - FIELDS
        if strange or not all(
            isinstance(given.get(name), str) and given[name] for name in ("image", "audio", "prompt")
        ):
            return problem(400, "validation_error", f"input: {sorted(strange)}")
        if given.get("resolution", "720p") not in {"480p", "720p"}:
            return problem(400, "validation_error", "resolution")
        assert min(picture_size(self.read(given["image"]))) > 0
        task = Task(secrets.token_hex(13), APP, body, sound_ms(self.read(given["audio"])))
        self.tasks[task.id] = task
        shown = self.shown(task)
        return done({**shown, **({"status": REJECTED, "status_text": "rejected"} if self.rejects else {})})

    def poll(self, call: Call) -> Answer:
        task = self.tasks.get(call.named["id"])
        if task is None:
            return problem(404, "not_found", "no such task")
        task.polls += 1
        return done(self.shown(task))

    def stream(self, call: Call) -> Answer:
        """From now to the end, one whole task a line."""
        task = self.tasks[call.named["id"]]
        lines = [self.shown(task)]
        task.polls = max(task.polls, self.polls_to_end)
        lines.append(self.shown(task))
        content = "".join(json.dumps(line) + "\n" for line in lines).encode()
        return Answer(200, content, {"Content-Type": "application/x-ndjson"})

    def cancel(self, call: Call) -> Answer:
        task = self.tasks.get(call.named["id"])
        if task is None:
            return problem(404, "not_found", "no such task")
        if self.status(task) in {COMPLETED, FAILED}:
            return problem(409, "invalid_transition", "it has ended")
        task.canceled = True
        return Answer(200, {})

    def status(self, task: Task) -> int:
        if task.canceled:
            return CANCELLED
        if task.polls < self.polls_to_end:
            return RUNNING if task.polls else QUEUED
        return FAILED if self.ending else COMPLETED

    def shown(self, task: Task) -> dict[str, Any]:
        status = self.status(task)
        return {
            "id": task.id,
            "status": status,
            **({"status_text": NAMES[status]} if self.shows_names else {}),
            "app": {"name": "wan-2-2-s2v"},
            "input": task.request["input"],
            "webhook": task.request.get("webhook"),
            "output": {"file": f"{self.url}/outputs/{task.id}.mp4"} if status == COMPLETED else None,
            "error": FAILURE if status == FAILED else "",
            "logs": [],
            "created_at": "2026-01-15T10:30:05Z",
            "updated_at": "2026-01-15T10:30:35Z",
        }

    def file(self, call: Call) -> Answer:
        return Answer(200, self.tasks[call.named["id"]].film(), {"Content-Type": "video/mp4"})

    def webhook(self, task: Task) -> tuple[str, dict[str, str], bytes]:
        """Address, headers and body of the call about a task's end; nothing is signed."""
        shown = self.shown(task)
        names = ("id", "status", "output", "error", "created_at", "updated_at")
        body = {**{name: shown[name] for name in names}, "session_id": None}
        return task.request["webhook"], {"Content-Type": "application/json"}, json.dumps(body).encode()


def done(data: Any) -> Answer:
    return Answer(200, {"data": data, "messages": []})


def problem(status: int, code: str, detail: str) -> Answer:
    body = {
        "type": f"https://api.inference.sh/errors/{code}",
        "title": code,
        "status": status,
        "detail": detail,
    }
    return Answer(status, body, {"Content-Type": "application/problem+json"})
