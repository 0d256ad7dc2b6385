"""The vendor's SDK, unmodified, against the platform as an operator runs it."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import redis
import requests
from inferencesh import TaskStatus
from inferencesh.models.errors import APIError

from config.embedded import process
from tests.dialects.accounts import is_video
from tests.dialects.inferencesh.conftest import APP, PORTRAIT, SPEECH, as_data
from tests.dialects.inferencesh.live import Account, account, order

pytestmark = pytest.mark.timeout(300)
SLOW = "[fake seconds=4]"


@pytest.fixture(scope="module")
def faked(live_stack) -> Account:
    """Its jobs go to the fake provider."""
    return account(live_stack, fake=True)


@pytest.fixture(scope="module")
def files(faked) -> dict[str, str]:
    client = faked.sdk()
    return {
        "image": client.upload_file(str(PORTRAIT))["uri"],
        "audio": client.upload_file(str(SPEECH))["uri"],
    }


def test_local_paths_become_a_video(live_stack):
    """As the vendor's page shows it; our own CPU engine renders."""
    plain = account(live_stack)
    given = {
        "image": str(PORTRAIT),
        "audio": str(SPEECH),
        "prompt": "a talk",
        "resolution": "480p",
        "seed": 7,
    }
    result = plain.sdk().run({"app": APP, "input": given})
    assert result["status"] == TaskStatus.COMPLETED
    assert result["output"]["file"].startswith(live_stack.url)
    assert is_video(result["output"]["file"])


def test_below_its_prefix_too(live_stack):
    below = account(live_stack, fake=True, prefix="/infsh")
    result = below.sdk().run(order({"image": str(PORTRAIT), "audio": str(SPEECH)}, "[fake ]"))
    assert is_video(result["output"]["file"])


def test_data_addresses_base64_and_bytes(faked):
    client = faked.sdk()
    audio = client.upload_file(SPEECH.read_bytes())["uri"]
    for image in (as_data(PORTRAIT, "image/jpeg"), base64.b64encode(PORTRAIT.read_bytes()).decode()):
        result = client.run(order({"image": image, "audio": audio}, "[fake ]"))
        assert result["status"] == TaskStatus.COMPLETED


def test_a_one_word_prompt_survives_the_base64_trap(faked, files):
    prompt = "photorealisticAB"
    task = faked.sdk().run(order(files, prompt), wait=False)
    assert faked.stack.sql("SELECT options->>'prompt' FROM jobs_job WHERE id = %s", task["id"]) == [(prompt,)]
    faked.sdk().cancel(task["id"])


def test_wait_false_answers_at_once_and_polls_tell_the_rest(faked, files):
    client = faked.sdk()
    task = client.run(order(files, "[fake ]"), wait=False)
    assert TaskStatus(task["status"]) in {TaskStatus.RECEIVED, TaskStatus.QUEUED}
    assert process.until(lambda: client.get_task(task["id"]).data["status"] == 10, seconds=60, pause=0.2)
    assert is_video(client.wait_for_completion(task["id"])["output"]["file"])


def test_a_stream_tells_the_steps(faked, files):
    updates = list(faked.sdk().run(order(files, SLOW), stream=True))
    numbers = [TaskStatus(update["status"]) for update in updates]
    assert numbers == sorted(numbers)
    assert TaskStatus.RUNNING in numbers
    assert numbers[-1] == TaskStatus.COMPLETED
    assert is_video(updates[-1]["output"]["file"])
    assert [entry["id"] for entry in updates[-1]["logs"]] == faked.events(updates[-1]["id"])


def test_lines_arrive_when_they_are_written(faked, files):
    """Chunked: the SDK would buffer a response that ends by closing, and hear of all at the end."""
    task = faked.sdk().run(order(files, SLOW), wait=False)
    with faked.http as http:
        headers = {"Accept": "application/x-ndjson"}
        with http.stream("GET", f"/tasks/{task['id']}/stream", headers=headers) as answer:
            assert answer.headers["transfer-encoding"] == "chunked"
            assert answer.headers["content-type"] == "application/x-ndjson"
            first = next(answer.iter_lines())
    assert json.loads(first)["status"] < 10
    faked.sdk().cancel(task["id"])


@pytest.mark.parametrize("way", ["wait", "stream"])
def test_a_failing_task_raises_its_reason(faked, files, way):
    with pytest.raises(RuntimeError, match=r"^face_not_found: "):
        list(faked.sdk().run(order(files, "[fake fail=face_not_found]"), **{way: True}))


