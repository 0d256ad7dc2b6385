"""Files straight to the store: announced, sent, completed, listed, deleted, and forgotten when nothing came."""

from __future__ import annotations

import hashlib

import httpx
import pytest
from django.db import connection

from jobs import storage, uploads
from jobs.models import Asset
from tests.jobs import drive
from tests.world import api_client

PICTURE = (drive.SAMPLES / "portrait.jpg").read_bytes()


def announce(api, content: bytes = PICTURE, **more):
    return api.post(
        "/v1/files/tickets", {"filename": "a b.jpg", "bytes": len(content), **more}, format="json"
    )


def send(ticket: dict, content: bytes = PICTURE) -> int:
    upload = ticket["upload"]
    assert upload["method"] == "PUT"
    sent = httpx.put(upload["url"], headers=upload["headers"], content=content, trust_env=False)
    return sent.status_code


def complete(api, ticket: dict):
    return api.post(f"/v1/files/{ticket['file']['id']}/complete")


def age(hours: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE jobs_asset SET created_at = created_at - %s::interval", [f"{hours} h"])


def test_a_file_goes_straight_to_the_store_and_becomes_an_input(org, api):
    drive.fund(org)
    drive.fake_route(org)
    answer = announce(api, content_type="image/jpeg", sha256=hashlib.sha256(PICTURE).hexdigest())
    ticket = answer.json()
    assert answer.status_code == 201
    assert (ticket["file"]["status"], ticket["file"]["filename"]) == ("pending", "a b.jpg")
    assert ticket["upload"]["headers"]["Content-Type"] == "image/jpeg"
    assert send(ticket) == 200
    done = complete(api, ticket).json()
    assert (done["status"], done["kind"], done["width"], done["refusal"]) == ("ready", "image", 512, None)
    assert complete(api, ticket).json() == done
    inputs = {"image": done["id"], "audio": str(drive.asset(org, "audio").id)}
    job = api.post("/v1/jobs", {"model": "wan-2.2-s2v", "inputs": inputs}, format="json").json()
    assert job["status"] == "queued"


def test_a_file_that_nobody_completes_is_looked_into_at_its_first_use(org, api):
    drive.fund(org)
    drive.fake_route(org)
    ticket = announce(api).json()
    send(ticket)
    inputs = {"image": ticket["file"]["id"], "audio": str(drive.asset(org, "audio").id)}
    job = api.post("/v1/jobs", {"model": "wan-2.2-s2v", "inputs": inputs}, format="json").json()
    assert job["status"] == "preparing"
    drive.run_all()
    assert api.get(f"/v1/jobs/{job['id']}").json()["status"] == "succeeded"
    assert api.get(f"/v1/files/{ticket['file']['id']}").json()["status"] == "ready"


@pytest.mark.parametrize("content", [PICTURE + b"x", PICTURE[:-1], b""], ids=["longer", "shorter", "nothing"])
def test_the_store_takes_exactly_what_was_announced(api, content):
    ticket = announce(api).json()
    assert send(ticket, content) == 403
    refused = complete(api, ticket)
    assert (refused.status_code, refused.json()["code"]) == (409, "file_not_uploaded")
    assert send(ticket) == 200
    assert complete(api, ticket).json()["status"] == "ready"


def test_an_address_takes_one_file(api):
    ticket = announce(api).json()
    assert send(ticket) == 200
    assert send(ticket) == 412


def test_other_bytes_than_those_announced_are_refused_with_a_reason(api):
    ticket = announce(api, sha256="0" * 64).json()
    send(ticket)
    done = complete(api, ticket)
    assert (done.status_code, done.json()["status"]) == (200, "refused")
    assert done.json()["refusal"]["code"] == "checksum_mismatch"
    assert complete(api, ticket).json()["status"] == "refused"
    body = {"model": "wan-2.2-s2v", "inputs": {"image": ticket["file"]["id"], "audio": ticket["file"]["id"]}}
    order = api.post("/v1/jobs", body, format="json")
    assert (order.status_code, order.json()["code"]) == (422, "checksum_mismatch")


def test_what_is_no_media_is_refused_with_a_reason_whatever_it_was_called(org, api):
    text = b"just some words\n" * 40
    ticket = announce(api, text, content_type="image/png").json()
    send(ticket, text)
    done = complete(api, ticket).json()
    assert (done["status"], done["refusal"]["code"]) == ("refused", "not_media")
    assert done["refusal"]["message"]
    inputs = {"image": done["id"], "audio": str(drive.asset(org, "audio").id)}
    order = api.post("/v1/jobs", {"model": "wan-2.2-s2v", "inputs": inputs}, format="json")
    assert (order.status_code, order.json()["code"], order.json()["field"]) == (422, "not_media", "image")


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"bytes": 0}, "parameter_invalid", "bytes"),
        ({"bytes": "5"}, "parameter_invalid", "bytes"),
        ({"bytes": 201 * 1024**2}, "file_too_large", "bytes"),
        ({"filename": ""}, "parameter_invalid", "filename"),
        ({"filename": "a\x00b"}, "parameter_invalid", "filename"),
        ({"content_type": "png"}, "content_type_invalid", "content_type"),
        ({"sha256": "abc"}, "parameter_invalid", "sha256"),
        ({"size": 5}, "parameter_invalid", "size"),
    ],
)
def test_a_wrong_announcement_is_refused_by_name(api, body, code, field):
    answer = announce(api, **body)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, code, field)
    assert not Asset.objects.exists()


