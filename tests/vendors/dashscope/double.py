"""DashScope's digital humans as far as three generators and two detectors need it: temporary uploads, detection,
synthesis, tasks, cancel, list. It keeps an account's limits: 5 submits and 20 queries a second, one task of a model
at once.

Written from the vendor's pages and from what its SDK sends; the SDK runs against it in test_sdk.py.
"""

from __future__ import annotations

import time
import uuid
from collections import deque
from typing import Any, ClassVar

import httpx

from tests.vendors.server import Answer, Call, Task, Vendor, multipart, picture_size, sound_ms

KEY = "sk-of-the-double"
GENERATORS = {
    "wan2.2-s2v": ("image_url", "audio_url"),
    "emo-v1": ("image_url", "audio_url"),
    "wan2.2-animate-move": ("image_url", "video_url"),
    "wan2.2-animate-mix": ("image_url", "video_url"),
}
DETECTORS = ("wan2.2-s2v-detect", "emo-detect-v1")
URL_ERROR = "url error, please check url\uff01"
REFUSAL = "Input data may contain inappropriate content. (DashScope)"
FAILURE = "The audio is longer than 20s, says aliyun."
AIGC = "/api/v1/services/aigc"


class DashScope(Vendor):
    ROUTES: ClassVar = [
        ("GET", r"/api/v1/uploads", "policy"),
        ("POST", r"/oss", "put"),
        ("GET", r"/oss/(?P<id>[^/]+)\.mp4", "file"),
        ("POST", AIGC + r"/image2video/face-detect/?", "detect"),
        ("POST", AIGC + r"/(image2video|video-generation)/video-synthesis/?", "submit"),
        ("GET", r"/api/v1/tasks/?", "listing"),
        ("GET", r"/api/v1/tasks/(?P<id>[^/]+)/?", "poll"),
        ("POST", r"/api/v1/tasks/(?P<id>[^/]+)/cancel/?", "cancel"),
    ]
    WRONG: ClassVar = [[], {"output": 5}, {"output": {"task_id": 7, "task_status": []}}, {"data": {}}]

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.policies: dict[str, str] = {}
        self.objects: dict[str, tuple[str, bytes]] = {}
        self.looks: list[str] = []
        self.unfit = ""
        self.submits: deque[float] = deque()
        self.queries: deque[float] = deque()
        self.over_limit = 0
        self.created: dict[str, int] = {}

    def words(self) -> list[str]:
        return [
            *super().words(),
            "dashscope",
            "aliyun",
            "oss://",
            "inappropriate",
            "InvalidURL",
            "longer than 20s",
        ]

    def trouble(self, kind: str) -> Answer:
        return {
            "refusal": problem(400, "DataInspectionFailed", REFUSAL),
            "throttle": problem(429, "Throttling.RateQuota", "Requests rate limit exceeded"),
            "denied": problem(401, "InvalidApiKey", "Invalid API-key provided."),
            "error": problem(500, "InternalError", "An internal error of DashScope has occured"),
        }[kind]

    def answer(self, call: Call) -> Answer | None:
        if call.path.startswith("/api/v1/") and call.headers.get("authorization") != f"Bearer {KEY}":
            return self.trouble("denied")
        return super().answer(call)

    def within(self, times: deque[float], most: int) -> bool:
        now = time.monotonic()
        while times and now - times[0] >= 1:
            times.popleft()
        times.append(now)
        if len(times) > most:
            self.over_limit += 1
        return len(times) <= most

    # --- files ----------------------------------------------------------------------------------------------

    def policy(self, call: Call) -> Answer:
        if call.query.get("action") != "getPolicy" or call.query.get("model") not in {
            *GENERATORS,
            *DETECTORS,
        }:
            return problem(400, "InvalidParameter", "action or model")
        signature = uuid.uuid4().hex
        folder = f"dashscope-instant/{signature}/2026-11-20/{uuid.uuid4()}"
        self.policies[signature] = f"{folder} {call.query['model']}"
        data = {
            "policy": "eyJleHBpcmF0aW9uIjoi",
            "signature": signature,
            "upload_dir": folder,
            "upload_host": f"{self.store}/oss",
            "expire_in_seconds": 300,
            "max_file_size_mb": 100,
            "capacity_limit_mb": 999999999,
            "oss_access_key_id": "LTAIdouble",
            "x_oss_object_acl": "private",
            "x_oss_forbid_overwrite": "true",
        }
        return Answer(200, {"request_id": str(uuid.uuid4()), "data": data})

    def put(self, call: Call) -> Answer:
        """The store's own rules: every field of the policy, the file last, no bearer."""
        parts = multipart(call)
        texts = {name: content.decode() for name, content in parts.items() if name != "file"}
        folder, _, model = self.policies.get(texts.get("Signature", ""), "").partition(" ")
        key = texts.get("key", "")
        fits = (
            folder
            and key.startswith(f"{folder}/")
            and texts.get("OSSAccessKeyId") == "LTAIdouble"
            and texts.get("x-oss-object-acl") == "private"
            and texts.get("x-oss-forbid-overwrite") == "true"
            and texts.get("policy")
            and list(parts)[-1] == "file"
            and "authorization" not in call.headers
            and key not in self.objects
        )
        if not fits:
            return Answer(403, b"<Error><Code>AccessDenied</Code></Error>")
        self.objects[key] = (model, parts["file"])
        return Answer(int(texts.get("success_action_status", 204)), b"")

    def read(self, call: Call, model: str, url: Any) -> bytes | Answer:
        if not isinstance(url, str) or not url:
            return problem(400, "InvalidParameter", URL_ERROR)
        if not url.startswith("oss://"):
            answer = httpx.get(url, timeout=10, trust_env=False)
            return answer.content if answer.status_code == 200 else problem(400, "InvalidURL", "not found")
        if call.headers.get("x-dashscope-ossresourceresolve") != "enable":
            return problem(400, "InvalidURL", "The URL is invalid")
        bound, content = self.objects.get(url.removeprefix("oss://"), ("", b""))
        return content if bound == model else problem(400, "InvalidURL", "not of this model")

    # --- pictures -------------------------------------------------------------------------------------------

    def detect(self, call: Call) -> Answer:
        body = call.json()
        model = body["model"]
        if "x-dashscope-async" in call.headers:
            return problem(403, "AccessDenied", "asynchronous calls are not supported")
        if model not in DETECTORS:
            return problem(400, "InvalidParameter", URL_ERROR)
        content = self.read(call, model, body["input"].get("image_url"))
        if isinstance(content, Answer):
            return content
        self.looks.append(model)
        width, height = picture_size(content)
        output: dict[str, Any] = {"check_pass": True, "humanoid": True}
        if model == "emo-detect-v1":
            assert body["parameters"]["ratio"] in {"1:1", "3:4"}
            box = [width // 4, height // 4, width * 3 // 4, height * 3 // 4]
            output = {"check_pass": True, "face_bbox": box, "ext_bbox": [0, 0, width, height]}
        if self.unfit:
            output = {"check_pass": False, "code": self.unfit, "message": "aliyun says no"}
        return Answer(200, {"output": output, "usage": {"image_count": 1}, "request_id": str(uuid.uuid4())})

    # --- tasks ----------------------------------------------------------------------------------------------

    def submit(self, call: Call) -> Answer:
        if not self.within(self.submits, 5):
            return self.trouble("throttle")
        if call.headers.get("x-dashscope-async") != "enable":
            return problem(403, "AccessDenied", "current user api does not support synchronous calls.")
        body = call.json()
        model, given = body.get("model"), body.get("input", {})
        if model not in GENERATORS:
            return problem(400, "InvalidParameter", URL_ERROR)
        files = {name: self.read(call, model, given.get(name)) for name in GENERATORS[model]}
        for content in files.values():
            if isinstance(content, Answer):
                return content
        wrong = self.wrong_parameters(model, body)
        if wrong:
            return problem(400, "InvalidParameter", wrong)
        if any(t.model == model and self.status(t) in {"PENDING", "RUNNING"} for t in self.tasks.values()):
            self.over_limit += 1
            return problem(429, "Throttling.RateQuota", "one task at a time")
        width, height = picture_size(files["image_url"])
        assert min(width, height) >= 400
        length = sound_ms(files["audio_url"]) if "audio_url" in files else 3000
        task = Task(str(uuid.uuid4()), model, body, length)
        self.tasks[task.id] = task
        self.created[task.id] = int(time.time() * 1000)
        return Answer(
            200, {"output": {"task_id": task.id, "task_status": "PENDING"}, "request_id": str(uuid.uuid4())}
        )

    def wrong_parameters(self, model: str, body: dict[str, Any]) -> str:
        given, parameters = body["input"], body.get("parameters") or {}
        if model == "wan2.2-s2v" and parameters.get("resolution", "480P") not in {"480P", "720P"}:
            return "resolution"
        if model == "emo-v1":
            boxes = [given.get("face_bbox"), given.get("ext_bbox")]
            if not all(isinstance(box, list) and [type(c) for c in box] == [int] * 4 for box in boxes):
                return "face_bbox and ext_bbox must be 4 integers"
            if parameters.get("style_level", "normal") not in {"normal", "calm", "active"}:
                return "style_level"
        if "animate" in model and parameters.get("mode") not in {"wan-std", "wan-pro"}:
            return "mode"
        return ""

    def poll(self, call: Call) -> Answer:
        if not self.within(self.queries, 20):
            return self.trouble("throttle")
        name = call.named["id"]
        task = self.tasks.get(name)
        if task is None:
            return Answer(
                200, {"output": {"task_id": name, "task_status": "UNKNOWN"}, "request_id": str(uuid.uuid4())}
            )
        task.polls += 1
        status = self.status(task)
        output: dict[str, Any] = {
            "task_id": name,
            "task_status": status,
            "submit_time": "2026-11-20 10:00:00.123",
        }
        said: dict[str, Any] = {"request_id": str(uuid.uuid4()), "output": output}
        if status == "SUCCEEDED":
            output["results"] = {"video_url": f"{self.url}/oss/{name}.mp4"}
            length = "duration" if task.model == "wan2.2-s2v" else "video_duration"
            said["usage"] = {length: task.length_ms / 1000, "video_count": 1, "SR": 480}
        if status == "FAILED":
            output |= {"code": self.ending, "message": FAILURE}
        return Answer(200, said)

    def status(self, task: Task) -> str:
        if task.canceled:
            return "CANCELED"
        if task.polls < self.polls_to_end:
            return "RUNNING" if task.polls else "PENDING"
        return "FAILED" if self.ending else "SUCCEEDED"

    def cancel(self, call: Call) -> Answer:
        task = self.tasks.get(call.named["id"])
        if task is None or self.status(task) != "PENDING":
            return problem(400, "UnsupportedOperation", "The task is not PENDING")
        task.canceled = True
        return Answer(200, {"request_id": str(uuid.uuid4())})

    def listing(self, call: Call) -> Answer:
        number, size = int(call.query.get("page_no", 1)), int(call.query.get("page_size", 10))
        rows = [t for t in reversed(self.tasks.values()) if call.query.get("model_name") in {None, t.model}]
        data = [
            {
                "task_id": task.id,
                "status": self.status(task),
                "model_name": task.model,
                "region": "cn-beijing",
                "gmt_create": self.created[task.id],
                "user_api_unique_key": f"apikey:v1:aigc:image2video:video-synthesis:{task.model}",
            }
            for task in rows[(number - 1) * size : number * size]
        ]
        pages = max(-(-len(rows) // size), 1)
        answer = {"total": len(rows), "total_page": pages, "page_no": number, "page_size": size, "data": data}
        return Answer(200, {**answer, "request_id": str(uuid.uuid4())})

    def file(self, call: Call) -> Answer:
        return Answer(200, self.tasks[call.named["id"]].film(), {"Content-Type": "video/mp4"})


def problem(status: int, code: str, message: str) -> Answer:
    return Answer(status, {"code": code, "message": message, "request_id": str(uuid.uuid4())})