def test_a_cancelled_task_raises(faked, files):
    client = faked.sdk()
    task = client.run(order(files, "[fake stall]"), wait=False)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.wait_for_completion, task["id"])
        assert process.until(lambda: faked.status(task["id"]) == "running", seconds=30, pause=0.1)
        client.cancel(task["id"])
        assert isinstance(waiting.exception(timeout=30), RuntimeError)
    assert str(waiting.exception()) == "task cancelled"
    assert client.get_task(task["id"]).data["status"] == TaskStatus.CANCELLED


def test_a_task_whose_input_is_no_media_fails_with_a_code(faked, files):
    text = faked.sdk().upload_file(b"this is not a picture at all")["uri"]
    with pytest.raises(RuntimeError, match=r"^[a-z_]+: "):
        faked.sdk().run(order({**files, "image": text}))


def test_files_are_listed_and_tasks_deleted(faked):
    client = faked.sdk()
    result = client.run(order({"image": str(PORTRAIT), "audio": str(SPEECH)}, "[fake ]"))
    listed = client.tasks.files(result["id"]).data
    assert {row["role"] for row in listed} == {"input", "output"}
    outputs = client.tasks.files(result["id"], role="output").data
    deleted = client.tasks.delete_files(result["id"], role="output").data
    assert deleted == {"deleted": [row["id"] for row in outputs], "skipped": []}
    client.tasks.delete(result["id"], files=True)
    with pytest.raises(APIError) as caught:
        client.get_task(result["id"])
    assert (caught.value.status_code, caught.value.code) == (404, "not_found")


def refused(call) -> tuple[int, str | None]:
    with pytest.raises(APIError) as caught:
        call()
    return caught.value.status_code, caught.value.code


def test_refusals_are_the_sdk_s_own_errors(live_stack, faked, files):
    poor = account(live_stack, credit_usd=0, fake=True)
    given = {"image": str(PORTRAIT), "audio": str(SPEECH)}
    wrong = Account(live_stack, "", "inf_wrong")
    assert refused(lambda: poor.sdk().run(order(given))) == (402, "payment_required")
    assert refused(lambda: faked.sdk().run({"app": "infsh/other", "input": {}})) == (404, "not_found")
    assert refused(lambda: wrong.sdk().run({"app": APP, "input": {}})) == (401, "unauthorized")
    assert refused(lambda: faked.sdk().run({"app": APP, "input": {}})) == (400, "validation_error")
    assert refused(lambda: faked.sdk().run(order(files, session="new"))) == (400, "validation_error")
    assert refused(lambda: poor.sdk().get_task("nonsense")) == (404, "not_found")
    task = faked.sdk().run(order(files, "[fake ]"), wait=False)
    assert refused(lambda: poor.sdk().wait_for_completion(task["id"])) == (404, "not_found")
    assert refused(lambda: poor.sdk().cancel(task["id"])) == (404, "not_found")


class Cutter:
    """Between the SDK and the platform: cuts each stream of a task after its first line, `cuts` times.

    `hard` cuts amid a chunk, else the response ends as it should, too early.
    """

    def __init__(self, target: str, cuts: int, *, hard: bool) -> None:
        self.left, self.made, self.lines = cuts, 0, []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler(target, hard))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _handler(self, target: str, hard: bool) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                self.forward("GET")

            def do_POST(self) -> None:
                self.forward("POST")

            def forward(self, method: str) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name: self.headers[name] for name in ("Authorization", "Accept", "Content-Type")}
                with requests.request(
                    method, target + self.path, data=body, headers=headers, stream=True, timeout=60
                ) as answer:
                    self.send_response(answer.status_code)
                    self.send_header("Content-Type", answer.headers.get("Content-Type", ""))
                    if not self.path.endswith("/stream"):
                        self.send_header("Content-Length", str(len(answer.content)))
                        self.end_headers()
                        self.wfile.write(answer.content)
                        return
                    self.send_header("Transfer-Encoding", "chunked")
                    self.end_headers()
                    for line in answer.iter_lines(chunk_size=1):
                        outer.lines.append(json.loads(line))
                        self.chunk(line + b"\n")
                        if outer.left:
                            outer.left -= 1
                            outer.made += 1
                            if hard:
                                self.wfile.write(b"fff\r\n{")
                                self.close_connection = True
                                return
                            break
                    self.wfile.write(b"0\r\n\r\n")

            def chunk(self, data: bytes) -> None:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
                self.wfile.flush()

            def log_message(self, *args) -> None:
                pass

        return Handler

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.parametrize("hard", [False, True], ids=["ended early", "cut amid a chunk"])
def test_a_stream_cut_several_times_loses_nothing(faked, files, hard):
    cutter = Cutter(faked.base, 4, hard=hard)
    try:
        through = Account(faked.stack, faked.organization, faked.key)
        client = through.sdk()
        client._base_url = cutter.url
        updates = list(client.run(order(files, "[fake seconds=6]"), stream=True))
    finally:
        cutter.close()
    assert cutter.made == 4
    assert updates[-1]["status"] == TaskStatus.COMPLETED
    seen = list(dict.fromkeys(entry["id"] for update in updates for entry in update["logs"]))
    assert seen == faked.events(updates[-1]["id"])
    assert is_video(updates[-1]["output"]["file"])


