"""Every call of the vendor's SDK that runs an app, sync and async, and its own errors where the platform says no."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from inferencesh import File, TaskStatus, UploadFileOptions
from inferencesh.client import AsyncInference, Inference
from inferencesh.models.errors import APIError

from config.embedded import process
from tests.dialects.accounts import is_video
from tests.dialects.inferencesh.conftest import APP, PORTRAIT, SPEECH, as_data
from tests.dialects.inferencesh.live import Account, account, order

pytestmark = pytest.mark.timeout(300)
NOBODY = "00000000-0000-0000-0000-000000000000"
DONE, STALL, FAIL = "[fake ]", "[fake stall]", "[fake fail=face_not_found]"


@pytest.fixture(scope="module")
def faked(live_stack) -> Account:
    return account(live_stack, fake=True)


@pytest.fixture(scope="module")
def files(faked) -> dict[str, str]:
    client = faked.sdk()
    return {
        "image": client.files.upload(str(PORTRAIT))["uri"],
        "audio": client.files.upload(str(SPEECH))["uri"],
    }


def refusal(call) -> tuple[int, str | None]:
    with pytest.raises(APIError) as caught:
        call()
    assert caught.value.message
    return caught.value.status_code, caught.value.code


def running(customer: Account, name: str) -> bool:
    return process.until(lambda: customer.status(name) == "running", seconds=30, pause=0.1)


# --- calls ----------------------------------------------------------------------------------------------------------


def test_the_tasks_namespace(faked, files):
    client = faked.sdk()
    done = client.tasks.run(order(files, DONE))
    assert is_video(done["output"]["file"])
    name = client.tasks.run(order(files, DONE), wait=False)["id"]
    with client.tasks.stream(name) as stream:
        updates = list(stream)
    assert stream.result == updates[-1]
    assert stream.error is None
    assert client.tasks.wait_for_completion(name)["status"] == TaskStatus.COMPLETED
    assert client.tasks.get(name).data["status_text"] == "completed"
    assert {row["role"] for row in client.tasks.files(name).data} == {"input", "output"}
    client.tasks.delete(name)
    assert refusal(lambda: client.tasks.get(name)) == (404, "not_found")
    waiting = client.tasks.run(order(files, STALL), wait=False)["id"]
    client.tasks.cancel(waiting)
    assert process.until(lambda: client.tasks.get(waiting).data["status"] == 12, seconds=30, pause=0.2)


def test_uploads_with_options_and_a_file_object(faked, files):
    client = faked.sdk()
    options = UploadFileOptions(filename="me.jpg", content_type="image/jpeg", path="a/b", public=False)
    named = client.files.upload(PORTRAIT.read_bytes(), options)
    assert (named["filename"], named["content_type"]) == ("me.jpg", "image/jpeg")
    given = {"image": File(path=str(PORTRAIT)), "audio": as_data(SPEECH, "audio/wav")}
    assert client.run(order(given, DONE))["status"] == TaskStatus.COMPLETED
    nested = {"image": {"uri": named["uri"]}, "audio": {"uri": files["audio"]}}
    assert client.run(order(nested, DONE))["status"] == TaskStatus.COMPLETED


def test_notices_reach_the_callback_and_the_response(faked, files):
    told: list[dict] = []
    client = Inference(api_key=faked.key, base_url=faked.base, on_message=told.extend)
    task = client.run({"app": f"{APP}@v1:run", "input": {**files, "prompt": DONE, "max_area": 1}}, wait=False)
    assert [(notice["level"], notice["code"]) for notice in told] == [("warning", "unknown_field")]
    assert not client.get_task(task["id"]).has_warnings
    client.wait_for_completion(task["id"])


def test_there_are_no_sessions(faked, files):
    client = faked.sdk()
    assert client.sessions.list() == []
    for call in (client.sessions.get, client.sessions.keepalive, client.sessions.end):
        assert refusal(lambda call=call: call("sess_1")) == (404, "SESSION_NOT_FOUND")
    assert refusal(lambda: client.session(APP, input=files)) == (400, "validation_error")


# --- ends that are none ---------------------------------------------------------------------------------------------


def test_a_wait_that_takes_too_long_is_the_sdks_time_out(faked, files):
    client = faked.sdk()
    name = client.run(order(files, STALL), wait=False)["id"]
    with pytest.raises(TimeoutError, match="did not complete within"):
        client.wait_for_completion(name, timeout=0.5)
    client.cancel(name)


@pytest.mark.parametrize("way", ["wait", "stream"])
def test_a_cancel_ends_both_ways_of_waiting(faked, files, way):
    client = faked.sdk()
    name = client.run(order(files, STALL), wait=False)["id"]
    follow = client.wait_for_completion if way == "wait" else lambda name: list(client.stream_task(name))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(follow, name)
        assert running(faked, name)
        client.cancel(name)
        with pytest.raises(RuntimeError, match="task cancelled"):
            waiting.result(timeout=30)


def test_what_the_state_of_a_task_forbids(faked, files):
    client = faked.sdk()
    with faked.route_closed():
        name = client.run(order(files, DONE), wait=False)["id"]
        assert refusal(lambda: client.tasks.delete(name)) == (409, "invalid_transition")
        assert refusal(lambda: client.tasks.delete_files(name)) == (409, "invalid_transition")
    client.wait_for_completion(name)
    assert refusal(lambda: client.cancel(name)) == (409, "invalid_transition")


def test_every_call_on_a_task_of_nobody_is_not_found(faked):
    tasks = faked.sdk().tasks
    calls = (
        tasks.get, tasks.cancel, tasks.delete, tasks.files, tasks.delete_files, tasks.stream,
        tasks.wait_for_completion,
    )  # fmt: skip
    for call in calls:
        assert refusal(lambda call=call: call(NOBODY)) == (404, "not_found")


def test_rights_money_and_patience(live_stack):
    reader, capped, hasty = (account(live_stack, fake=True) for _ in range(3))
    reader.scoped("jobs:read")
    assert refusal(lambda: reader.sdk().run({"app": APP, "input": {}})) == (403, "insufficient_scope")
    assert refusal(lambda: reader.sdk().upload_file(b"x")) == (403, "insufficient_scope")
    cap = "UPDATE accounts_apikey SET spend_cap_micros = 1 WHERE organization_id = %s"
    live_stack.sql(cap, capped.organization)
    given = {"image": str(PORTRAIT), "audio": str(SPEECH)}
    assert refusal(lambda: capped.sdk().run(order(given))) == (402, "limit_exceeded")
    hasty.limited(submits_per_minute=1)
    client = hasty.sdk()
    files = {role: client.upload_file(path)["uri"] for role, path in given.items()}

    def told() -> bool:
        try:
            client.run(order(files, DONE), wait=False)
        except APIError as error:
            return (error.status_code, error.code) == (429, "rate_limited")
        return False

    assert process.until(told, seconds=60, pause=0.1)


# --- async ----------------------------------------------------------------------------------------------------------


def test_the_async_client_takes_local_paths_and_has_the_same_calls(faked):
    async def use() -> None:
        client = faked.async_sdk()
        given = {"image": str(PORTRAIT), "audio": File(path=str(SPEECH))}
        done = await client.tasks.run(order(given, DONE))
        assert is_video(done["output"]["file"])
        named = await client.files.upload(str(PORTRAIT))
        assert named["filename"] == PORTRAIT.name
        name = done["id"]
        assert (await client.tasks.get(name)).data["status"] == TaskStatus.COMPLETED
        async with client.tasks.stream(name) as stream:
            assert [update["status"] async for update in stream] == [10]
        assert (await client.tasks.wait_for_completion(name))["output"]["file"]
        outputs = (await client.tasks.files(name, role="output")).data
        assert len((await client.tasks.delete_files(name, role="output")).data["deleted"]) == len(outputs)
        await client.tasks.delete(name, files=True)
        with pytest.raises(APIError, match="HTTP 404"):
            await client.tasks.get(name)
        assert await client.sessions.list() == []

    asyncio.run(use())


def test_the_async_client_raises_on_time_outs_cancels_and_refusals(faked, files):
    async def use() -> None:
        client = faked.async_sdk()
        name = (await client.run(order(files, STALL), wait=False))["id"]
        with pytest.raises(TimeoutError, match="did not complete within"):
            await client.wait_for_completion(name, timeout=0.5)
        waiting = asyncio.create_task(client.wait_for_completion(name))
        assert await asyncio.to_thread(running, faked, name)
        await client.tasks.cancel(name)
        with pytest.raises(RuntimeError, match="task cancelled"):
            await waiting
        with pytest.raises(RuntimeError, match=r"^face_not_found: "):
            async for _ in await client.run(order(files, FAIL), stream=True):
                pass
        for call in (
            client.tasks.cancel,
            client.tasks.delete,
            client.sessions.get,
            client.wait_for_completion,
        ):
            with pytest.raises(APIError, match="HTTP 404"):
                await call(NOBODY)
        told: list[dict] = []
        loud = AsyncInference(api_key=faked.key, base_url=faked.base, on_message=told.extend)
        await loud.run(order({**files, "strange": 1}, DONE))
        assert [notice["code"] for notice in told] == ["unknown_field"]

    asyncio.run(use())
