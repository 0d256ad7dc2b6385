"""The official SDK, unmodified, against the platform as an operator runs it."""

from __future__ import annotations

import io
import json
import re
import time
import wave as wavefile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import httpx
import numpy as np
import pytest

from config.embedded import process
from tests.dialects.wavespeed.live import MODEL, PORTRAIT, SPEECH, Account, account, refusal
from tests.dialects.wavespeed.receiver import Receiver, verify

pytestmark = pytest.mark.timeout(300)
ID = re.compile(r"task_id: ([0-9a-f]{32})")


@pytest.fixture(scope="module")
def faked(live_stack) -> Account:
    """Its jobs go to the fake provider."""
    return account(live_stack, fake=True)


@pytest.fixture(scope="module")
def plain(live_stack) -> Account:
    """A customer like any other: our own CPU engine renders for it."""
    return account(live_stack)


@pytest.fixture(scope="module")
def files(faked) -> dict[str, str]:
    client = faked.sdk()
    return {"image": client.upload(PORTRAIT), "audio": client.upload(SPEECH)}


def measure(path: Path) -> tuple[float, float, float, float]:
    """Seconds of pictures, frames a second, seconds of sound, loudness (root mean square of -1..1)."""
    with av.open(str(path)) as container:
        fps = float(container.streams.video[0].average_rate)
        frames = sum(1 for _ in container.decode(video=0))
    with av.open(str(path)) as container:
        rate = container.streams.audio[0].rate
        blocks = [frame.to_ndarray() for frame in container.decode(audio=0)]
    sound = np.concatenate([block.reshape(block.shape[0], -1) for block in blocks], axis=1)
    return (
        frames / fps,
        fps,
        sound.shape[1] / rate,
        float(np.sqrt(np.mean(np.square(sound, dtype=float)))),
    )


def test_the_samples_become_a_video_as_long_as_the_voice(plain, tmp_path):
    client = plain.sdk()
    image, audio = client.upload(PORTRAIT), client.upload(SPEECH)
    outputs = client.run(MODEL, {"image": image, "audio": audio, "seed": 7}, timeout=200)["outputs"]
    assert len(outputs) == 1
    assert outputs[0].startswith(plain.stack.url)
    video = tmp_path / "video.mp4"
    video.write_bytes(httpx.get(outputs[0], trust_env=False, follow_redirects=True).content)
    with wavefile.open(SPEECH) as speech:
        voice_seconds = speech.getnframes() / speech.getframerate()
    pictures, fps, sound, loudness = measure(video)
    assert abs(pictures - voice_seconds) <= 1 / fps
    assert abs(sound - voice_seconds) <= 0.1  # an AAC stream is padded to whole packets
    assert loudness > 0.01
    assert plain.balance() == (20_000_000 - 13 * 30_000, 0)


def test_uploads_from_a_path_a_stream_and_what_cannot_seek(faked):
    client = faked.sdk()
    content = Path(SPEECH).read_bytes()

    class Pipe(io.RawIOBase):
        name = "pipe"
        rest = io.BytesIO(content)

        def read(self, size: int = -1) -> bytes:
            return self.rest.read(size)

        def tell(self) -> int:
            raise OSError

    with Path(SPEECH).open("rb") as opened:
        for file in (SPEECH, io.BytesIO(content), opened, Pipe()):
            address = client.upload(file)
            assert httpx.get(address, trust_env=False, follow_redirects=True).content == content


def test_an_empty_file_is_refused_by_name(faked):
    with pytest.raises(RuntimeError, match="Failed to create upload: HTTP 400") as caught:
        faked.sdk().upload(io.BytesIO(b""))
    assert refusal(caught.value)["error_code"] == "file_empty"


def test_older_clients_upload_by_form(faked):
    with faked.http as http, Path(PORTRAIT).open("rb") as file:
        data = http.post("/api/v3/media/upload/binary", files={"file": ("p.jpg", file, "image/jpeg")}).json()[
            "data"
        ]
        assert http.get(data["download_url"], follow_redirects=True).content == Path(PORTRAIT).read_bytes()


def test_sync_answers_with_the_video(faked, files):
    result = faked.sdk().run(MODEL, {**files, "prompt": "[fake ]"}, enable_sync_mode=True)
    assert httpx.get(result["outputs"][0], trust_env=False, follow_redirects=True).content[4:8] == b"ftyp"


def test_sync_that_times_out_names_the_task_which_goes_on(faked, files):
    client, body = faked.sdk(), {**files, "prompt": "[fake stall]"}
    with ThreadPoolExecutor(2) as pool:
        run = pool.submit(client.run, MODEL, body, enable_sync_mode=True)
        quiet = pool.submit(client.run_no_throw, MODEL, body, enable_sync_mode=True)
    error = run.exception()
    assert isinstance(error, RuntimeError)
    assert str(error).startswith("Sync mode timed out (task_id: ")
    name = ID.search(str(error))[1]
    assert f"{faked.stack.url}/api/v3/predictions/{name}/result" in str(error)
    found = quiet.result()
    assert (found["status"], found["outputs"]) == ("processing", None)
    assert {name, found["task_id"]} <= set(faked.jobs())
    for task in (name, found["task_id"]):
        assert client.get_result(task)["data"]["status"] == "processing"
        faked.post("predictions/delete", {"ids": [task]})


