"""The studio's pages and what its scripts ask for, without a browser; with one: tests/browser/test_studio*.py."""

from __future__ import annotations

import dataclasses
import json
import uuid

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.models import Role
from billing import ledger, throttles
from billing.models import Hold, Price, Transfer
from jobs import storage
from jobs.gallery import workspace_prefix
from jobs.models import Job
from providers import catalogue
from providers.base import clip_name
from providers.models import Route
from tests.jobs import drive
from tests.world import make_member, signed_in

S2V = "/studio/wan-2.2-s2v"
NOVEL = {
    "slug": "novel-1",
    "name": "Novel model",
    "description": "Something that nobody has seen. Really.",
    "unit": "second",
    "length_from": "speech",
    "output": "video",
    "inputs": {
        "face": {"kind": "image", "required": True, "description": "Whose face."},
        "speech": {"kind": "audio", "required": True, "description": "Whose voice.", "max_ms": 9_000},
        "scene": {"kind": "video", "required": False, "description": "Where."},
    },
    "options": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "mood": {"type": "string", "enum": ["glad", "sad"], "default": "glad", "description": "Mood."},
            "strength": {"type": "number", "minimum": 0, "maximum": 1, "description": "How much."},
            "title_text": {"type": "string", "maxLength": 60, "description": "Written over it."},
            "sharp": {"type": "boolean", "description": "Sharper.", "advanced": True},
            "seed": {"type": "integer", "minimum": -1, "maximum": 9, "default": -1, "description": "Seed."},
        },
    },
}


def post(browser: Client, path: str, **body):
    return browser.post(path, json.dumps(body), content_type="application/json")


@pytest.fixture
def funded(org):
    drive.fund(org)
    drive.fake_route(org)
    return org


@pytest.fixture
def inputs(funded):
    """A picture, and a voice of four seconds."""
    kinds = ("image", "audio")
    return {kind: str(drive.asset(funded, kind).pk) for kind in kinds}


# --- pages ---


def test_the_chooser_shows_each_model_on_sale_with_its_least_price(alice_browser):
    page = alice_browser.get("/studio").content.decode()
    assert "Wan 2.2 Speech to Video" in page
    assert "from $0.03 a second" in page
    assert "Portrait preview" not in page  # it belongs to the models that it previews


def test_a_made_up_catalogue_entry_has_its_page_without_a_line_of_code(alice_browser, monkeypatch):
    known = {**catalogue.models(), "novel-1": catalogue._model(NOVEL)}
    monkeypatch.setattr(catalogue, "models", lambda: known)
    page = alice_browser.get("/studio/novel-1").content.decode()
    for expected in (
        'data-role="face" data-kind="image"',
        'data-role="speech" data-kind="audio" data-max-ms="9000"',
        'data-role="scene" data-kind="video"',
        'value="glad" checked',
        'type="number" inputmode="decimal" data-option="strength" data-kind="number" step="any" min="0" max="1"',
        'type="text" data-option="title_text" data-kind="text" maxlength="60"',
        'data-option="sharp" data-kind="switch"',
    ):
        assert expected in page, expected
    assert page.index("<summary>Advanced</summary>") < page.index('data-option="sharp"')
    assert page.index('data-option="strength"') < page.index("<summary>Advanced</summary>")


def test_a_model_that_is_not_there_is_not_found(alice_browser):
    assert alice_browser.get("/studio/nothing").status_code == 404


@pytest.mark.django_db
def test_pages_ask_the_database_little(alice_browser, django_assert_max_num_queries):
    for path in ("/studio", S2V):
        with django_assert_max_num_queries(10):
            alice_browser.get(path)


def test_whoever_may_only_look_is_turned_away(org):
    viewer = signed_in(make_member(org, "viewer@acme.example", Role.VIEWER))
    assert viewer.get("/studio").status_code == 403


# --- files ---


def test_a_file_is_kept_looked_into_and_given_back(alice_browser, org):
    picture = (drive.SAMPLES / "portrait.jpg").read_bytes()
    made = alice_browser.post("/studio/files", {"file": SimpleUploadedFile("me.jpg", picture)})
    assert made.status_code == 201
    said = made.json()
    assert (said["kind"], said["width"], said["height"], said["name"]) == ("image", 512, 512, "me.jpg")
    back = alice_browser.get(f"/studio/files/{said['id']}")
    assert b"".join(back.streaming_content) == picture
    assert back["Content-Type"] == "image/jpeg"


