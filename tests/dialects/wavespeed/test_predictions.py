"""Submit, result, history, delete, over HTTP."""

from __future__ import annotations

import base64
import json
import uuid

import pytest
from django.db.models.functions import Now

from accounts.models import Organization
from billing import ledger
from jobs import cancel, storage
from jobs.models import Asset, Job
from jobs.states import Status
from jobs.submit import submit
from jobs.types import JobRequest
from providers.models import Route
from tests.dialects.wavespeed.conftest import ANIMATE, S2V
from tests.dialects.wavespeed.shapes import captured, missing
from tests.jobs import drive
from tests.world import api_client, caller_for, make_key

PAGE = {"page": 1, "page_size": 20}


def balance(org) -> tuple[int, int]:
    found = ledger.balance(org)
    return found.available_micros, found.held_micros


# --- submit -------------------------------------------------------------------------------------------------


def test_submit_answers_200_with_the_captured_shape(wave, org, inputs):
    answer = wave.post(S2V, {**inputs, "resolution": "720p", "seed": 5})
    assert answer.status_code == 200
    assert missing(answer.json(), captured("submitted")) == []
    data = answer.json()["data"]
    job = Job.objects.get()
    assert data["id"] == job.id.hex
    assert data["status"] == "created"
    assert data["model"] == "wavespeed-ai/wan-2.2/speech-to-video"
    assert data["urls"]["get"] == f"http://testserver/api/v3/predictions/{job.id.hex}/result"
    assert (job.dialect, job.options["seed"], job.quoted_micros) == ("wavespeed", 5, 4 * 60_000)
    assert balance(org) == (20_000_000 - 240_000, 240_000)


def test_addresses_of_our_files_are_files_of_ours(wave, inputs):
    addresses = {
        role: storage.asset_url(uuid.UUID(asset), Asset.objects.get(pk=asset).filename)
        for role, asset in inputs.items()
    }
    assert wave.post(S2V, addresses).status_code == 200
    assert Job.objects.get().status == Status.QUEUED


def test_foreign_addresses_are_accepted_unseen_at_the_least_price(wave, org):
    answer = wave.post(S2V, {"image": "https://example.com/a.jpg", "audio": "https://example.com/a.wav"})
    assert answer.json()["data"]["status"] == "created"
    assert Job.objects.get().status == Status.PREPARING
    assert balance(org)[1] == 90_000


def test_without_inputs_the_missing_one_is_named(wave):
    answer = wave.post(S2V)
    assert answer.status_code == 400
    assert answer.json()["error_code"] == "parameter_missing"
    assert "image is required" in answer.json()["message"]


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ({"seed": -2}, "seed must be a whole number from -1 to 2147483647; it is -2."),
        ({"seed": 2**31}, "seed"),
        ({"seed": "5"}, "seed"),
        ({"seed": True}, "seed"),
        ({"resolution": "1080p"}, "resolution must be one of 480p, 720p"),
        ({"prompt": 5}, "prompt"),
        ({"image": 5}, "image"),
        ({"image": ["a"]}, "image"),
        ({"mode": "animate"}, "Unknown parameter 'mode'"),
        ({"enable_sync_mode": 1}, "enable_sync_mode must be true or false."),
        ({"image": "ftp://example.com/a.jpg"}, "image: Only http and https"),
        ({"image": "http://127.0.0.1/a.jpg"}, "image: This address does not belong to the public internet."),
        ({"image": "http://169.254.169.254/latest"}, "image: This address does not belong"),
        ({"audio": "data:audio/wav;base64,AAAA"}, "upload the file first"),
        ({"audio": str(uuid.uuid4())}, "audio names a file that does not exist"),
        ({"prompt": "nul \0"}, "prompt"),
    ],
)
def test_wrong_parameters_are_refused_by_name_and_cost_nothing(wave, org, inputs, extra, says):
    answer = wave.post(S2V, {**inputs, **extra})
    assert answer.status_code == 400, answer.content
    body = answer.json()
    assert body["code"] == 400
    assert says in body["message"]
    assert body["error_code"]
    assert balance(org) == (20_000_000, 0)
    assert not Job.objects.exists()


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "1" * 5000])
def test_numbers_that_are_none(wave, inputs, value):
    """Python's reader takes NaN, no limit catches it, and no database keeps it."""
    body = json.dumps(inputs)[:-1] + f', "first_block_cache_threshold": {value}}}'
    answer = wave.client.generic("POST", S2V, body, content_type="application/json")
    assert answer.status_code == 400, answer.content
    assert not Job.objects.exists()


