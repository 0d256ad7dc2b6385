"""The vendor's SDK as it is installed, against a live platform: only key and base URL differ."""

from __future__ import annotations

import asyncio
import json
import subprocess

import av
import dashscope
import httpx
import pytest
from dashscope import VideoSynthesis
from dashscope.aigc.video_synthesis import AioVideoSynthesis
from dashscope.api_entities.aio_session import close_shared_aio_session
from dashscope.api_entities.http_request import close_shared_sync_session
from dashscope.client.base_api import BaseApi
from dashscope.v2 import AsyncClient, Client
from dashscope.v2.errors import AuthenticationError, BadRequestError, DashScopeError

from tests.dialects.accounts import is_video
from tests.dialects.wavespeed.live import PORTRAIT, SPEECH, Account, account

pytestmark = pytest.mark.timeout(300)
S2V = {"model": "wan2.2-s2v", "task": "image2video", "resolution": "480P"}
FILES = {"img_url": PORTRAIT, "audio_url": SPEECH}
SECONDS = 12.528  # of the sample


@pytest.fixture(scope="module")
def faked(live_stack) -> Account:
    """Its jobs go to the fake provider."""
    return account(live_stack, fake=True)


@pytest.fixture
def base(faked) -> str:
    return f"{faked.stack.url}/api/v1"


@pytest.fixture(autouse=True)
def _pointed(faked, base, monkeypatch):
    """All that a customer changes."""
    monkeypatch.setattr(dashscope, "base_http_api_url", base)
    monkeypatch.setattr(dashscope, "api_key", faked.key)
    yield
    close_shared_sync_session()


@pytest.fixture(scope="module")
def uploaded(faked) -> dict[str, str]:
    """The samples at addresses of ours."""
    client = faked.sdk()
    return {"image_url": client.upload(PORTRAIT), "audio_url": client.upload(SPEECH)}


def checked(response) -> None:
    """A finished task as the first SDK tells it."""
    assert response.status_code == 200, response
    assert response.output.task_status == "SUCCEEDED", response
    assert is_video(response.output.results["video_url"])
    assert response.output.video_url == response.output.results["video_url"]
    assert response.usage.duration == pytest.approx(SECONDS, abs=0.01)
    assert (response.usage.video_count, response.usage.SR) == (1, 480)
    assert response.request_id


# --- v1 -----------------------------------------------------------------------------------------------------


def test_v1_call_uploads_waits_and_answers(faked):
    checked(VideoSynthesis.call(prompt="[fake ]", **FILES, **S2V))


def test_v1_call_by_addresses_on_the_sdks_own_path(uploaded):
    checked(VideoSynthesis.call(model="wan2.2-s2v", prompt="[fake ]", extra_input=uploaded))


def test_v1_async_call_fetch_wait(uploaded):
    started = VideoSynthesis.async_call(prompt="[fake seconds=2]", extra_input=uploaded, **S2V)
    assert (started.status_code, started.output.task_status) == (200, "PENDING")
    assert VideoSynthesis.fetch(started).output.task_status in {"PENDING", "RUNNING"}
    checked(VideoSynthesis.wait(started.output.task_id))


def test_v1_cancel_while_pending_and_not_later(faked, uploaded):
    with faked.route_closed():
        waiting = VideoSynthesis.async_call(prompt="[fake ]", extra_input=uploaded, **S2V)
        answer = VideoSynthesis.cancel(waiting)
        assert answer.status_code == 200
        assert VideoSynthesis.wait(waiting).output.task_status == "CANCELED"
    again = VideoSynthesis.cancel(waiting)
    assert (again.status_code, again.code) == (400, "UnsupportedOperation")
    assert again.message
    assert again.request_id


def test_v1_list(uploaded):
    task = VideoSynthesis.async_call(prompt="[fake ]", extra_input=uploaded, **S2V).output.task_id
    page = VideoSynthesis.list(page_no=1, page_size=100, model_name="wan2.2-s2v")
    assert page.status_code == 200
    line = next(line for line in page.output["data"] if line["task_id"] == task)
    assert line["model_name"] == "wan2.2-s2v"