def test_a_stream_cut_twenty_times_by_hand_tells_every_event_once(faked, files):
    name = faked.sdk().run(order(files, "[fake seconds=6]"), wait=False)["id"]
    seen: list[str] = []
    with faked.http as http:
        for cut in range(1000):
            with http.stream(
                "GET", f"/tasks/{name}/stream", headers={"Accept": "application/x-ndjson"}
            ) as answer:
                task = json.loads(next(answer.iter_lines()))
            fresh = [entry["id"] for entry in task["logs"] if entry["id"] not in seen]
            seen += fresh
            if task["status"] >= 10 and cut >= 20:
                break
            time.sleep(0.3)
    assert seen == faked.events(name)


def test_streams_that_were_cut_leave_no_subscription(faked):
    client = redis.Redis.from_url(faked.stack.env["REDIS_URL"])
    channel = f"events:{faked.organization}"
    assert process.until(lambda: client.pubsub_numsub(channel)[0][1] == 0, seconds=20, pause=0.2)
    client.close()


# --- async --------------------------------------------------------------------------------------------------------


def test_the_async_client_waits_streams_and_uploads(faked):
    async def use():
        client = faked.async_sdk()
        image = (await client.upload_file(PORTRAIT.read_bytes()))["uri"]
        audio = as_data(SPEECH, "audio/wav")
        waited = await client.run(order({"image": image, "audio": audio}, SLOW))
        updates = [
            update
            async for update in await client.run(order({"image": image, "audio": audio}, SLOW), stream=True)
        ]
        task = await client.run(order({"image": image, "audio": audio}, "[fake stall]"), wait=False)
        await client.cancel(task["id"])
        return waited, updates, task

    waited, updates, task = asyncio.run(use())
    assert waited["status"] == updates[-1]["status"] == TaskStatus.COMPLETED
    assert is_video(waited["output"]["file"])
    assert len(updates) > 1
    assert process.until(lambda: faked.status(task["id"]) == "canceled", seconds=30, pause=0.2)


def test_the_async_client_raises_its_own_errors(faked, files, live_stack):
    async def use(client, body):
        return await client.run(body)

    with pytest.raises(RuntimeError, match=r"^face_not_found: "):
        asyncio.run(use(faked.async_sdk(), order(files, "[fake fail=face_not_found]")))
    wrong = Account(live_stack, "", "vr_" + "x" * 49)
    with pytest.raises(APIError) as caught:
        asyncio.run(use(wrong.async_sdk(), order(files)))
    assert (caught.value.status_code, caught.value.code) == (401, "unauthorized")


def test_old_clients_read_server_sent_events(faked, files):
    name = faked.sdk().run(order(files, "[fake ]"), wait=False)["id"]
    with faked.http as http, http.stream("GET", f"/tasks/{name}/stream") as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        lines = [line for line in answer.iter_lines() if line]
    assert lines[-2:] == ["event: done", "data: {}"]
    assert json.loads(lines[-3].removeprefix("data: "))["status"] == TaskStatus.COMPLETED


def test_the_same_task_is_read_by_the_other_dialects(faked, files):
    name = faked.sdk().run(order(files, "[fake ]"))["id"]
    with faked.http as http:
        assert http.get(f"/v1/jobs/{name}").json()["status"] == "succeeded"
        hexed = name.replace("-", "")
        assert http.get(f"/api/v3/predictions/{hexed}").json()["data"]["status"] == "completed"
    assert faked.get(f"/tasks/{hexed}")["status"] == TaskStatus.COMPLETED