def test_another_tenants_file_does_not_exist(wave, other_org, inputs):
    theirs = drive.asset(other_org, "image")
    answer = wave.post(S2V, {**inputs, "image": str(theirs.id)})
    assert (answer.status_code, answer.json()["error_code"]) == (400, "file_unknown")


def test_a_voice_in_place_of_a_picture(wave, inputs):
    answer = wave.post(S2V, {**inputs, "image": inputs["audio"]})
    assert (answer.status_code, answer.json()["error_code"]) == (400, "wrong_type")


def test_a_voice_of_eleven_minutes(wave, org, inputs):
    long = drive.asset(org, "audio", duration_ms=660_000)
    answer = wave.post(S2V, {**inputs, "audio": str(long.id)})
    assert (answer.status_code, answer.json()["error_code"]) == (400, "audio_too_long")


def test_an_unknown_model_lists_the_known_ones(wave, inputs):
    answer = wave.post("/api/v3/wavespeed-ai/wan-9/speech-to-video", inputs)
    assert (answer.status_code, answer.json()["error_code"]) == (404, "model_unknown")
    assert "wavespeed-ai/wan-2.2/speech-to-video" in answer.json()["message"]


def test_animate_is_refused_while_nobody_renders_it(wave, org, inputs):
    Route.objects.filter(model="wan-2.2-animate").delete()
    video = drive.asset(org, "video")
    answer = wave.post(ANIMATE, {"image": inputs["image"], "video": str(video.id), "mode": "replace"})
    assert (answer.status_code, answer.json()["error_code"]) == (503, "no_route")


def test_animate_is_accepted_where_a_route_exists(wave, org, inputs):
    drive.fake_route(org, "wan-2.2-animate")
    video = drive.asset(org, "video", duration_ms=6000)
    answer = wave.post(ANIMATE, {"image": inputs["image"], "video": str(video.id), "mode": "replace"})
    assert answer.json()["data"]["model"] == "wavespeed-ai/wan-2.2/animate"
    assert Job.objects.get().options["mode"] == "replace"


def test_no_money_no_job(org, key, inputs):
    answer = api_client(key).post(S2V, inputs, format="json")
    assert (answer.status_code, answer.json()["error_code"]) == (402, "insufficient_funds")
    assert "0.12 USD" in answer.json()["message"]
    assert not Job.objects.exists()


def test_the_tier_limits_submits_a_minute(org, key, inputs):
    """Two a minute; up to two more where a busy machine made the counter change from Redis to the process."""
    drive.fund(org)
    Organization.objects.update(tier="bronze")
    client = api_client(key)
    seen = [client.post(S2V, inputs, format="json") for _ in range(5)]
    assert [answer.status_code for answer in seen[:2]] == [200, 200]
    assert seen[4].status_code == 429
    assert 0 < int(seen[4]["Retry-After"]) <= 60
    assert seen[4].json()["error_code"] == "rate_limited"


def test_the_same_idempotency_key_is_one_job(wave, inputs):
    first = wave.post(S2V, inputs, headers={"Idempotency-Key": "order-7"}).json()["data"]["id"]
    again = wave.post(S2V, inputs, headers={"Idempotency-Key": "order-7"}).json()["data"]["id"]
    other = wave.post(S2V, {**inputs, "seed": 9}, headers={"Idempotency-Key": "order-7"})
    assert first == again
    assert (other.status_code, other.json()["error_code"]) == (409, "idempotency_conflict")
    assert Job.objects.count() == 1


def test_a_private_webhook_is_refused(wave, inputs):
    answer = wave.post(f"{S2V}?webhook=http://10.0.0.1/hook", inputs)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "url_private")


def test_base64_with_a_webhook_has_a_body_of_its_own(wave, inputs):
    answer = wave.post(f"{S2V}?webhook=https://example.com/h", {**inputs, "enable_base64_output": True})
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]
    assert not Job.objects.exists()


# --- result -------------------------------------------------------------------------------------------------


def finished(wave, inputs, **extra) -> dict:
    name = wave.post(S2V, {**inputs, "prompt": "[fake ]", **extra}).json()["data"]["id"]
    drive.run_all()
    return wave.result(name)


