"""The vendor's own SDK against the double: what it cannot tell from the vendor, an adapter cannot either."""

from __future__ import annotations

import dashscope
import pytest
from dashscope import VideoSynthesis
from dashscope.api_entities.http_request import close_shared_sync_session
from dashscope.client.base_api import BaseApi
from dashscope.utils.oss_utils import upload_file

from tests.jobs.drive import SAMPLES
from tests.vendors.dashscope.double import KEY, DashScope
from tests.vendors.server import running, sound_ms

PORTRAIT, SPEECH = str(SAMPLES / "portrait.jpg"), str(SAMPLES / "speech.wav")
S2V = {"model": "wan2.2-s2v", "task": "image2video", "resolution": "480P"}


@pytest.fixture
def vendor(monkeypatch):
    with running(DashScope()) as double:
        monkeypatch.setattr(dashscope, "base_http_api_url", f"{double.url}/api/v1")
        monkeypatch.setattr(dashscope, "api_key", KEY)
        yield double
        close_shared_sync_session()


def test_upload_run_and_result(vendor):
    answer = VideoSynthesis.call(
        prompt="", img_url=PORTRAIT, audio_url=SPEECH, extra_input=pictured(vendor), **S2V
    )
    assert answer.output.task_status == "SUCCEEDED", answer
    (task,) = vendor.tasks.values()
    assert answer.output.results["video_url"].endswith(f"{task.id}.mp4")
    assert answer.usage.duration == task.length_ms / 1000
    sent = {content for _, content in vendor.objects.values()}
    assert sent >= {(SAMPLES / name).read_bytes() for name in ("portrait.jpg", "speech.wav")}
    assert task.length_ms == sound_ms((SAMPLES / "speech.wav").read_bytes())


def pictured(vendor) -> dict[str, str]:
    """The SDK knows the picture by another name than these models; it is uploaded as the SDK uploads."""
    return {"image_url": upload_file("wan2.2-s2v", f"file://{PORTRAIT}", KEY)}


def test_a_failure_is_told_with_status_200(vendor):
    vendor.ending = "InvalidURL"
    answer = VideoSynthesis.call(prompt="", audio_url=SPEECH, extra_input=pictured(vendor), **S2V)
    assert (answer.status_code, answer.output.task_status, answer.output.code) == (
        200,
        "FAILED",
        "InvalidURL",
    )


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("refusal", 400, "DataInspectionFailed"),
        ("throttle", 429, "Throttling.RateQuota"),
        ("denied", 401, "InvalidApiKey"),
        ("error", 500, "InternalError"),
    ],
)
def test_refusals(vendor, kind, status, code):
    given = pictured(vendor)
    vendor.fault("submit", kind)
    answer = VideoSynthesis.async_call(prompt="", audio_url=SPEECH, extra_input=given, **S2V)
    assert (answer.status_code, answer.code) == (status, code)
    assert not vendor.tasks


def test_detection(vendor):
    body = {
        "task_group": "aigc",
        "task": "image2video",
        "function": "face-detect",
        "model": "wan2.2-s2v-detect",
    }
    answer = BaseApi.call(input={"image_url": f"{vendor.url}/nowhere"}, **body)
    assert (answer.status_code, answer.code) == (400, "InvalidURL")
    place = upload_file("wan2.2-s2v-detect", f"file://{PORTRAIT}", KEY)
    resolve = {"X-DashScope-OssResourceResolve": "enable"}
    answer = BaseApi.call(input={"image_url": place}, headers=resolve, **body)
    assert answer.output == {"check_pass": True, "humanoid": True}


def test_one_task_at_a_time_cancel_and_list(vendor):
    given = pictured(vendor)
    first = VideoSynthesis.async_call(prompt="", audio_url=SPEECH, extra_input=given, **S2V)
    second = VideoSynthesis.async_call(prompt="", audio_url=SPEECH, extra_input=given, **S2V)
    assert (first.status_code, second.status_code) == (200, 429)
    assert VideoSynthesis.cancel(first).status_code == 200
    assert VideoSynthesis.fetch(first).output.task_status == "CANCELED"
    assert VideoSynthesis.cancel(first).status_code == 400
    listed = VideoSynthesis.list(model_name="wan2.2-s2v")
    assert listed.status_code == 200
    gone = VideoSynthesis.fetch("0e7a0000-0000-4000-8000-000000000000")
    assert (gone.status_code, gone.output.task_status) == (200, "UNKNOWN")
