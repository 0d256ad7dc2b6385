"""WaveSpeed API v3 as far as two video models need it: ticket uploads, submit, result, history, signed webhooks.

Written from the vendor's pages and from what its SDK sends; the SDK runs against it in test_sdk.py.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from datetime import UTC, datetime
from typing import Any, ClassVar

import httpx

from tests.vendors.server import Answer, Call, Task, Vendor, picture_size, sound_ms

KEY = "ws-key-of-the-double"
SECRET = "whsec_demo0123456789abcdef"
MODELS = {
    "wavespeed-ai/wan-2.2/speech-to-video": ("image", "audio"),
    "wavespeed-ai/wan-2.2/animate": ("image", "video"),
}
FIELDS = {"image", "audio", "video", "prompt", "mode", "resolution", "seed", "enable_sync_mode"}
REFUSAL = "Sensitive content was found by WaveSpeedAI moderation."
FAILURE = "WaveSpeedAI could not reach https://media.example.invalid/x.wav"


class WaveSpeed(Vendor):
    # The catch-all for models stands last, as it must there.
    ROUTES: ClassVar = [
        ("POST", r"/api/v3/media/uploads", "ticket"),
        ("PUT", r"/put/(?P<name>[^/]+)", "put"),
        ("GET", r"/media/(?P<name>[^/]+)/[^/]*", "media"),
        ("GET", r"/outputs/(?P<id>\w+)\.mp4", "file"),
        ("GET", r"/api/v3/predictions/(?P<id>[^/]+)/result", "poll"),
        ("POST", r"/api/v3/predictions", "history"),
        ("POST", r"/api/v3/(?P<model>.+)", "submit"),
    ]

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.uploads: dict[str, dict[str, Any]] = {}
        self.echoes_inputs = True
        # what the account ordered an hour ago
        self.past = [Task("0" * 32, model, {"seed": 1}, 3000, created=time.time() - 3600) for model in MODELS]
        # errors come under a 200, their status in the envelope alone
        self.in_envelopes = False

    def words(self) -> list[str]:
        return [*super().words(), "wavespeed", "prediction", "Sensitive content", "media.example.invalid"]

    def trouble(self, kind: str) -> Answer:
        return {
            "refusal": problem(400, REFUSAL, data={"code": 1200}),
            "throttle": Answer(429, problem(429, "Too Many Requests").body, {"Retry-After": "1"}),
            "denied": problem(401, "WaveSpeed: invalid authentication"),
            "error": Answer(502, b"<html>502 Bad Gateway wavespeed</html>"),
        }[kind]

    def answer(self, call: Call) -> Answer | None:
        answer = super().answer(call)
        if answer and self.in_envelopes and isinstance(answer.body, dict):
            answer.status = 200
        return answer

    def allowed(self, call: Call) -> bool:
        return call.headers.get("authorization") == f"Bearer {KEY}"

    # --- files ----------------------------------------------------------------------------------------------

    def ticket(self, call: Call) -> Answer:
        if not self.allowed(call):
            return self.trouble("denied")
        body = call.json()
        name = secrets.token_hex(8)
        self.uploads[name] = {"size": body["size"], "type": body.get("content_type"), "content": None}
        headers = {"If-None-Match": "*"} | (
            {"Content-Type": body["content_type"]} if body.get("content_type") else {}
        )
        upload = {"method": "PUT", "url": f"{self.store}/put/{name}", "headers": headers}
        place = f"{self.url}/media/{name}/{body['filename']}"
        return done(
            {
                "type": "image",
                "filename": body["filename"],
                "size": body["size"],
                "download_url": place,
                "upload": upload,
            }
        )

    def put(self, call: Call) -> Answer:
        upload = self.uploads[call.named["name"]]
        fits = (
            len(call.body) == upload["size"]
            and call.headers.get("content-type") == upload["type"]
            and call.headers.get("if-none-match") == "*"
            and "authorization" not in call.headers
        )
        if not fits:
            return Answer(400, b"not the file that was announced")
        upload["content"] = call.body
        return Answer(200, b"")

    def media(self, call: Call) -> Answer:
        return Answer(200, self.uploads[call.named["name"]]["content"])

    def read(self, url: str) -> bytes:
        """An input, as the vendor's workers fetch it."""
        if url.startswith(f"{self.url}/media/"):
            return bytes(self.uploads[url.split("/")[4]]["content"])
        return httpx.get(url, timeout=10, trust_env=False).raise_for_status().content

    # --- predictions ----------------------------------------------------------------------------------------

    def submit(self, call: Call) -> Answer:
        if not self.allowed(call):
            return self.trouble("denied")
        model, body = call.named["model"], call.json()
        if model not in MODELS:
            return problem(404, "model not found")
        wrong = set(body) - FIELDS or [name for name in MODELS[model] if not isinstance(body.get(name), str)]
        if wrong or body.get("resolution", "480p") not in {"480p", "720p"}:
            return problem(400, f"invalid parameters {sorted(wrong)}", data={"code": 1401})
        if not -1 <= body.get("seed", -1) <= 2147483647:
            return problem(400, "seed out of range", data={"code": 1401})
        inputs = {role: self.read(body[role]) for role in MODELS[model]}
        assert min(picture_size(inputs["image"])) > 0
        length = sound_ms(inputs["audio"]) if "audio" in inputs else 3000
        task = Task(secrets.token_hex(16), model, {**body, "webhook": call.query.get("webhook", "")}, length)
        self.tasks[task.id] = task
        return done(self.shown(task))

    def poll(self, call: Call) -> Answer:
        if not self.allowed(call):
            return self.trouble("denied")
        task = self.tasks.get(call.named["id"])
        if task is None:
            return problem(404, "Prediction not found")
        task.polls += 1
        return done(self.shown(task))

    def history(self, call: Call) -> Answer:
        if not self.allowed(call):
            return self.trouble("denied")
        body = call.json()
        page, size = body["page"], body["page_size"]
        assert 1 <= size <= 100
        ordered = [*self.past, *self.tasks.values()]
        wanted = [t for t in reversed(ordered) if body.get("model") in {None, t.model}]
        rows = [
            t
            for t in wanted
            if moment(body, "created_after", 0) <= t.created <= moment(body, "created_before", 1e11)
        ]
        shown = rows[(page - 1) * size : page * size]
        echo = self.echoes_inputs
        items = [{**self.shown(task), **({"input": task.request} if echo else {})} for task in shown]
        return done({"page": page, "items": items})

    def file(self, call: Call) -> Answer:
        return Answer(200, self.tasks[call.named["id"]].film(), {"Content-Type": "video/mp4"})

    def status(self, task: Task) -> str:
        if task.polls < self.polls_to_end:
            return "processing" if task.polls else "created"
        return "failed" if task.ending or self.ending else "completed"

    def shown(self, task: Task) -> dict[str, Any]:
        status = self.status(task)
        return {
            "id": task.id,
            "model": task.model,
            "status": status,
            "outputs": [f"{self.url}/outputs/{task.id}.mp4"] if status == "completed" else [],
            "has_nsfw_contents": [False] if status == "completed" else [],
            "error": FAILURE if status == "failed" else "",
            "code": (task.ending or self.ending) if status == "failed" else 0,
            "created_at": f"{datetime.fromtimestamp(task.created, UTC):%Y-%m-%dT%H:%M:%S.%f}133Z",
            "timings": {"inference": 25729 if status == "completed" else 0},
            "urls": {"get": f"{self.url}/api/v3/predictions/{task.id}/result"},
        }

    # --- webhooks -------------------------------------------------------------------------------------------

    def webhook(self, task: Task, *, secret: str = SECRET, age: int = 0) -> tuple[str, dict[str, str], bytes]:
        """Address, headers and body of the call about a task's end."""
        bare = {name: value for name, value in self.shown(task).items() if name not in {"timings", "code"}}
        body = Answer(200, {**bare, "input": task.request}).raw()[0]
        name, stamp = secrets.token_hex(12), str(int(time.time()) - age)
        content = f"{name}.{stamp}.".encode() + body
        digest = hmac.new(secret.removeprefix("whsec_").encode(), content, hashlib.sha256).hexdigest()
        signed = {"webhook-id": name, "webhook-timestamp": stamp, "webhook-signature": f"v3,{digest}"}
        return task.request["webhook"], {"Content-Type": "application/json", **signed}, body


def moment(body: dict[str, Any], name: str, otherwise: float) -> float:
    return datetime.fromisoformat(body[name]).timestamp() if name in body else otherwise


def done(data: Any) -> Answer:
    return Answer(200, {"code": 200, "message": "success", "data": data})


def problem(status: int, message: str, **more: Any) -> Answer:
    return Answer(status, {"code": status, "message": message, **more})