def test_what_is_no_media_is_refused_with_a_sentence(alice_browser):
    answer = alice_browser.post("/studio/files", {"file": SimpleUploadedFile("x.txt", b"hello there")})
    assert answer.status_code == 422
    assert "text file" in answer.json()["message"]


def test_the_picker_pages_through_the_files_of_one_kind(alice_browser, org, other_org):
    names = [str(drive.asset(org, "image").pk) for _ in range(26)]
    drive.asset(org, "audio")
    drive.asset(other_org, "image")
    first = alice_browser.get("/studio/files?kind=image").json()
    rest = alice_browser.get(f"/studio/files?kind=image&before={first['next']}").json()
    assert [file["id"] for file in first["files"] + rest["files"]] == names[::-1]
    assert rest["next"] is None
    assert alice_browser.get("/studio/files?kind=poem").status_code == 422


def test_files_are_found_again_by_their_ids_and_those_that_are_gone_are_passed_over(
    alice_browser, org, other_org
):
    ours, gone, theirs = drive.asset(org, "image"), drive.asset(org, "audio"), drive.asset(other_org, "image")
    assert alice_browser.delete(f"/studio/files/{gone.pk}").status_code == 204
    asked = "&".join(f"id={row.pk}" for row in (ours, gone, theirs))
    assert [file["id"] for file in alice_browser.get(f"/studio/files?{asked}").json()["files"]] == [
        str(ours.pk)
    ]
    assert alice_browser.get("/studio/files?id=x").status_code == 422


def test_a_part_is_deleted_when_another_takes_its_place_unless_a_job_needs_it(alice_browser, inputs, org):
    made = post(alice_browser, f"{S2V}/jobs", inputs=inputs, options={}).json()
    kept = alice_browser.delete(f"/studio/files/{inputs['audio']}")
    assert (kept.status_code, kept.json()["code"]) == (409, "file_in_use")
    post(alice_browser, f"/studio/jobs/{made['id']}/cancel")
    assert alice_browser.delete(f"/studio/files/{inputs['audio']}").status_code == 204
    again = alice_browser.delete(f"/studio/files/{inputs['audio']}")
    assert (again.status_code, again.json()["code"]) == (404, "file_not_found")
    assert alice_browser.get(f"/studio/files/{inputs['image']}").status_code == 200


# --- price and order ---


def test_the_price_shown_is_the_price_held_and_charged(alice_browser, inputs, org):
    options = {"prompt": "hello", "resolution": "720p"}
    quote = post(alice_browser, f"{S2V}/quote", inputs=inputs, options=options, seeds=[7]).json()
    assert (quote["total"], quote["units"], quote["affordable"]) == ("$0.24", 4, True)
    Price.objects.filter(model="wan-2.2-s2v").update(micros_per_unit=9_000_000)  # after the promise
    order = {"inputs": inputs, "options": options, "seed": 7, "quote": quote["quotes"][0], "key": "one"}
    made = post(alice_browser, f"{S2V}/jobs", **order)
    assert (made.status_code, made.json()["price"]) == (202, "at most $0.24")
    assert post(alice_browser, f"{S2V}/jobs", **order).json()["id"] == made.json()["id"]  # pressed twice
    drive.run_all()
    assert Job.objects.get().charged_micros == quote["total_micros"] == 240_000
    state = alice_browser.get(f"/studio/jobs/{made.json()['id']}").json()
    assert (state["word"], state["charged"], state["balance"]) == ("Ready", "$0.24", "$19.76")
    assert state["video"]["url"].startswith("/files/")


def test_each_variant_has_a_quote_of_its_own(alice_browser, inputs):
    quote = post(alice_browser, f"{S2V}/quote", inputs=inputs, options={}, seeds=[1, 2, 3]).json()
    assert (quote["each"], quote["total"], len(quote["quotes"])) == ("$0.12", "$0.36", 3)
    wrong = {"inputs": inputs, "options": {}, "seed": 2, "quote": quote["quotes"][0]}
    assert post(alice_browser, f"{S2V}/jobs", **wrong).json()["code"] == "quote_mismatch"


def test_too_little_credit_is_told_before_and_where_it_is_bought(alice_browser, org):
    drive.fake_route(org)
    inputs = {kind: str(drive.asset(org, kind).pk) for kind in ("image", "audio")}
    quote = post(alice_browser, f"{S2V}/quote", inputs=inputs, options={}, seeds=[1]).json()
    assert quote["affordable"] is False
    assert quote["message"] == "This costs $0.12, and $0.00 of credit is left."
    assert quote["link"] == {"href": "/billing", "text": "Add credit"}
    refused = post(alice_browser, f"{S2V}/jobs", inputs=inputs, options={})
    assert (refused.status_code, refused.json()["code"]) == (402, "insufficient_funds")
    bob = signed_in(make_member(org, "dev@acme.example", Role.DEVELOPER))
    said = post(bob, f"{S2V}/quote", inputs=inputs, options={}, seeds=[1]).json()
    assert "link" not in said
    assert "Ask an owner" in said["next"]


