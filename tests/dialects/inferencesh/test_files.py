"""Files over HTTP: announce, put once, use, list, delete."""

from __future__ import annotations

import base64
from urllib.parse import urlsplit

import pytest
from django.test import Client

from jobs import storage
from jobs.models import Asset, Job
from tests.dialects.inferencesh.conftest import PORTRAIT, SPEECH
from tests.dialects.inferencesh.test_tasks import problem
from tests.jobs import drive


def announce(infsh, size: int, kind: str = "application/octet-stream", filename: str | None = None):
    body = {"uri": "", "filename": filename, "content_type": kind, "path": None, "size": size, "public": None}
    answer = infsh.post("/files", {"files": [body]})
    assert answer.status_code == 200, answer.content
    return answer.json()["data"][0]


def put(ticket, content: bytes, kind: str = "application/octet-stream"):
    return Client().put(urlsplit(ticket["upload_url"]).path, content, content_type=kind)


def uploaded(infsh, content: bytes, kind: str = "application/octet-stream") -> str:
    ticket = announce(infsh, len(content), kind)
    assert put(ticket, content, kind).status_code == 200
    return ticket["uri"]


def test_bytes_without_a_name_or_type_become_inputs(infsh):
    given = {"image": uploaded(infsh, PORTRAIT.read_bytes()), "audio": uploaded(infsh, SPEECH.read_bytes())}
    task = infsh.ran(given)
    assert task["status"] == 1
    drive.run_all()
    assert infsh.task(task["id"])["status"] == 10


def test_a_file_is_put_once(infsh):
    ticket = announce(infsh, 5, "image/png", "a.png")
    assert put(ticket, b"hello", "image/png").status_code == 200
    assert put(ticket, b"hello", "image/png").status_code == 200
    assert put(ticket, b"other", "image/png").status_code == 412
    with storage.open(Asset.objects.get().key) as file:
        assert file.read() == b"hello"


def test_a_file_is_what_was_announced(infsh):
    ticket = announce(infsh, 5, "image/png", "a.png")
    assert put(ticket, b"hello, you", "image/png").status_code == 400
    assert put(ticket, b"hell", "image/png").status_code == 400
    assert put(ticket, b"hello", "image/gif").status_code == 400
    assert not storage.exists(Asset.objects.get().key)


def test_an_upload_address_is_not_guessed(infsh, db):
    ticket = announce(infsh, 5)
    assert put({"upload_url": ticket["upload_url"][:-3] + "AAA"}, b"hello").status_code == 403
    assert Client().post(urlsplit(ticket["upload_url"]).path).status_code == 405


@pytest.mark.parametrize("size", [0, -1, 10**12])
def test_impossible_sizes_are_refused(infsh, size):
    answer = infsh.post("/files", {"files": [{"size": size}]})
    assert problem(answer)[0] in {400, 413}
    assert not Asset.objects.exists()


def test_a_prompt_taken_for_base64_comes_back_as_it_was(infsh, inputs):
    """SDK trap: a word of 16 letters is decoded, uploaded, and replaced by an address."""
    prompt = "photorealisticAB"
    uri = uploaded(infsh, base64.b64decode(prompt))
    name = infsh.ran({**inputs, "prompt": uri})["id"]
    assert Job.objects.get(pk=name).options["prompt"] == prompt


def test_other_tenants_files_are_no_prompts(infsh, stranger, inputs):
    uri = uploaded(stranger, b"secret words")
    name = infsh.ran({**inputs, "prompt": uri})["id"]
    assert Job.objects.get(pk=name).options["prompt"] == uri


def test_files_of_a_task_are_listed_by_role_and_deleted(infsh, inputs):
    name = infsh.ran(inputs)["id"]
    assert problem(infsh.delete(f"/tasks/{name}/files")) == (409, "invalid_transition")
    drive.run_all()
    listed = infsh.get(f"/tasks/{name}/files").json()["data"]
    assert [row["role"] for row in listed] == ["input"] * 2 + ["output"] * 3
    assert all(row["uri"].startswith("http://testserver/files/") for row in listed)
    outputs = infsh.get(f"/tasks/{name}/files?role=output").json()["data"]
    assert outputs == listed[2:]
    assert problem(infsh.get(f"/tasks/{name}/files?role=other")) == (400, "validation_error")
    gone = infsh.delete(f"/tasks/{name}/files?role=output").json()["data"]
    assert gone == {"deleted": [row["id"] for row in outputs], "skipped": []}
    task = infsh.task(name)
    assert (task["status"], task["output"]) == (10, {"file": None})
    assert len(infsh.delete(f"/tasks/{name}/files").json()["data"]["deleted"]) == 2


def test_an_input_that_another_task_needs_is_skipped(infsh, inputs):
    first = infsh.ran(inputs)["id"]
    infsh.ran({**inputs, "prompt": "second"})
    infsh.post(f"/tasks/{first}/cancel")
    answer = infsh.delete(f"/tasks/{first}/files?role=input").json()["data"]
    assert answer["deleted"] == []
    assert {row["id"] for row in answer["skipped"]} == set(inputs.values())
