"""Our own API, over HTTP."""

from __future__ import annotations

import io
import json
import uuid

import pytest

from jobs.models import Asset, Job
from jobs.storage.backend import StorageUnavailable
from tests.jobs import drive
from tests.world import api_client

MODEL = "wan-2.2-s2v"


@pytest.fixture
def funded(org):
    drive.fund(org)
    drive.fake_route(org)
    return org


def order(org, prompt: str = "", **more) -> dict:
    inputs = {"image": str(drive.asset(org, "image").id), "audio": str(drive.asset(org, "audio").id)}
    return {"model": MODEL, "inputs": inputs, "options": {"prompt": prompt, "seed": 7}, **more}


def upload(api, name: str, content: bytes | None = None):
    body = (drive.SAMPLES / name).read_bytes() if content is None else content
    file = io.BytesIO(body)
    file.name = name
    return api.post("/v1/files", {"file": file}, format="multipart")


def test_a_job_from_upload_to_video(funded, api):
    image, audio = upload(api, "portrait.jpg").json(), upload(api, "speech.wav").json()
    assert (image["kind"], image["width"], audio["kind"], audio["duration_ms"]) == (
        "image",
        512,
        "audio",
        12528,
    )

    answer = api.post(
        "/v1/jobs", order(funded, inputs={"image": image["id"], "audio": audio["url"]}), format="json"
    )
    job = answer.json()
    assert (answer.status_code, answer["Location"]) == (202, f"/v1/jobs/{job['id']}")
    assert (job["status"], job["queue_position"], job["price"]["quoted_micros"]) == ("queued", 1, 390_000)

    drive.run_all()
    job = api.get(f"/v1/jobs/{job['id']}").json()
    assert (job["status"], job["error"]) == ("succeeded", None)
    assert job["price"] == {
        "currency": "USD",
        "quoted_micros": 390_000,
        "free_micros": 0,
        "charged_micros": 390_000,
        "billed_seconds": 13,
    }
    assert [output["kind"] for output in job["outputs"]] == ["video", "preview", "poster"]
    events = api.get(f"/v1/jobs/{job['id']}/events").json()["data"]
    assert (events[0]["type"], events[-1]["type"]) == ("created", "succeeded")
    rest = api.get(f"/v1/jobs/{job['id']}/events?after={events[2]['id']}").json()["data"]
    assert rest == events[3:]
    assert api.get("/v1/balance").json() == {
        "available_micros": 19_610_000,
        "held_micros": 0,
        "currency": "USD",
        "free": [],
    }


def test_an_input_at_a_foreign_address_is_accepted_and_fetched_later(funded, api):
    body = order(funded)
    body["inputs"]["audio"] = "https://media.example/voice.wav"
    job = api.post("/v1/jobs", body, format="json").json()
    assert (job["status"], job["price"]["quoted_micros"]) == ("preparing", 90_000)


REFUSED = [
    pytest.param({"model": "sora"}, 422, "model_unknown", "model", id="unknown model"),
    pytest.param({"colour": "red"}, 422, "parameter_invalid", "colour", id="unknown field"),
    pytest.param({"inputs": {}}, 422, "parameter_missing", "image", id="missing input"),
    pytest.param({"inputs": []}, 422, "parameter_invalid", "inputs", id="inputs of the wrong shape"),
    pytest.param({"options": {"seed": -2}}, 422, "parameter_invalid", "seed", id="negative seed"),
    pytest.param({"options": {"seed": "7"}}, 422, "parameter_invalid", "seed", id="wrong type"),
    pytest.param({"tags": ["x" * 65]}, 422, "parameter_invalid", "tags", id="long tag"),
    pytest.param({"webhook_url": "http://127.0.0.1/"}, 422, "url_private", "webhook", id="private webhook"),
    pytest.param(
        {"model": "wan-2.2-animate"}, 422, "parameter_invalid", "audio", id="input of another model"
    ),
]