def test_a_failing_task_raises_with_its_id_and_is_submitted_once(faked, files):
    before = len(faked.jobs())
    body = {**files, "prompt": "[fake fail=face_not_found]"}
    with pytest.raises(RuntimeError, match=r"^Prediction failed \(task_id: [0-9a-f]{32}\): .+"):
        faked.sdk(max_retries=3, retry_interval=0.1).run(MODEL, body, poll_interval=0.2)
    found = faked.sdk(max_retries=3, retry_interval=0.1).run_no_throw(MODEL, body, poll_interval=0.2)
    assert found["status"] == "failed"
    data = faked.sdk().get_result(found["task_id"])["data"]
    assert (data["status"], data["error_code"], data["code"]) == ("failed", "face_not_found", 1401)
    assert len(faked.jobs()) == before + 2
    free = "SELECT count(*) FROM billing_hold WHERE job_id = %s AND status = 'released'"
    assert faked.stack.sql(free, found["task_id"]) == [(1,)]


def test_a_provider_that_is_down_makes_nobody_pay_twice(faked, files):
    before = len(faked.jobs())
    body = {**files, "prompt": "[fake refuse=provider_unavailable]"}
    found = faked.sdk(max_retries=3, retry_interval=0.1).run_no_throw(MODEL, body, poll_interval=0.2)
    assert found["status"] == "failed"
    assert "HTTP" not in found["error"]
    assert len(faked.jobs()) == before + 1


def test_without_money_the_submit_is_refused(live_stack):
    poor = account(live_stack, credit_usd=0)
    client = poor.sdk()
    body = {"image": client.upload(PORTRAIT), "audio": client.upload(SPEECH)}
    with pytest.raises(RuntimeError, match="Failed to submit prediction: HTTP 402") as caught:
        client.run(MODEL, body, max_retries=3)
    assert refusal(caught.value)["error_code"] == "insufficient_funds"
    assert poor.jobs() == []


def test_429_on_polls_is_survived(live_stack, capsys):
    hasty = account(live_stack, fake=True)
    live_stack.sql(
        "INSERT INTO billing_limits (organization_id, credit_limit_micros, reads_per_second) VALUES (%s, 0, 1)",
        hasty.organization,
    )
    client = hasty.sdk(retry_interval=0.5)
    image = patiently(lambda: client.upload(PORTRAIT))
    audio = patiently(lambda: client.upload(SPEECH))
    body = {"image": image, "audio": audio, "prompt": "[fake seconds=3]"}
    result = patiently(lambda: client.run(MODEL, body, poll_interval=0.05))
    assert len(result["outputs"]) == 1
    assert "Server error (HTTP 429) getting result" in capsys.readouterr().out
    assert len(hasty.jobs()) == 1


def patiently(call):
    """The SDK tries only polls again, so uploads and submits are tried here until the second's window has room."""
    result = []

    def tried() -> bool:
        try:
            result.append(call())
        except RuntimeError as error:
            if refusal(error)["error_code"] != "rate_limited":
                raise
        return bool(result)

    assert process.until(tried, seconds=30, pause=0.2)
    return result[0]


def one_job(customer: Account, known: set[str]) -> str:
    """The job that came since."""
    found: list[str] = []

    def came() -> bool:
        found[:] = [name for name in customer.jobs() if name not in known]
        return bool(found)

    assert process.until(came, seconds=30, pause=0.1)
    return found[0]


def test_a_task_canceled_midway_ends_the_wait(faked, files):
    known, client = set(faked.jobs()), faked.sdk()
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(client.run, MODEL, {**files, "prompt": "[fake stall]"}, poll_interval=0.2)
        name = one_job(faked, known)
        status = lambda: client.get_result(name)["data"]["status"]
        assert process.until(lambda: status() == "processing", seconds=30, pause=0.1)
        assert faked.post("predictions/delete", {"ids": [name]})["data"] == {"deleted_count": 0}
    assert str(run.exception()).startswith(f"Prediction cancelled (task_id: {name})")


def test_a_task_deleted_while_it_waits_ends_the_wait(faked, files):
    known = set(faked.jobs())
    with faked.route_closed(), ThreadPoolExecutor(1) as pool:
        run = pool.submit(faked.sdk().run, MODEL, files, poll_interval=0.2)
        name = one_job(faked, known)
        assert faked.post("predictions/delete", {"ids": [name]})["data"] == {"deleted_count": 1}
    assert str(run.exception()).startswith(f"Prediction deleted (task_id: {name})")


def test_a_webhook_arrives_and_its_signature_holds(faked, files):
    receiver = Receiver(faked.stack.receivers[4])
    try:
        model = f"{MODEL}?webhook={receiver.url()}"
        faked.sdk().run(model, {**files, "prompt": "[fake ]"}, poll_interval=0.2)
        assert receiver.arrived.acquire(timeout=30)
    finally:
        receiver.close()
    headers, body = receiver.got[0]
    secret = faked.get("webhook/secret")["data"]["secret"]
    assert verify(secret, headers, body, now=time.time())
    told = json.loads(body)
    assert told["status"] == "completed"
    assert told["input"]["prompt"] == "[fake ]"
    assert told["outputs"][0].startswith(faked.stack.url)


def test_a_wrong_key_is_told_what_is_wrong(live_stack):
    stranger = Account(live_stack, "", "vr_" + "x" * 49)
    with pytest.raises(RuntimeError, match="Failed to submit prediction: HTTP 401") as caught:
        stranger.sdk().run(MODEL, {})
    assert refusal(caught.value)["error_code"] == "malformed_key"


def test_another_tenants_task_is_not_found(faked, plain):
    with pytest.raises(RuntimeError, match="HTTP 404") as caught:
        plain.sdk().get_result(faked.jobs()[0])
    assert refusal(caught.value)["message"] == "Prediction not found."