def test_files_are_listed_newest_first_page_by_page(org, other_org, api):
    rows = [drive.asset(org, kind) for kind in ("image", "audio", "video", "image", "audio")]
    drive.asset(other_org, "image")
    first = api.get("/v1/files?limit=3").json()
    second = api.get(f"/v1/files?limit=3&after={first['next']}").json()
    assert [file["id"] for file in first["data"] + second["data"]] == [str(row.pk) for row in rows[::-1]]
    assert (first["has_more"], second["has_more"], second["next"]) == (True, False, None)


def test_a_deleted_file_is_gone(org, api):
    row = drive.asset(org, "image")
    url = api.get(f"/v1/files/{row.pk}").json()["url"].removeprefix("http://testserver")
    assert api.delete(f"/v1/files/{row.pk}").status_code == 204
    assert api.delete(f"/v1/files/{row.pk}").status_code == 404
    assert api.get(url).status_code == 410
    assert not storage.exists(row.key)
    assert api.get("/v1/files").json()["data"] == []


def test_a_file_that_an_unfinished_job_needs_stays(org, api):
    drive.fund(org)
    drive.fake_route(org)
    image, audio = drive.asset(org, "image"), drive.asset(org, "audio")
    body = {"model": "wan-2.2-s2v", "inputs": {"image": str(image.pk), "audio": str(audio.pk)}}
    job = api.post("/v1/jobs", body, format="json").json()
    answer = api.delete(f"/v1/files/{image.pk}")
    assert (answer.status_code, answer.json()["code"]) == (409, "file_in_use")
    drive.run_all()
    output = api.get(f"/v1/jobs/{job['id']}").json()["outputs"][0]
    answer = api.delete(f"/v1/files/{output['id']}")
    assert (answer.status_code, answer.json()["code"]) == (409, "file_is_output")
    assert api.delete(f"/v1/files/{image.pk}").status_code == 204
    assert api.get(f"/v1/jobs/{job['id']}").json()["outputs"][0]["id"] == output["id"]


def test_strangers_complete_and_delete_nothing(api, other_key):
    ticket, stranger = announce(api).json(), api_client(other_key)
    send(ticket)
    assert complete(stranger, ticket).json()["code"] == "file_not_found"
    assert stranger.delete(f"/v1/files/{ticket['file']['id']}").json()["code"] == "file_not_found"
    assert complete(api, ticket).json()["status"] == "ready"


def test_tickets_that_nobody_used_are_forgotten_and_files_that_came_are_kept(api):
    empty, full = announce(api).json(), announce(api).json()
    send(full)
    uploads.finish_all_task()
    assert uploads.unfinished().count() == 0
    age(2.5)
    fresh = announce(api).json()
    assert {str(row.pk) for row in uploads.unfinished()} == {empty["file"]["id"], full["file"]["id"]}
    for row in uploads.unfinished():
        uploads.finish(str(row.pk))
        uploads.finish(str(row.pk))
    assert api.get(f"/v1/files/{empty['file']['id']}").status_code == 404
    assert api.get(f"/v1/files/{full['file']['id']}").json()["status"] == "ready"
    assert api.get(f"/v1/files/{fresh['file']['id']}").json()["status"] == "pending"
    assert uploads.unfinished().count() == 0


def test_a_file_deleted_while_it_is_looked_into_stays_deleted(api, monkeypatch):
    ticket = announce(api).json()
    send(ticket)
    fetch = storage.fetch

    def slowly(key, path):
        fetch(key, path)
        assert api.delete(f"/v1/files/{ticket['file']['id']}").status_code == 204

    monkeypatch.setattr(storage, "fetch", slowly)
    complete(api, ticket)
    assert api.get(f"/v1/files/{ticket['file']['id']}").status_code == 404
