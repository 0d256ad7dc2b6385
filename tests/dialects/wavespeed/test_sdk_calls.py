"""What else the vendor's SDK offers: module functions, time-outs of its own, and refusals in its own error types."""

from __future__ import annotations

import io

import pytest
import wavespeed
from wavespeed import api

from config.embedded import process
from tests.dialects.accounts import is_video
from tests.dialects.wavespeed.live import MODEL, PORTRAIT, SPEECH, Account, account, refusal

pytestmark = pytest.mark.timeout(300)
DONE, STALL, FAIL = "[fake ]", "[fake stall]", "[fake fail=face_not_found]"


@pytest.fixture(scope="module")
def faked(live_stack) -> Account:
    return account(live_stack, fake=True)


@pytest.fixture(scope="module")
def files(faked) -> dict[str, str]:
    client = faked.sdk()
    return {"image": client.upload(PORTRAIT), "audio": client.upload(SPEECH)}


def test_the_module_functions(faked, monkeypatch):
    """As the vendor's page begins: the settings changed, nothing else."""
    monkeypatch.setattr(wavespeed.config.api, "base_url", f"{faked.stack.url}/")
    monkeypatch.setattr(wavespeed.config.api, "api_key", faked.key)
    monkeypatch.setattr(api, "_default_client", None)
    given = {"image": wavespeed.upload(PORTRAIT), "audio": wavespeed.upload(SPEECH), "prompt": DONE}
    assert is_video(wavespeed.run(MODEL, given, poll_interval=0.2)["outputs"][0])
    quiet = wavespeed.run_no_throw(MODEL, given, poll_interval=0.2)
    assert (quiet["status"], quiet["error"]) == ("completed", None)
    for found in (
        wavespeed.get_result(quiet["task_id"]),
        wavespeed.get_result(quiet["task_id"], api_key=faked.key),
    ):
        assert (found["code"], found["message"], found["data"]["status"]) == (200, "success", "completed")
        assert is_video(found["data"]["outputs"][0])


def test_a_wait_that_takes_too_long_is_the_sdks_time_out(faked, files):
    client, body = faked.sdk(), {**files, "prompt": STALL}
    with pytest.raises(TimeoutError, match=r"timed out after 1 seconds \(task_id: [0-9a-f]{32}\)"):
        client.run(MODEL, body, timeout=1, poll_interval=0.2)
    quiet = client.run_no_throw(MODEL, body, timeout=1, poll_interval=0.2)
    assert quiet["status"] == "failed"
    assert client.get_result(quiet["task_id"])["data"]["status"] in {"created", "processing"}
    for name in faked.jobs():
        faked.post("predictions/delete", {"ids": [name]})


def test_a_sync_run_that_fails_raises_its_reason(faked, files):
    client, body = faked.sdk(), {**files, "prompt": FAIL}
    with pytest.raises(
        RuntimeError, match=r"^Prediction failed \(task_id: [0-9a-f]{32}\): The script failed"
    ):
        client.run(MODEL, body, enable_sync_mode=True)
    quiet = client.run_no_throw(MODEL, body, enable_sync_mode=True)
    assert (quiet["status"], quiet["outputs"]) == ("failed", None)
    assert client.get_result(quiet["task_id"])["data"]["error_code"] == "face_not_found"
    done = client.run_no_throw(MODEL, {**files, "prompt": DONE}, enable_sync_mode=True)
    assert (done["status"], done["error"]) == ("completed", None)
    assert is_video(done["outputs"][0])


def test_an_unknown_task_and_a_name_that_is_none(faked):
    for name in ("0" * 32, "pred_1", "garbage"):
        with pytest.raises(RuntimeError, match=f"Failed to get result for task {name}: HTTP 404") as caught:
            faked.sdk().get_result(name)
        assert refusal(caught.value)["message"] == "Prediction not found."


def test_what_is_wrong_is_told_with_its_name(faked, files):
    client = faked.sdk()
    for model, body, status, code in (
        (MODEL, {}, 400, "parameter_missing"),
        (MODEL, {**files, "resolution": "1080p"}, 400, "parameter_invalid"),
        ("wavespeed-ai/other", files, 404, "model_unknown"),
    ):
        with pytest.raises(RuntimeError, match=f"Failed to submit prediction: HTTP {status}") as caught:
            client.run(model, body)
        assert refusal(caught.value)["error_code"] == code
        assert client.run_no_throw(model, body)["status"] == "failed"


def test_rights_and_patience(live_stack):
    reader, hasty = (account(live_stack, fake=True) for _ in range(2))
    reader.scoped("jobs:read")
    with pytest.raises(RuntimeError, match="Failed to submit prediction: HTTP 403") as caught:
        reader.sdk().run(MODEL, {})
    assert refusal(caught.value)["error_code"] == "scope_missing"
    with pytest.raises(RuntimeError, match="Failed to create upload: HTTP 403"):
        reader.sdk().upload(io.BytesIO(b"x"))
    hasty.limited(submits_per_minute=1)
    client = hasty.sdk()
    body = {"image": client.upload(PORTRAIT), "audio": client.upload(SPEECH), "prompt": DONE}

    def told() -> bool:
        try:
            client.run(MODEL, body, poll_interval=0.2, max_retries=3)
        except RuntimeError as error:
            return refusal(error)["error_code"] == "rate_limited"
        return False

    assert process.until(told, seconds=60, pause=0.1)