@pytest.mark.parametrize(("change", "status", "code", "field"), REFUSED)
def test_a_wrong_request_is_a_problem_that_names_the_field(funded, api, change, status, code, field):
    answer = api.post("/v1/jobs", {**order(funded), **change}, format="json")
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")
    problem = answer.json()
    assert (problem["code"], problem["field"], problem["status"]) == (code, field, status)
    assert problem["detail"]
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://127.0.0.1/a.jpg", "url_private"),
        ("http://169.254.169.254/latest/meta-data", "url_private"),
        ("http://2130706433/a.jpg", "url_private"),
        ("file:///etc/passwd", "url_scheme"),
        ("not an address", "url_invalid"),
    ],
)
def test_an_address_inside_is_refused_at_once(funded, api, url, code):
    body = order(funded)
    body["inputs"]["image"] = url
    answer = api.post("/v1/jobs", body, format="json")
    assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_animate_has_no_route_yet(funded, api):
    inputs = {"image": str(drive.asset(funded, "image").id), "video": str(drive.asset(funded, "video").id)}
    answer = api.post("/v1/jobs", {"model": "wan-2.2-animate", "inputs": inputs}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (503, "no_route")


def test_no_money_is_402(org, api):
    drive.fake_route(org)
    answer = api.post("/v1/jobs", order(org), format="json")
    assert (answer.status_code, answer.json()["code"]) == (402, "insufficient_funds")


def test_broken_json_is_a_problem_too(funded, api):
    answer = api.post("/v1/jobs", "{", content_type="application/json")
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("voice.mp3", b"just some text, not sound " * 40, "not_media"),
        ("cut.jpg", None, "image_unreadable"),
        ("nothing.wav", b"", "file_empty"),
    ],
)
def test_an_upload_that_is_no_media_is_refused(funded, api, name, content, code):
    if content is None:
        content = (drive.SAMPLES / "portrait.jpg").read_bytes()[:20_000]
    answer = upload(api, name, content)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_the_same_idempotency_key_is_the_same_job(funded, api):
    body = order(funded)
    first = api.post("/v1/jobs", body, format="json", HTTP_IDEMPOTENCY_KEY="k1").json()
    again = api.post("/v1/jobs", body, format="json", HTTP_IDEMPOTENCY_KEY="k1").json()
    other = api.post("/v1/jobs", order(funded, "else"), format="json", HTTP_IDEMPOTENCY_KEY="k1")
    assert first["id"] == again["id"]
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")


def test_list_pages_are_newest_first_and_complete(funded, api):
    ids = [api.post("/v1/jobs", order(funded), format="json").json()["id"] for _ in range(5)]
    first = api.get("/v1/jobs?limit=3").json()
    second = api.get(f"/v1/jobs?limit=3&after={first['next']}").json()
    assert [job["id"] for job in first["data"] + second["data"]] == ids[::-1]
    assert (first["has_more"], second["has_more"]) == (True, False)
    assert api.get("/v1/jobs?status=failed").json()["data"] == []
    assert api.get("/v1/jobs?limit=many").status_code == 422


def test_a_finished_job_is_deleted_with_its_files(funded, api):
    job = api.post("/v1/jobs", order(funded), format="json").json()
    assert api.delete(f"/v1/jobs/{job['id']}").json()["code"] == "job_not_ended"
    drive.run_all()
    video = api.get(f"/v1/jobs/{job['id']}").json()["outputs"][0]
    assert api.delete(f"/v1/jobs/{job['id']}").status_code == 204
    assert api.get(f"/v1/jobs/{job['id']}").status_code == 404
    assert drive.storage.size(Asset.objects.get(pk=video["id"]).key) is None
    assert api.get(video["url"].removeprefix("http://testserver")).status_code == 410


def test_strangers_see_nothing(funded, api, other_key):
    job = api.post("/v1/jobs", order(funded), format="json").json()
    stranger = api_client(other_key)
    for method, address in [
        ("get", f"/v1/jobs/{job['id']}"),
        ("get", f"/v1/jobs/{job['id']}/events"),
        ("post", f"/v1/jobs/{job['id']}/cancel"),
        ("delete", f"/v1/jobs/{job['id']}"),
    ]:
        assert getattr(stranger, method)(address).status_code == 404
    assert stranger.get("/v1/jobs").json()["data"] == []
    assert api.get(f"/v1/jobs/{uuid.uuid4()}").json()["code"] == "job_not_found"


