"""What else the vendor's SDK offers for these models, in its three forms, and its own errors where we say no."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import dashscope
import pytest
from dashscope import VideoSynthesis
from dashscope.aigc.video_synthesis import AioVideoSynthesis
from dashscope.api_entities.aio_session import close_shared_aio_session
from dashscope.api_entities.http_request import close_shared_sync_session
from dashscope.common.error import InvalidTask, UploadFileException
from dashscope.utils.oss_utils import OssUtils
from dashscope.v2 import AsyncClient, Client
from dashscope.v2.errors import (
    BadRequestError,
    DashScopeError,
    PermissionDeniedError,
    RateLimitError,
    ServiceUnavailableError,
)
from dashscope.v2.resources._jobs import Jobs

from config.embedded import process
from tests.dialects.accounts import is_video
from tests.dialects.wavespeed.live import PORTRAIT, SPEECH, Account, account

pytestmark = pytest.mark.timeout(300)
S2V = {"model": "wan2.2-s2v", "task": "image2video", "resolution": "480P"}
MODEL = "wan2.2-s2v"
NOBODY = "00000000-0000-0000-0000-000000000000"
DONE, STALL, FAIL = "[fake ]", "[fake stall]", "[fake fail=face_not_found]"
ZONE = timedelta(hours=8)


@pytest.fixture(scope="module")
def faked(live_stack) -> Account:
    return account(live_stack, fake=True)


@pytest.fixture(scope="module")
def other(live_stack) -> Account:
    return account(live_stack, fake=True)


@pytest.fixture
def base(faked) -> str:
    return f"{faked.stack.url}/api/v1"


@pytest.fixture(autouse=True)
def _pointed(faked, base, monkeypatch):
    monkeypatch.setattr(dashscope, "base_http_api_url", base)
    monkeypatch.setattr(dashscope, "api_key", faked.key)
    yield
    close_shared_sync_session()


@pytest.fixture(scope="module")
def uploaded(faked) -> dict[str, str]:
    client = faked.sdk()
    return {"image_url": client.upload(PORTRAIT), "audio_url": client.upload(SPEECH)}


# --- v1 -------------------------------------------------------------------------------------------------------------


def test_v1_a_wait_that_takes_too_long_is_the_sdks_time_out(faked, uploaded):
    started = VideoSynthesis.async_call(prompt=STALL, extra_input=uploaded, **S2V)
    late = VideoSynthesis.wait(started, wait_timeout=1)
    assert (late.status_code, late.code) == (408, "WaitTaskTimeout")
    faked.cancel(started.output.task_id)
    assert VideoSynthesis.wait(started).output.task_status == "CANCELED"


def test_v1_a_call_that_is_refused_raises_invalid_task(uploaded):
    with pytest.raises(InvalidTask, match="InvalidParameter"):
        VideoSynthesis.call(extra_input=uploaded, **{**S2V, "resolution": "1080P"})


def test_v1_list_by_time_state_and_page(uploaded):
    started = VideoSynthesis.async_call(prompt=FAIL, extra_input=uploaded, **S2V)
    assert VideoSynthesis.wait(started).output.task_status == "FAILED"
    now = datetime.now(UTC) + ZONE
    span = {
        "start_time": f"{now - timedelta(hours=1):%Y%m%d%H%M%S}",
        "end_time": f"{now + timedelta(hours=1):%Y%m%d%H%M%S}",
    }
    names = lambda **query: {line["task_id"] for line in VideoSynthesis.list(**query).output["data"]}
    task = started.output.task_id
    assert task in names(status="FAILED", page_no=1, page_size=50, **span)
    assert task not in names(status="SUCCEEDED", **span)
    assert task not in names(model_name="emo-v1")
    wrong = VideoSynthesis.list(start_time="yesterday")
    assert (wrong.status_code, wrong.code) == (400, "InvalidParameter")


def test_v1_anothers_task_is_unknown_to_every_call(other, uploaded):
    task = VideoSynthesis.async_call(prompt=DONE, extra_input=uploaded, **S2V).output.task_id
    assert VideoSynthesis.fetch(task, api_key=other.key).output.task_status == "UNKNOWN"
    assert VideoSynthesis.wait(task, api_key=other.key).output.task_status == "UNKNOWN"
    canceled = VideoSynthesis.cancel(task, api_key=other.key)
    assert (canceled.status_code, canceled.code) == (400, "UnsupportedOperation")
    assert VideoSynthesis.list(api_key=other.key).output["total"] == 0
    assert VideoSynthesis.wait(task).output.task_status == "SUCCEEDED"


def test_v1_uploads_by_certificate_and_refusals_of_them(faked):
    certificate = OssUtils.get_upload_certificate(model=MODEL, api_key=faked.key)
    assert certificate.status_code == 200
    image, again = OssUtils.upload(
        model=MODEL, file_path=PORTRAIT, api_key=faked.key, upload_certificate=certificate.output
    )
    audio, _ = OssUtils.upload(model=MODEL, file_path=SPEECH, api_key=faked.key, upload_certificate=again)
    done = VideoSynthesis.call(
        prompt=DONE,
        extra_input={"image_url": image, "audio_url": audio},
        headers={"X-DashScope-OssResourceResolve": "enable"},
        **S2V,
    )
    assert done.output.task_status == "SUCCEEDED", done
    with pytest.raises(UploadFileException, match="Get upload certificate failed, code: InvalidApiKey"):
        OssUtils.upload(model=MODEL, file_path=PORTRAIT, api_key="sk-nobody")
    forged = {**certificate.output, "signature": "forged"}
    with pytest.raises(UploadFileException, match="oss failed"):
        OssUtils.upload(model=MODEL, file_path=PORTRAIT, api_key=faked.key, upload_certificate=forged)


def test_v1_money_rights_and_patience(live_stack, uploaded):
    poor = account(live_stack, credit_usd=0, fake=True)
    files = {"image_url": poor.sdk().upload(PORTRAIT), "audio_url": poor.sdk().upload(SPEECH)}
    refused = VideoSynthesis.async_call(extra_input=files, api_key=poor.key, **S2V)
    assert (refused.status_code, refused.code) == (400, "Arrearage")
    reader, hasty = (account(live_stack, fake=True) for _ in range(2))
    reader.scoped("jobs:read")
    files = {"image_url": "https://example.com/a.jpg", "audio_url": "https://example.com/a.wav"}
    refused = VideoSynthesis.async_call(extra_input=files, api_key=reader.key, **S2V)
    assert (refused.status_code, refused.code) == (403, "AccessDenied")
    hasty.limited(submits_per_minute=1)
    order = lambda: VideoSynthesis.async_call(extra_input=files, api_key=hasty.key, **S2V)
    assert process.until(lambda: order().status_code == 429, seconds=60, pause=0.1)


# --- v1, asynchronous -----------------------------------------------------------------------------------------------


def test_aio_ends_that_are_none(faked, other, uploaded):
    async def through() -> None:
        started = await AioVideoSynthesis.async_call(prompt=STALL, extra_input=uploaded, **S2V)
        late = await AioVideoSynthesis.wait(started, wait_timeout=1)
        assert (late.status_code, late.code) == (408, "WaitTaskTimeout")
        task = started.output.task_id
        assert (await AioVideoSynthesis.fetch(task, api_key=other.key)).output.task_status == "UNKNOWN"
        assert (await AioVideoSynthesis.cancel(task, api_key=other.key)).code == "UnsupportedOperation"
        faked.cancel(task)
        failed = await AioVideoSynthesis.call(prompt=FAIL, extra_input=uploaded, **S2V)
        assert (failed.status_code, failed.output.code) == (200, "InvalidFile.NoHuman")
        with pytest.raises(InvalidTask, match="InvalidParameter"):
            await AioVideoSynthesis.call(extra_input=uploaded, **{**S2V, "resolution": "1080P"})
        wrong = await AioVideoSynthesis.list(page_size=0)
        assert (wrong.status_code, wrong.code) == (400, "InvalidParameter")
        assert (await AioVideoSynthesis.wait(NOBODY)).output.task_status == "UNKNOWN"
        await close_shared_aio_session()

    asyncio.run(through())


# --- v2 -------------------------------------------------------------------------------------------------------------


def test_v2_generate_and_the_other_path(faked, base, uploaded):
    with Client(api_key=faked.key, base_url=base) as client:
        done = client.videos.generate(
            model=MODEL, prompt=DONE, extra_input=uploaded, seed=7, poll_interval=0.2
        )
        assert done.succeeded
        assert is_video(done.video_url)
        jobs = Jobs(client, "aigc/image2video/video-synthesis")
        given = {**uploaded, "prompt": DONE}
        other = jobs.wait(jobs.create(model=MODEL, input=given, parameters={}), poll_interval=0.2)
        assert is_video(other.video_url)


def test_v2_time_outs_cancels_and_failures_are_the_sdks_errors(faked, base, uploaded):
    with Client(api_key=faked.key, base_url=base) as client:
        jobs = client.videos.jobs
        stalled = jobs.create(model=MODEL, prompt=STALL, extra_input=uploaded)
        with pytest.raises(DashScopeError, match="timed out after 1s waiting for task"):
            jobs.wait(stalled, timeout=1, poll_interval=0.2)
        faked.cancel(stalled.task_id)
        with pytest.raises(DashScopeError, match="was canceled while waiting"):
            jobs.wait(stalled, poll_interval=0.2)
        with pytest.raises(DashScopeError) as failed:
            client.videos.generate(model=MODEL, prompt=FAIL, extra_input=uploaded, poll_interval=0.2)
        assert failed.value.code == "InvalidFile.NoHuman"
        with pytest.raises(BadRequestError) as refused:
            jobs.list(page_no=0)
        assert refused.value.code == "InvalidParameter"


def test_v2_errors_as_values_where_that_is_asked_for(faked, base, uploaded):
    with Client(api_key=faked.key, base_url=base, raise_on_error=False) as client:
        jobs = client.videos.jobs
        failed = jobs.wait(jobs.create(model=MODEL, prompt=FAIL, extra_input=uploaded), poll_interval=0.2)
        assert (failed.status, failed.code) == ("FAILED", "InvalidFile.NoHuman")
        refused = jobs.create(model=MODEL, extra_input={"image_url": uploaded["image_url"]})
        assert (refused.is_error, refused.code) == (True, "InvalidParameter")


def test_v2_money_routes_and_patience(live_stack, base):
    poor = account(live_stack, credit_usd=0, fake=True)
    files = {"image_url": "https://example.com/a.jpg", "audio_url": "https://example.com/a.wav"}
    with Client(api_key=poor.key, base_url=base) as client:
        with pytest.raises(PermissionDeniedError) as refused:
            client.videos.jobs.create(model=MODEL, extra_input=files)
        assert refused.value.code == "Arrearage"
        # nobody renders this one for it
        films = {"image_url": files["image_url"], "video_url": "https://example.com/a.mp4"}
        with pytest.raises(ServiceUnavailableError) as nobody:
            client.videos.jobs.create(
                model="wan2.2-animate-move", extra_input=films, parameters={"mode": "wan-std"}
            )
        assert nobody.value.code == "ModelUnavailable"
    hasty = account(live_stack, fake=True)
    hasty.limited(submits_per_minute=1)
    with Client(api_key=hasty.key, base_url=base, max_retries=0) as client:

        def told() -> bool:
            try:
                client.videos.jobs.create(model=MODEL, extra_input=files)
            except RateLimitError as error:
                return error.code == "Throttling.RateQuota"
            return False

        assert process.until(told, seconds=60, pause=0.1)


def test_v2_asynchronous_has_the_same_calls(faked, base, other, uploaded):
    async def through() -> None:
        async with AsyncClient(api_key=faked.key, base_url=base) as client:
            done = await client.videos.generate(
                model=MODEL,
                image_url=PORTRAIT,
                extra_input={"audio_url": SPEECH},
                prompt=DONE,
                poll_interval=0.2,
            )
            assert is_video(done.video_url)
            jobs = client.videos.jobs
            assert (await jobs.fetch(done.task_id)).succeeded
            assert (await jobs.fetch(done.task_id, api_key=other.key)).status == "UNKNOWN"
            assert done.task_id in {job.task_id for job in (await jobs.list(page_size=100)).tasks}
            with pytest.raises(BadRequestError) as late:
                await jobs.cancel(done.task_id)
            assert late.value.code == "UnsupportedOperation"
            stalled = await jobs.create(model=MODEL, prompt=STALL, extra_input=uploaded)
            with pytest.raises(DashScopeError, match="timed out after 1s"):
                await jobs.wait(stalled.task_id, timeout=1, poll_interval=0.2)
            await asyncio.to_thread(faked.cancel, stalled.task_id)
            with pytest.raises(DashScopeError) as failed:
                await client.videos.generate(
                    model=MODEL, prompt=FAIL, extra_input=uploaded, poll_interval=0.2
                )
            assert failed.value.code == "InvalidFile.NoHuman"
            assert (await jobs.fetch(NOBODY)).status == "UNKNOWN"

    asyncio.run(through())