@pytest.mark.parametrize("body", ["[]", "{", '{"inputs": 3}', '{"seeds": "x"}', '{"seeds": [1,2,3,4,5]}'])
def test_a_body_that_is_none_is_refused(alice_browser, funded, body):
    answer = alice_browser.post(f"{S2V}/quote", body, content_type="application/json")
    assert answer.status_code == 422
    assert answer.json()["message"]


def test_a_wrong_option_is_named(alice_browser, inputs):
    answer = post(alice_browser, f"{S2V}/quote", inputs=inputs, options={"fps": 900}, seeds=[1])
    assert (answer.status_code, answer.json()["field"]) == (422, "fps")


def test_every_refusal_says_what_to_do_next(alice_browser, inputs, monkeypatch):
    nobody = uuid.uuid4()
    refused = {
        "parameter_invalid": alice_browser.get("/studio/files?kind=poem"),
        "file_not_found": alice_browser.get(f"/studio/files/{nobody}"),
        "job_not_found": alice_browser.get(f"/studio/jobs/{nobody}"),
        "not_found": post(alice_browser, f"/studio/jobs/{nobody}/cancel"),
        "file_unknown": post(alice_browser, f"{S2V}/quote", inputs={**inputs, "audio": str(nobody)}),
        "quote_invalid": post(alice_browser, f"{S2V}/jobs", inputs=inputs, quote="x"),
    }
    monkeypatch.setattr(throttles, "_take", lambda *places: 30_000)
    refused["rate_limited"] = post(alice_browser, f"{S2V}/jobs", inputs=inputs, options={})
    for code, answer in refused.items():
        said = answer.json()
        assert said["code"] == code
        assert said["message"].endswith(".")
        assert said["next"].endswith("."), code


# --- under way ---


def test_whoever_comes_back_is_given_picture_and_voice_of_the_job(alice_browser, inputs):
    made = post(alice_browser, f"{S2V}/jobs", inputs=inputs, options={}).json()
    state = alice_browser.get(f"/studio/jobs/{made['id']}").json()
    for name, kind in (("still", "image"), ("voice", "audio")):
        assert state[name].startswith(f"/files/{inputs[kind]}/")


def test_finished_clips_are_given_while_later_ones_are_made(alice_browser, charlie_browser, inputs, org):
    made = post(alice_browser, f"{S2V}/jobs", inputs=inputs, options={"prompt": "slow"})
    job = Job.objects.get(pk=made.json()["id"])
    address = f"/studio/jobs/{job.pk}/clips/0"
    assert alice_browser.get(address).status_code == 409
    Job.objects.filter(pk=job.pk).update(status="running", detail={"clip": 1, "clips": 3}, progress=0.4)
    attempt = job.attempts.create(number=1, route_id=1, provider="local", tag="t")
    storage.put(
        f"{workspace_prefix(attempt)}/{clip_name(0)}", drive.SAMPLES / "speech.wav", content_type="video/mp4"
    )
    state = alice_browser.get(f"/studio/jobs/{job.pk}").json()
    assert (state["ready"], state["clip"], state["clips"], state["percent"]) == (1, 1, 3, 40)
    found = alice_browser.get(address)
    assert found.status_code == 302
    assert alice_browser.get(f"/studio/jobs/{job.pk}/clips/1").status_code == 409  # not there yet
    assert charlie_browser.get(address).status_code == 404
    Job.objects.filter(pk=job.pk).update(status="succeeded")
    assert alice_browser.get(address).status_code == 302  # asked for by a player that does not know it yet
    job.attempts.update(cleared=True)
    assert alice_browser.get(address).status_code == 409
    Job.objects.filter(pk=job.pk).update(status="running")
    job.attempts.update(provider="fake")  # which leaves no clips with us
    assert alice_browser.get(f"/studio/jobs/{job.pk}").json()["ready"] == 0


def test_a_canceled_job_says_what_it_cost(alice_browser, inputs):
    made = post(alice_browser, f"{S2V}/jobs", inputs=inputs, options={}).json()
    state = post(alice_browser, f"/studio/jobs/{made['id']}/cancel").json()
    assert (state["word"], state["charged"], state["balance"]) == ("Canceled", "Free", "$20.00")