def test_a_finished_video_has_an_address_of_ours_that_gives_the_video(wave, inputs):
    data = finished(wave, inputs)
    assert missing({"code": 200, "message": "success", "data": data}, captured("completed")) == []
    assert (data["status"], data["error"], data["code"]) == ("completed", "", 0)
    assert data["timings"]["inference"] > 0
    (address,) = data["outputs"]
    assert address.startswith("http://testserver/files/")
    assert address.endswith(".mp4")
    assert Asset.objects.get(pk=storage.asset_id_of(address)).role == "video"


def test_both_addresses_of_a_result_say_the_same(wave, inputs):
    name = finished(wave, inputs)["id"]
    one, other = (wave.get(f"/api/v3/predictions/{name}{end}") for end in ("", "/result"))
    assert one.status_code == other.status_code == 200
    assert one.json() == other.json()


def test_base64_outputs_are_the_file_itself(wave, inputs):
    data = finished(wave, inputs, enable_base64_output=True)
    asset = Asset.objects.get(role="video")
    content = base64.b64decode(data["outputs"][0], validate=True)
    assert len(content) == asset.bytes
    assert content[4:8] == b"ftyp"


def test_a_video_too_large_for_base64_is_an_address(wave, inputs, monkeypatch):
    monkeypatch.setattr("jobs.dialects.wavespeed.predictions.BASE64_MAX_BYTES", 10)
    assert finished(wave, inputs, enable_base64_output=True)["outputs"][0].startswith("http://testserver/")


def test_a_failed_task_is_http_200_with_a_reason_and_free(wave, org, inputs):
    data = finished(wave, inputs, prompt="[fake fail=face_not_found]")
    assert missing(data, captured("failed")["data"]) == []
    assert (data["status"], data["code"], data["error_code"]) == ("failed", 1401, "face_not_found")
    assert data["error"]
    assert balance(org) == (20_000_000, 0)


def test_a_canceled_one_and_an_expired_one(wave, org, inputs, alice):
    name = wave.post(S2V, inputs).json()["data"]["id"]
    cancel.cancel(caller_for(org, alice), Job.objects.get())
    data = wave.result(name)
    assert data["status"] == "cancelled"
    assert data["error"]
    Job.objects.update(status=Status.EXPIRED, error_code="expired")
    assert wave.result(name)["status"] == "timeout"
    assert wave.result(name)["code"] == 5004


@pytest.mark.parametrize("end", ["", "/result"])
def test_what_is_not_mine_does_not_exist(wave, stranger, inputs, end):
    mine = wave.post(S2V, inputs).json()["data"]["id"]
    for name in (mine, uuid.uuid4().hex, "garbage", str(uuid.UUID(mine)), mine.upper(), "%00", "a" * 3000):
        answer = stranger.get(f"/api/v3/predictions/{name}{end}")
        assert answer.status_code == 404, name
        assert answer.json() == {
            "code": 404,
            "message": "Prediction not found.",
            "error_code": "prediction_not_found",
        }


def test_a_result_costs_few_queries(wave, inputs, django_assert_max_num_queries):
    name = finished(wave, inputs)["id"]
    with django_assert_max_num_queries(4):
        wave.result(name)


# --- history and delete -------------------------------------------------------------------------------------


def history(wave, **body) -> list[dict]:
    answer = wave.post("/api/v3/predictions", {**PAGE, **body})
    assert answer.status_code == 200, answer.content
    return answer.json()["data"]["items"]


def test_history_is_newest_first_and_mine(wave, stranger, inputs):
    first, second = (wave.post(S2V, inputs).json()["data"]["id"] for _ in range(2))
    drive.run_all()
    answer = wave.post("/api/v3/predictions", PAGE).json()
    assert missing(answer, captured("history")) == []
    assert [item["id"] for item in answer["data"]["items"]] == [second, first]
    assert stranger.post("/api/v3/predictions", PAGE).json()["data"]["items"] == []


def test_history_filters(wave, org, inputs):
    failed = wave.post(S2V, {**inputs, "prompt": "[fake fail=x]"}).json()["data"]["id"]
    done = wave.post(S2V, inputs).json()["data"]["id"]
    drive.run_all()
    names = lambda **body: [item["id"] for item in history(wave, **body)]
    assert names(status="completed") == [done]
    assert names(status="failed") == [failed]
    assert names(status="nonsense") == []
    assert names(model="wavespeed-ai/wan-2.2/speech-to-video") == [done, failed]
    assert names(model="wavespeed-ai/wan-2.2/animate") == names(model="nobody/nothing") == []
    assert names(created_before="2020-01-01T00:00:00Z") == []
    assert names(created_after="2020-01-01") == [done, failed]
    assert names(page_size=1, page=2) == [failed]