def test_v1_a_failed_task_says_why(uploaded):
    failed = VideoSynthesis.call(prompt="[fake fail=face_not_found]", extra_input=uploaded, **S2V)
    assert (failed.status_code, failed.output.task_status) == (200, "FAILED")
    assert failed.output.code == "InvalidFile.NoHuman"
    assert failed.output.message


def test_v1_refusals_are_error_objects(uploaded):
    refused = VideoSynthesis.async_call(extra_input=uploaded, **{**S2V, "resolution": "1080P"})
    assert (refused.status_code, refused.code) == (400, "InvalidParameter")
    assert "resolution" in refused.message
    assert refused.request_id
    stranger = VideoSynthesis.async_call(extra_input=uploaded, api_key="sk-nobody", **S2V)
    assert (stranger.status_code, stranger.code) == (401, "InvalidApiKey")


def test_v1_unknown_tasks_end_the_wait():
    assert VideoSynthesis.wait("00000000-0000-0000-0000-000000000000").output.task_status == "UNKNOWN"


def test_face_detect_through_the_sdks_general_call(uploaded):
    answer = BaseApi.call(
        model="wan2.2-s2v-detect",
        input={"image_url": uploaded["image_url"]},
        task_group="aigc",
        task="image2video",
        function="face-detect",
    )
    assert answer.status_code == 200, answer
    assert answer.output == {"check_pass": True, "humanoid": True}
    assert answer.usage == {"image_count": 1}


# --- v1, asynchronous ---------------------------------------------------------------------------------------


def test_aio_call_fetch_wait_cancel_list(faked, uploaded):
    async def through() -> None:
        checked(await AioVideoSynthesis.call(prompt="[fake ]", **FILES, **S2V))
        started = await AioVideoSynthesis.async_call(prompt="[fake seconds=2]", extra_input=uploaded, **S2V)
        assert started.output.task_status == "PENDING"
        assert (await AioVideoSynthesis.fetch(started)).output.task_status in {"PENDING", "RUNNING"}
        checked(await AioVideoSynthesis.wait(started))
        late = await AioVideoSynthesis.cancel(started)
        assert (late.status_code, late.code) == (400, "UnsupportedOperation")
        with faked.route_closed():
            waiting = await AioVideoSynthesis.async_call(prompt="[fake ]", extra_input=uploaded, **S2V)
            assert (await AioVideoSynthesis.cancel(waiting)).status_code == 200
        page = await AioVideoSynthesis.list(status="CANCELED")
        assert waiting.output.task_id in {line["task_id"] for line in page.output["data"]}
        refused = await AioVideoSynthesis.async_call(extra_input=uploaded, api_key="sk-nobody", **S2V)
        assert (refused.status_code, refused.code) == (401, "InvalidApiKey")
        await close_shared_aio_session()

    asyncio.run(through())


# --- v2 -----------------------------------------------------------------------------------------------------


@pytest.fixture
def jobs(faked, base):
    with Client(api_key=faked.key, base_url=base) as client:
        yield client.videos.jobs


def test_v2_create_fetch_wait_list_cancel(faked, jobs, uploaded):
    files = {"image_url": PORTRAIT, "extra_input": {"audio_url": SPEECH}}
    started = jobs.create(model="wan2.2-s2v", prompt="[fake ]", resolution="480P", **files)
    assert started.status == "PENDING"
    done = jobs.wait(started.task_id)
    assert done.succeeded
    assert is_video(done.video_url)
    assert done.output["results"]["video_url"] == done.result_url
    assert started.task_id in {job.task_id for job in jobs.list(page_size=100).tasks}
    with faked.route_closed():
        waiting = jobs.create(model="wan2.2-s2v", prompt="[fake ]", extra_input=uploaded)
        jobs.cancel(waiting.task_id)
        assert jobs.fetch(waiting.task_id).status == "CANCELED"
    with pytest.raises(BadRequestError) as late:
        jobs.cancel(waiting.task_id)
    assert (late.value.code, late.value.status_code) == ("UnsupportedOperation", 400)
    assert jobs.fetch("00000000-0000-0000-0000-000000000000").status == "UNKNOWN"