def test_a_server_of_threads_tells_the_state_and_has_the_browser_come_back(alice_browser, inputs):
    made = post(alice_browser, f"{S2V}/jobs", inputs=inputs, options={}).json()
    answer = alice_browser.get(f"/studio/jobs/{made['id']}/events")
    told = b"".join(answer.streaming_content).decode()
    assert answer["Content-Type"] == "text/event-stream"
    assert told.startswith("retry: 2000\n\ndata: {")
    assert json.loads(told.split("data: ")[1])["word"] == "Waiting its turn"


# --- what is free ---


def test_the_look_at_a_picture_is_free_by_its_price(alice_browser, org):
    """No credit at all, and none needed; what the operator sets as the price is what it costs."""
    Route.objects.filter(model="picture-check").update(provider="fake")
    image = str(drive.asset(org, "image").pk)
    said = post(alice_browser, f"{S2V}/verdict", image=image).json()
    assert (said["fit"], said["cost"]) == (True, "free")
    assert Hold.objects.get().amount_micros == 0
    assert not Transfer.objects.exists()
    Price.objects.filter(model="picture-check").update(micros_per_unit=500)
    assert post(alice_browser, f"{S2V}/verdict", image=image).status_code == 402
    drive.fund(org)
    assert post(alice_browser, f"{S2V}/verdict", image=image).json()["cost"] == "$0.0005"


def test_the_preview_is_free_short_and_had_only_so_often(alice_browser, org, monkeypatch):
    """Without credit, beside a tier that starts two a minute, and no matter where the model itself is rendered."""
    Route.objects.filter(model="portrait-preview").update(provider="fake")
    model = dataclasses.replace(catalogue.model("portrait-preview"), per_hour=3)
    known = {**catalogue.models(), model.slug: model}
    monkeypatch.setattr(catalogue, "models", lambda: known)
    image, short, long = (
        str(drive.asset(org, kind, duration_ms=ms).pk)
        for kind, ms in (("image", 0), ("audio", 5000), ("audio", 9000))
    )
    refused = post(alice_browser, "/studio/portrait-preview/jobs", inputs={"image": image, "audio": long})
    assert refused.json()["code"] == "audio_too_long"
    for _ in range(model.per_hour - 1):
        made = post(alice_browser, "/studio/portrait-preview/jobs", inputs={"image": image, "audio": short})
        assert made.status_code == 202, made.content
    refused = post(alice_browser, "/studio/portrait-preview/jobs", inputs={"image": image, "audio": short})
    assert refused.status_code == 429
    assert "free 3 times an hour" in refused.json()["message"]
    drive.run_all()
    assert set(Job.objects.values_list("status", "charged_micros")) == {("succeeded", 0)}
    assert ledger.balance(org).available_micros == 0
    assert not Transfer.objects.exists()


def test_free_looks_take_no_place_among_the_submits_of_a_minute(org):
    throttles.free_allowed(org, "picture-check", 5)
    throttles.submit_allowed(org)
    throttles.submit_allowed(org)  # bronze starts two a minute


def test_the_preview_of_a_model_takes_what_the_model_takes():
    for model in catalogue.models().values():
        if model.preview:
            shown = catalogue.model(model.preview)
            assert {w.kind for w in shown.inputs.values()} <= {w.kind for w in model.inputs.values()}


# --- code ---


def test_code_is_shown_in_every_dialect_that_can_say_the_order(alice_browser, inputs):
    def names(slug: str, options: dict, inputs=inputs) -> list[str]:
        said = post(alice_browser, f"/studio/{slug}/code", inputs=inputs, options=options).json()
        return [example["name"] for example in said["examples"]]

    everything = ["curl", "python", "wavespeed", "dashscope", "inferencesh"]
    assert names("wan-2.2-s2v", {"prompt": 'It\'s "so"', "seed": 4}) == everything
    assert names("wan-2.2-s2v", {"fps": 12}) == ["curl", "python", "wavespeed", "inferencesh"]
    boxes = {"face_bbox": [1, 2, 3, 4], "ext_bbox": [0, 0, 10, 10]}
    assert "dashscope" in names("emo-v1", boxes)
    assert "dashscope" not in names("portrait-preview", {})
    missing = post(alice_browser, f"{S2V}/code", inputs={"image": inputs["image"]}, options={})
    assert (missing.status_code, missing.json()["message"]) == (422, "Choose the voice first.")
