"""The stream over ASGI: whole tasks on lines, woken by Redis, and nothing held while it waits."""

from __future__ import annotations

import asyncio
import json
import threading
import time

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.db.models.functions import Now
from django.test import AsyncClient
from django.test.utils import override_settings

from accounts import keys
from accounts.models import Organization
from jobs.dialects.inferencesh import stream
from tests.dialects.inferencesh.test_tasks import NOBODY, problem
from tests.jobs import drive

LINES = {"accept": "application/x-ndjson"}
live = pytest.mark.django_db(transaction=True)
MINE = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


async def opened(key: str, name: str, **headers: str):
    answer = await AsyncClient().get(
        f"/tasks/{name}/stream", headers={"authorization": f"Bearer {key}", **headers}
    )
    assert answer.status_code == 200
    return answer


def driven(seconds: float = 0.3) -> threading.Thread:
    """The job is finished by others after a while."""

    def work() -> None:
        time.sleep(seconds)
        drive.run_all()
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


async def collected(answer) -> list[dict]:
    return [json.loads(line) async for line in answer.streaming_content]


@live
def test_every_line_is_the_whole_task_until_its_end(infsh, key, inputs):
    name = infsh.ran(inputs)["id"]

    async def watch():
        answer = await opened(key, name, **LINES)
        assert answer["Content-Type"] == "application/x-ndjson"
        assert not answer.has_header("Content-Length")
        thread = driven()
        found = await asyncio.wait_for(collected(answer), 20)
        await sync_to_async(thread.join)()
        return found

    updates = asyncio.run(watch())
    assert all(set(update) == set(updates[0]) for update in updates)
    assert updates[0]["status"] == 2
    assert [update["status"] for update in updates] == sorted(update["status"] for update in updates)
    assert updates[-1] == infsh.task(name)
    assert updates[-1]["status"] == 10


@live
def test_a_finished_task_is_told_at_once_and_the_stream_ends(infsh, key, inputs):
    name = infsh.ran(inputs)["id"]
    infsh.post(f"/tasks/{name}/cancel")

    async def watch():
        return await asyncio.wait_for(collected(await opened(key, name, **LINES)), 5)

    (only,) = asyncio.run(watch())
    assert only["status"] == 12
    assert only["error"]


@live
def test_old_clients_get_server_sent_events(infsh, key, inputs):
    name = infsh.ran(inputs)["id"]
    infsh.post(f"/tasks/{name}/cancel")

    async def watch():
        answer = await opened(key, name, accept="text/event-stream")
        assert answer["Content-Type"] == "text/event-stream"
        return b"".join([part async for part in answer.streaming_content]).decode()

    text = asyncio.run(watch())
    assert text.startswith("event: update\ndata: {")
    assert text.endswith("event: done\ndata: {}\n\n")


@live
def test_a_quiet_stream_says_something_in_time_and_holds_no_connection(infsh, key, inputs, monkeypatch):
    monkeypatch.setattr(stream, "LINE_SECONDS", 0.5)
    name = infsh.ran(inputs)["id"]

    async def watch():
        before = await sync_to_async(connections)()
        answer = await opened(key, name, **LINES)
        told = answer.streaming_content
        first = await anext(told)
        waiting = asyncio.ensure_future(anext(told))
        await asyncio.sleep(0.25)
        held = await sync_to_async(connections)()
        second = await asyncio.wait_for(waiting, 5)
        await told.aclose()
        return first, second, held - before

    connection.close()  # the fixtures' own
    first, second, more = asyncio.run(watch())
    assert first == second
    assert more <= 0


def connections() -> int:
    with connection.cursor() as cursor:
        cursor.execute(MINE)
        return cursor.fetchone()[0]


@live
def test_a_wake_up_is_not_waited_for_the_clock(infsh, key, inputs):
    name = infsh.ran(inputs)["id"]

    async def watch():
        told = (await opened(key, name, **LINES)).streaming_content
        await anext(told)
        thread = threading.Timer(0.2, cancel)
        thread.start()
        started = time.monotonic()
        line = json.loads(await asyncio.wait_for(anext(told), 8))
        await told.aclose()
        await sync_to_async(thread.join)()
        return line, time.monotonic() - started

    def cancel() -> None:
        infsh.post(f"/tasks/{name}/cancel")
        connection.close()

    line, seconds = asyncio.run(watch())
    assert line["status"] == 12
    assert seconds < 4


@live
def test_without_redis_the_stream_reads_on_its_own_clock(infsh, key, inputs):
    name = infsh.ran(inputs)["id"]

    async def watch():
        with override_settings(REDIS_URL="redis://127.0.0.1:9/0"):
            answer = await opened(key, name, **LINES)
            thread = driven()
            found = await asyncio.wait_for(collected(answer), 30)
            await sync_to_async(thread.join)()
            return found

    assert asyncio.run(watch())[-1]["status"] == 10


@live
@pytest.mark.parametrize("end", ["revoked", "suspended"])
def test_a_key_that_is_taken_away_ends_its_open_streams(infsh, key, org, inputs, monkeypatch, end):
    monkeypatch.setattr(stream, "LINE_SECONDS", 0.5)
    name = infsh.ran(inputs)["id"]

    def take_away() -> None:
        if end == "revoked":
            keys.revoke(org.keys.get(), by=None)
        else:
            Organization.objects.update(suspended_at=Now())
        connection.close()

    async def watch():
        told = (await opened(key, name, **LINES)).streaming_content
        await anext(told)
        await sync_to_async(take_away)()
        return await asyncio.wait_for(anext(told, None), 5)

    assert asyncio.run(watch()) is None


def test_a_server_with_few_threads_tells_the_state_and_ends(infsh, inputs):
    name = infsh.ran(inputs)["id"]
    answer = infsh.get(f"/tasks/{name}/stream", headers=LINES)
    (line,) = answer.streaming_content
    assert json.loads(line)["status"] == 2


def test_a_refusal_holds_no_line_that_reads_like_an_update(infsh):
    answer = infsh.get(f"/tasks/{NOBODY}/stream", headers=LINES)
    assert problem(answer) == (404, "not_found")
    for line in answer.content.decode().splitlines():
        with pytest.raises(json.JSONDecodeError):
            json.loads(line)