def test_v2_raises_its_own_errors(faked, base, jobs, uploaded):
    failing = jobs.create(model="wan2.2-s2v", prompt="[fake fail=url_timeout]", extra_input=uploaded)
    with pytest.raises(DashScopeError) as failed:
        jobs.wait(failing.task_id)
    assert failed.value.code == "InvalidURL.Timeout"
    with pytest.raises(BadRequestError) as refused:
        jobs.create(model="wan2.2-s2v", extra_input={"image_url": uploaded["image_url"]})
    assert refused.value.request_id
    before = len(faked.jobs())
    nobody = Client(api_key="sk-nobody", base_url=base)
    with nobody, pytest.raises(AuthenticationError):
        nobody.videos.jobs.create(model="wan2.2-s2v", extra_input=uploaded)
    assert len(faked.jobs()) == before


def test_v2_asynchronous(faked, base, uploaded):
    async def through() -> None:
        async with AsyncClient(api_key=faked.key, base_url=base) as client:
            jobs = client.videos.jobs
            started = await jobs.create(model="wan2.2-s2v", prompt="[fake ]", extra_input=uploaded)
            done = await jobs.wait(started.task_id)
        assert done.succeeded
        assert is_video(done.video_url)

    asyncio.run(through())


# --- curl ---------------------------------------------------------------------------------------------------


def curl(*words: str) -> dict:
    done = subprocess.run(
        ["curl", "-sS", "--noproxy", "*", *words], capture_output=True, check=True, timeout=60
    )
    return json.loads(done.stdout)


def test_curl_as_on_the_vendors_page(faked, base, uploaded):
    key = ["--header", f"Authorization: Bearer {faked.key}"]
    body = {"model": "wan2.2-s2v", "input": uploaded, "parameters": {"style": "speech"}}
    started = curl(
        f"{base}/services/aigc/image2video/video-synthesis/",
        "--header", "X-DashScope-Async: enable",
        "--header", "Content-Type: application/json",
        *key, "--data", json.dumps(body),
    )  # fmt: skip
    task = started["output"]["task_id"]
    assert started["output"]["task_status"] == "PENDING"
    assert VideoSynthesis.wait(task).output.task_status == "SUCCEEDED"
    found = curl("-X", "GET", f"{base}/tasks/{task}", *key)
    assert is_video(found["output"]["results"]["video_url"])
    assert curl(f"{base}/tasks/{task}")["code"] == "InvalidApiKey"


# --- our own engine -----------------------------------------------------------------------------------------


def test_emo_from_detection_to_video(uploaded, tmp_path):
    """No provider pretends here: the detector and the CPU engine do the work."""
    found = BaseApi.call(
        model="emo-detect-v1",
        input={"image_url": uploaded["image_url"]},
        ratio="3:4",
        task_group="aigc",
        task="image2video",
        function="face-detect",
    )
    assert found.output["check_pass"], found
    boxes = {name: found.output[name] for name in ("face_bbox", "ext_bbox")}
    done = VideoSynthesis.call(
        model="emo-v1", task="image2video", extra_input={**uploaded, **boxes}, style_level="calm"
    )
    assert done.output.task_status == "SUCCEEDED", done
    assert (done.usage.video_ratio, done.usage.video_duration) == ("3:4", pytest.approx(SECONDS, abs=0.01))
    video = tmp_path / "video.mp4"
    video.write_bytes(
        httpx.get(done.output.results["video_url"], trust_env=False, follow_redirects=True).content
    )
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (512, 704)
