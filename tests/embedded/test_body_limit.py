"""The door in front of Django: bodies that are too long never reach it."""

from __future__ import annotations

import asyncio
import json

import pytest

from config.body_limit import SLACK, BodyLimit
from tests.contract import hold

MOST = 1000


def post(path: str, *chunks: bytes, length: str | None = None) -> tuple[list[dict], int]:
    """The answer's messages, and how many bytes the application read."""
    sent: list[dict] = []
    read = 0

    async def app(scope, receive, send):
        nonlocal read
        while (message := await receive())["type"] == "http.request":
            read += len(message["body"])
            if not message["more_body"]:
                await send({"type": "http.response.start", "status": 200, "headers": []})
                return

    waiting = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    waiting[-1]["more_body"] = False

    async def receive():
        return waiting.pop(0)

    async def send(message):
        sent.append(message)

    headers = [] if length is None else [(b"content-length", length.encode())]
    scope = {"type": "http", "path": path, "headers": headers}
    asyncio.run(BodyLimit(app, upload_max_bytes=MOST)(scope, receive, send))
    return sent, read


def test_what_fits_passes():
    sent, read = post("/api", b"a" * MOST, b"b" * SLACK, length=str(MOST + SLACK))
    assert (sent[0]["status"], read) == (200, MOST + SLACK)


@pytest.mark.parametrize("length", [str(MOST + SLACK + 1), str(5 * 1024**3), "-1", "many", "1e3"])
def test_an_announcement_is_enough(length):
    sent, read = post("/api", b"a", length=length)
    assert (sent[0]["status"], read) == (413, 0)
    assert json.loads(sent[1]["body"])["error_code"] == "body_too_large"


def test_our_own_api_is_refused_by_a_problem():
    sent, _ = post("/v1/files", b"a", length=str(5 * 1024**3))
    headers = dict(sent[0]["headers"])
    hold(
        "POST",
        "/v1/files",
        413,
        {k.decode().title(): v.decode() for k, v in headers.items()},
        sent[1]["body"],
    )
    assert headers[b"content-type"] == b"application/problem+json"


def test_without_one_the_bytes_are_counted():
    sent, read = post("/api", b"a" * (MOST + SLACK), b"b", b"c" * 9)
    assert [message.get("status") for message in sent] == [413, None]
    assert read == MOST + SLACK


def test_our_own_renders_may_be_larger():
    sent, _ = post("/storage/token", b"a" * 9, length=str(10 * MOST))
    assert sent[0]["status"] == 200


def test_other_protocols_are_left_alone():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    asyncio.run(BodyLimit(app, upload_max_bytes=MOST)({"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]