def test_history_needs_its_page(wave):
    answer = wave.post("/api/v3/predictions")
    assert (answer.status_code, answer.json()["error_code"]) == (400, "parameter_missing")


def test_history_gives_addresses_even_for_base64_jobs(wave, inputs):
    finished(wave, inputs, enable_base64_output=True)
    assert history(wave)[0]["outputs"][0].startswith("http://testserver/files/")


def test_history_of_any_length_takes_the_same_queries(wave, inputs, django_assert_max_num_queries):
    for _ in range(4):
        wave.post(S2V, inputs)
    drive.run_all()
    with django_assert_max_num_queries(4):
        assert len(history(wave)) == 4


def test_jobs_of_other_dialects_are_seen_here_too(wave, org, alice, inputs):
    job = submit(caller_for(org, alice), JobRequest("wan-2.2-s2v", inputs, {}, "rest"))
    assert wave.result(job.id.hex)["model"] == "wavespeed-ai/wan-2.2/speech-to-video"


def test_delete_removes_what_is_finished_and_passes_over_the_rest(wave, stranger, inputs):
    name = finished(wave, inputs)["id"]
    body = {"ids": [name, uuid.uuid4().hex, "garbage"]}
    assert stranger.post("/api/v3/predictions/delete", body).json()["data"] == {"deleted_count": 0}
    answer = wave.post("/api/v3/predictions/delete", body)
    assert missing(answer.json()["data"], captured("account")["deleted"]) == []
    assert answer.json()["data"] == {"deleted_count": 1}
    assert wave.post("/api/v3/predictions/delete", body).json()["data"] == {"deleted_count": 0}
    data = wave.result(name)
    assert (data["status"], data["outputs"]) == ("deleted", [])
    assert data["error"]
    assert history(wave) == []


def test_a_deleted_video_is_not_given_out_before_its_file_is_gone(wave, inputs):
    name = finished(wave, inputs)["id"]
    Job.objects.update(deleted_at=Now())
    assert wave.result(name)["outputs"] == []


def test_delete_cancels_what_still_waits(wave, org, inputs):
    name = wave.post(S2V, inputs).json()["data"]["id"]
    assert wave.post("/api/v3/predictions/delete", {"ids": [name]}).json()["data"] == {"deleted_count": 1}
    assert wave.result(name)["status"] == "deleted"
    assert balance(org) == (20_000_000, 0)


def test_a_waiting_prediction_is_canceled_and_deleted_in_one_commit_or_not_at_all(
    wave, org, inputs, monkeypatch
):
    name = wave.post(S2V, inputs).json()["data"]["id"]

    def broken(*_args, **_fields):
        raise OSError("a connection that was cut between the two")

    wave.client.raise_request_exception = False
    with monkeypatch.context() as broke:
        broke.setattr("jobs.gallery.audit.record", broken)
        assert wave.post("/api/v3/predictions/delete", {"ids": [name]}).status_code == 500
    assert Job.objects.get().status == Status.QUEUED
    assert balance(org)[1] > 0  # its hold
    assert wave.post("/api/v3/predictions/delete", {"ids": [name]}).json()["data"] == {"deleted_count": 1}


def test_delete_stops_what_already_renders_and_keeps_it_to_look_at(wave, org, inputs):
    name = wave.post(S2V, {**inputs, "prompt": "[fake stall]"}).json()["data"]["id"]
    drive.step()
    assert wave.result(name)["status"] == "processing"
    assert wave.post("/api/v3/predictions/delete", {"ids": [name]}).json()["data"] == {"deleted_count": 0}
    cancel.cancel_at_provider(str(Job.objects.get().pk))
    drive.run_all()
    assert wave.result(name)["status"] == "cancelled"
    assert balance(org) == (20_000_000, 0)


def test_a_scope_for_reading_is_not_one_for_submitting(org, alice, inputs):
    reader = api_client(make_key(org, "jobs:read", by=alice))
    answer = reader.post(S2V, inputs, format="json")
    assert (answer.status_code, answer.json()["error_code"]) == (403, "scope_missing")
    assert "jobs:write" in answer.json()["message"]
