"""Tickets and forms."""

from __future__ import annotations

import io

import httpx
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from jobs import storage
from jobs.models import Asset, Job
from tests.dialects.wavespeed.conftest import S2V
from tests.dialects.wavespeed.shapes import captured, missing
from tests.jobs import drive
from tests.world import api_client, make_key

TICKET = "/api/v3/media/uploads"
BINARY = "/api/v3/media/upload/binary"
PLAIN = "/api/v3/upload"
PICTURE = (drive.SAMPLES / "portrait.jpg").read_bytes()
VOICE = (drive.SAMPLES / "speech.wav").read_bytes()


def put(ticket: dict, content: bytes) -> httpx.Response:
    upload = ticket["upload"]
    return httpx.request(
        upload["method"], upload["url"], headers=upload["headers"], content=content, trust_env=False
    )


def test_a_ticket_has_the_captured_shape_and_takes_the_file(wave):
    body = {"filename": "a b.jpg", "size": len(PICTURE), "content_type": "image/jpeg"}
    answer = wave.post(TICKET, body)
    assert answer.status_code == 200
    assert missing(answer.json(), captured("ticket")) == []
    data = answer.json()["data"]
    assert (data["type"], data["filename"], data["size"]) == ("image", "a b.jpg", len(PICTURE))
    assert data["download_url"].startswith("http://testserver/files/")
    assert put(data, PICTURE).is_success
    assert storage.size(Asset.objects.get().key) == len(PICTURE)


def test_a_ticket_without_a_type_works_too(wave):
    data = wave.post(TICKET, {"filename": "upload", "size": len(VOICE)}).json()["data"]
    assert put(data, VOICE).is_success
    assert data["download_url"]


def test_what_was_uploaded_by_ticket_can_be_rendered(wave):
    addresses = {}
    for role, name, content in (("image", "p.jpg", PICTURE), ("audio", "s.wav", VOICE)):
        data = wave.post(TICKET, {"filename": name, "size": len(content)}).json()["data"]
        assert put(data, content).is_success
        addresses[role] = data["download_url"]
    name = wave.post(S2V, addresses).json()["data"]["id"]
    drive.run_all(40)
    assert wave.result(name)["status"] == "completed"
    assert Job.objects.get().length_ms > 1000


def test_a_ticket_whose_bytes_never_came_fails_the_job_free(wave, inputs):
    data = wave.post(TICKET, {"filename": "p.jpg", "size": 5}).json()["data"]
    name = wave.post(S2V, {**inputs, "image": data["download_url"]}).json()["data"]["id"]
    drive.run_all()
    found = wave.result(name)
    assert (found["status"], found["error_code"], found["code"]) == ("failed", "file_not_uploaded", 1402)
    assert wave.get("/api/v3/balance").json()["data"]["balance"] == 20


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"filename": "a.png", "size": 0}, 400, "file_empty"),
        ({"filename": "a.png", "size": -1}, 400, "file_empty"),
        ({"filename": "a.png"}, 400, "parameter_missing"),
        ({"filename": "a.png", "size": "5"}, 400, "parameter_invalid"),
        ({"filename": "a.png", "size": True}, 400, "parameter_invalid"),
        ({"filename": 5, "size": 5}, 400, "parameter_invalid"),
        ({"filename": "a.png", "size": 5 * 1024**3}, 413, "file_too_large"),
        ({"filename": "a.png", "size": 10**30}, 413, "file_too_large"),
        ({"filename": "a.png", "size": 5, "content_type": "image/png\r\nX: y"}, 400, "content_type_invalid"),
    ],
)
def test_a_ticket_is_refused_clearly(wave, body, status, code):
    answer = wave.post(TICKET, body)
    assert (answer.status_code, answer.json()["error_code"]) == (status, code)
    assert answer.json()["message"]
    assert not Asset.objects.exists()


def form(
    wave, path: str, content: bytes, name: str, kind: str = "application/octet-stream", field: str = "file"
):
    return wave.client.post(path, {field: SimpleUploadedFile(name, content, kind)}, format="multipart")


def test_a_form_is_looked_into_at_once(wave):
    answer = form(wave, BINARY, PICTURE, "me.jpg", "image/jpeg")
    assert answer.status_code == 200, answer.content
    data = answer.json()["data"]
    assert missing(data, captured("account")["upload"]) == []
    assert (data["type"], data["size"]) == ("image", len(PICTURE))
    assert Asset.objects.get().status == Asset.Status.READY


def test_the_type_is_what_the_file_is(wave):
    assert form(wave, BINARY, VOICE, "me.jpg", "image/jpeg").json()["data"]["type"] == "audio"


def test_the_oldest_form_answers_an_address_only(wave):
    data = form(wave, PLAIN, VOICE, "s.wav").json()["data"]
    assert missing(data, captured("account")["plain_upload"]) == []
    assert storage.asset_id_of(data["url"]) == Asset.objects.get().pk


@pytest.mark.parametrize("path", [BINARY, PLAIN])
def test_forms_are_refused_clearly(wave, path):
    text = form(wave, path, b"hello, this is no sound at all\n" * 9, "voice.mp3", "audio/mpeg")
    assert (text.status_code, text.json()["error_code"]) == (400, "not_media")
    empty = form(wave, path, b"", "voice.mp3")
    assert (empty.status_code, empty.json()["error_code"]) == (400, "file_empty")
    astray = form(wave, path, PICTURE, "a.jpg", field="image")
    assert (astray.status_code, astray.json()["error_code"]) == (400, "parameter_missing")
    as_json = wave.post(path, {"file": "x"})
    assert (as_json.status_code, as_json.json()["code"]) == (415, 415)


def test_a_form_of_five_gigabytes_is_refused_by_its_announcement(wave):
    answer = wave.client.generic(
        "POST", BINARY, b"x", content_type="multipart/form-data; boundary=b", CONTENT_LENGTH=str(5 * 1024**3)
    )
    assert (answer.status_code, answer.json()["error_code"]) == (413, "body_too_large")


def test_a_broken_form_is_no_crash(wave):
    answer = wave.client.generic(
        "POST", BINARY, io.BytesIO(b"garbage").read(), content_type="multipart/form-data"
    )
    assert answer.status_code == 400
    assert answer.json()["code"] == 400


def test_files_need_their_scope(org, alice):
    client = api_client(make_key(org, "jobs:write", by=alice))
    for path in (TICKET, BINARY, PLAIN):
        answer = client.post(path, {}, format="json")
        assert (answer.status_code, answer.json()["error_code"]) == (403, "scope_missing")