def test_models_tell_their_inputs_options_and_prices(org, api):
    shown = {model["id"]: model for model in api.get("/v1/models").json()["data"]}
    speech = shown[MODEL]
    assert speech["inputs"]["audio"]["max_seconds"] == 600
    assert speech["options"]["properties"]["resolution"]["enum"] == ["480p", "720p"]
    assert {(p["resolution"], p["micros_per_unit"]) for p in speech["prices"]} == {
        ("480p", 30_000),
        ("720p", 60_000),
    }
    assert (speech["preview"], shown["wan-2.2-animate"]["preview"]) == (True, False)
    drive.fake_route(org)
    shown = {model["id"]: model for model in api.get("/v1/models").json()["data"]}
    assert shown[MODEL]["preview"] is False  # the organization's own route is no preview engine


@pytest.mark.parametrize("bad", ["a\x00b", "\ud800", float("nan")])
def test_what_a_database_cannot_keep_is_refused(funded, api, bad):
    body = order(funded, options={"prompt": bad})
    answer = api.post("/v1/jobs", json.dumps(body), content_type="application/json")
    assert answer.status_code in {400, 422}
    assert answer.json()["code"] in {"parameter_invalid", "parse_error"}
    tags = api.post("/v1/jobs", json.dumps(order(funded, tags=["x\x00"])), content_type="application/json")
    assert (tags.status_code, tags.json()["field"]) == (422, "tags")


def test_a_job_is_ordered_again_with_the_seed_that_was_drawn(funded, api):
    job = api.post("/v1/jobs", order(funded, options={"seed": -1}, tags=["a"]), format="json").json()
    early = api.post(f"/v1/jobs/{job['id']}/retry")
    assert (early.status_code, early.json()["code"]) == (409, "job_not_ended")
    drive.run_all()
    answer = api.post(f"/v1/jobs/{job['id']}/retry")
    again = answer.json()
    assert (answer.status_code, again["status"], again["tags"]) == (202, "queued", ["a"])
    assert again["id"] != job["id"]
    assert again["options"] == job["options"]
    assert api.get("/v1/balance").json()["held_micros"] == 120_000


def test_a_receipt_says_what_it_was_made_of_and_what_it_cost(funded, api):
    image, audio = upload(api, "portrait.jpg").json(), upload(api, "speech.wav").json()
    body = order(funded, inputs={"image": image["id"], "audio": audio["id"]})
    job = api.post("/v1/jobs", body, format="json").json()
    drive.run_all()
    receipt = api.get(f"/v1/jobs/{job['id']}/receipt").json()
    assert receipt["inputs"]["image"]["sha256"] == image["sha256"]
    assert receipt["inputs"]["audio"]["duration_ms"] == 12528
    assert receipt["attempts"] == [{"number": 1, "status": "succeeded", "error_code": ""}]
    assert (
        sum(line["total_micros"] for line in receipt["price"]["lines"])
        == receipt["price"]["charged_micros"]
        == 390_000
    )
    assert [phase["phase"] for phase in receipt["phases"]][-1] == "saving"
    assert all(phase["seconds"] >= 0 for phase in receipt["phases"])
    assert len({file["sha256"] for file in receipt["outputs"]}) == 3


def test_a_file_store_that_is_away_is_a_problem_worth_another_try(funded, api, monkeypatch):
    def away(*args, **kwargs):
        raise StorageUnavailable("no route to host 10.0.0.7")

    monkeypatch.setattr("jobs.storage.put", away)
    answer = upload(api, "portrait.jpg")
    assert (answer.status_code, answer["Content-Type"]) == (503, "application/problem+json")
    assert (answer.json()["code"], answer.json()["retryable"]) == ("storage_unavailable", True)
    assert "10.0.0.7" not in answer.content.decode()
