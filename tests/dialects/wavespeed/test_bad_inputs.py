"""What customers send by mistake or on purpose: each a clear coded error, nothing charged, nothing crashed."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.dialects.wavespeed import media
from tests.dialects.wavespeed.live import MODEL, PORTRAIT, SPEECH, Account, account, refusal
from tests.dialects.wavespeed.receiver import Receiver

pytestmark = pytest.mark.timeout(300)
CREDIT = 20_000_000
CRASHES = ("Traceback", "ended with", "Internal Server Error", "core dumped")


@dataclass
class Bench:
    """A customer with the samples uploaded, and a server of theirs."""

    customer: Account
    files: dict[str, str]
    server: Receiver
    log_start: int
    pids: dict[str, int]


@pytest.fixture(scope="module")
def bench(live_stack):
    customer = account(live_stack)
    client = customer.sdk()
    files = {"image": client.upload(PORTRAIT), "audio": client.upload(SPEECH)}
    pages = {
        "/metadata": media.to_metadata,
        "/five": media.announces_five_gb,
        "/endless": media.sends_without_end,
    }
    server = Receiver(live_stack.receivers[5], pages=pages)
    yield Bench(customer, files, server, len(live_stack.logs()), live_stack.pids())
    server.close()


Change = Callable[[Bench], dict[str, Any]]


@dataclass
class Row:
    """`change` makes the parameters wrong; `code` and `number` are what the customer is told.

    `task`: the submit is accepted and the task fails, because somebody had to look into a file first.
    """

    name: str
    code: str
    number: int
    change: Change
    says: str = ""
    model: str = MODEL
    task: bool = False


def uploaded(role: str, name: str, content: Callable[[], bytes]) -> Change:
    def change(bench: Bench) -> dict[str, Any]:
        file = io.BytesIO(content())
        file.name = name
        return {role: bench.customer.sdk().upload(file)}

    return change


def file(name: str, code: str, role: str, content: Callable[[], bytes], says: str = "") -> Row:
    """A bad file that was uploaded; its name claims to be what it should be."""
    filename = f"{name}.{'png' if role == 'image' else 'mp3'}"
    return Row(name, code, 1401, uploaded(role, filename, content), says, task=True)


def served(name: str, code: str, number: int, role: str, path: str) -> Row:
    """An address that turns out bad when it is fetched."""
    return Row(name, code, number, lambda bench: {role: bench.server.url(path)}, task=True)


def refused(name: str, code: str, says: str = "", **fields: Any) -> Row:
    """Parameters that are refused at once."""
    return Row(name, code, 400, lambda bench: fields, says)


def letter() -> bytes:
    return b"Dear Sir or Madam,\n" * 40


ROWS = [
    file("no face", "face_not_found", "image", partial(media.picture, 400, 400)),
    file("1x1 px", "image_too_small", "image", partial(media.picture, 1, 1), "1 x 1"),
    file("30 000 px", "image_too_large", "image", partial(media.picture, 30_000, 64), "30000"),
    file("truncated JPEG", "image_unreadable", "image", media.truncated_jpeg),
    file("audio of 0 s", "audio_empty", "audio", partial(media.silence, 0)),
    file("audio of 11 min", "audio_too_long", "audio", partial(media.silence, 660), "600"),
    file("text renamed mp3", "not_media", "audio", letter),
    file("audio for a picture", "wrong_type", "image", partial(media.silence, 4)),
    refused("127.0.0.1", "url_private", audio="http://127.0.0.1/voice.wav"),
    refused("127.0.0.1 in disguise", "url_private", audio="http://2130706433/voice.wav"),
    refused("169.254.169.254", "url_private", image="http://169.254.169.254/latest/meta-data/"),
    served("redirected to 169.254.169.254", "url_redirect_private", 1402, "image", "/metadata"),
    served("5 GB announced", "url_too_large", 1401, "audio", "/five"),
    served("5 GB unannounced", "url_too_large", 1401, "audio", "/endless"),
    Row("unknown model", "model_unknown", 404, lambda bench: {}, model="wavespeed-ai/wan-9/speech-to-video"),
    refused("wrong type", "parameter_invalid", "resolution", resolution=720),
    refused("negative seed", "parameter_invalid", "seed", seed=-2),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_refused(bench, row):
    client = bench.customer.sdk()
    found = client.run_no_throw(
        row.model, {**bench.files, **row.change(bench)}, timeout=120, poll_interval=0.2
    )
    assert found["status"] == "failed", found
    if found["task_id"] == "unknown":
        body = refusal(found["error"])
        assert not row.task
        text, code, number = body["message"], body["error_code"], body["code"]
    else:
        data = client.get_result(found["task_id"])["data"]
        assert row.task
        assert data["status"] == "failed"
        text, code, number = data["error"], data["error_code"], data["code"]
    assert (code, number) == (row.code, row.number)
    assert len(text) > 15
    assert row.says in text
    assert bench.customer.balance() == (CREDIT, 0)


def test_five_gigabytes_posted_to_us_are_refused_before_they_come(bench):
    """Only the head is sent: the answer must not wait for the body."""
    place = urlsplit(bench.customer.stack.url)
    head = (
        f"POST /api/v3/media/upload/binary HTTP/1.1\r\nHost: {place.netloc}\r\n"
        f"Authorization: Bearer {bench.customer.key}\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        f"Content-Length: {media.FIVE_GB}\r\n\r\n"
    )
    with socket.create_connection((place.hostname, place.port), timeout=30) as connection:
        connection.sendall(head.encode())
        answer = b"".join(iter(partial(connection.recv, 4096), b""))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"body_too_large" in answer


def test_afterwards_everything_stands_as_before(bench):
    """Runs last in this module."""
    stack = bench.customer.stack
    assert bench.customer.balance() == (CREDIT, 0)
    assert stack.pids() == bench.pids
    logs = stack.logs()[bench.log_start :]
    assert [line for line in logs.splitlines() if any(crash in line for crash in CRASHES)] == []
    stack.manage("check_ledger")
    assert "169.254" not in logs
    assert "Dear Sir" not in logs
