"""The captured payloads, read by the adapter's wire; and what no payload should be."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from providers.base import InputFile, Lost, Order, State
from providers.dashscope import wire
from providers.errors import (
    AccountRefused,
    OutcomeUnknown,
    ProviderError,
    Refused,
    Throttled,
    Unavailable,
    Unsuitable,
)
from providers.failures import FAILURES

FOLDER = Path(__file__).parents[2] / "wire" / "dashscope"
ID = "0385dc79-5ff8-4d82-bcb6-7a5e3f1c2d4e"
IMAGE = InputFile("https://store/p.jpg", "image/jpeg", 100_000, width=800, height=600)
VOICE = InputFile("https://store/v.wav", "audio/wav", 300_000, duration_ms=9_000)
CLIP = InputFile("https://store/c.mp4", "video/mp4", 300_000, duration_ms=9_000, width=640, height=480)


class NoWorkspace:
    def put_url(self, name: str) -> str:
        raise NotImplementedError

    get_url = put_url


def order(model: str = "wan-2.2-s2v", **fields) -> Order:
    sound = {"video": CLIP} if model == "wan-2.2-animate" else {"audio": VOICE}
    given = {
        "tag": "t",
        "model": model,
        "inputs": {"image": IMAGE, **sound},
        "options": {"resolution": "480p"},
        "length_ms": 9_000,
        "workspace": NoWorkspace(),
        "life_seconds": 60,
    }
    return Order(**{**given, **fields})


def captured(name: str):
    return json.loads((FOLDER / f"{name}.json").read_text())


@pytest.mark.parametrize(
    ("name", "ms"), [("succeeded_s2v", 12480), ("succeeded_animate", 5200), ("succeeded_emo", 10230)]
)
def test_a_finished_task_and_the_length_it_was_billed(name, ms):
    update = wire.update(ID, captured(name))
    assert (update.state, update.billed_ms) == (State.SUCCEEDED, ms)
    assert update.outputs[0].url.startswith("http://example-bucket")


@pytest.mark.parametrize(
    ("name", "code", "again"),
    [("failed", "input_unsuitable", False), ("failed_animate", "provider_failed", True)],
)
def test_a_failed_task_keeps_the_vendors_words_for_operators(name, code, again):
    said = captured(name)
    update = wire.update(ID, said)
    assert (update.state, update.code, update.retryable) == (State.FAILED, code, again)
    assert said["output"]["message"] in update.note
    assert said["output"]["message"] not in update.message + update.hint


def test_an_expired_record_is_lost():
    assert wire.update(ID, captured("unknown")).state is State.LOST


def test_a_submitted_task_waits():
    assert wire.update(ID, captured("submitted")).state is State.WAITING


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"output": None},
        {"output": {"task_id": ID}},
        {"output": {"task_id": "x", "task_status": "FAILED"}},
        {"output": {"task_id": ID, "task_status": "SLEEPING"}},
    ],
)
def test_an_answer_that_says_nothing_is_no_update(said):
    with pytest.raises(Unavailable):
        wire.update(ID, said)


def test_succeeded_without_an_address_is_a_failure():
    said = captured("succeeded_s2v")
    said["output"]["results"] = [{"url": "x"}]
    assert wire.update(ID, said).code == "provider_failed"


def test_verdicts():
    assert wire.verdict(captured("detect_fit")).fit
    emo = wire.verdict(captured("emo_detect_fit"))
    assert (emo.face, emo.frame) == ((240, 180, 520, 470), (60, 20, 760, 720))
    unfit = wire.verdict(captured("detect_unfit"))
    assert (unfit.fit, unfit.code) == (False, "image_unsuitable")
    with pytest.raises(Unavailable):
        wire.verdict({"output": {}})


def test_a_policy():
    policy = wire.policy(captured("policy"))
    assert policy.host.startswith("https://")
    assert policy.most_bytes == 100 * 1024 * 1024
    with pytest.raises(Unavailable):
        wire.policy({"data": {"policy": 5}})


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (429, "Throttling", Throttled),
        (429, "Throttling.AllocationQuota", Throttled),
        (401, "InvalidApiKey", AccountRefused),
        (400, "Arrearage", AccountRefused),
        (403, "AccessDenied.Unpurchased", AccountRefused),
        (403, "AllocationQuota.FreeTierOnly", AccountRefused),
        (404, "ModelNotFound", AccountRefused),
        (404, "NotFound", Unsuitable),
        (429, "PostpaidBillOverdue", AccountRefused),
        (503, "ModelUnavailable", Unavailable),
        (400, "DataInspectionFailed", Refused),
        (400, "InvalidFile.MultiHuman", Refused),
        (400, "IPInfringementSuspect", Refused),
        (400, "InvalidFile.SomethingNew", Unsuitable),
        (400, "InvalidParameter.DataInspection", Unsuitable),
        (400, "NeverHeardOf", Unsuitable),
    ],
)
def test_refusals(status, code, kind):
    error = wire.complaint(status, {"code": code, "message": "their words", "request_id": "r"})
    assert isinstance(error, ProviderError)
    assert type(error) is kind
    assert "their words" in error.message
    assert "their words" not in getattr(error, "customer_message", "")


def test_an_address_that_is_not_there_is_no_fault_of_the_order():
    error = wire.complaint(404, {"code": "NotFound", "message": "x"})
    assert error
    assert error.code == "model_unsuitable"


def test_a_server_error_explains_nothing():
    assert wire.complaint(500, {"code": "InternalError", "message": "x"}) is None
    assert wire.complaint(502, "<html>") is None
    assert wire.complaint(408, {"code": "RequestTimeOut", "message": "x"}) is None  # it may have been taken


def test_every_code_of_ours_has_its_sentence():
    assert set(wire.CODES.values()) | wire.FINAL_WORD <= set(FAILURES)


# --- orders -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "options", "name"),
    [
        ("wan-2.2-s2v", {}, "wan2.2-s2v"),
        ("emo-v1", {}, "emo-v1"),
        ("wan-2.2-animate", {"mode": "animate"}, "wan2.2-animate-move"),
        ("wan-2.2-animate", {"mode": "replace"}, "wan2.2-animate-mix"),
    ],
)
def test_models(model, options, name):
    assert wire.model(order(model, options=options), {}) == name


def with_input(role: str, **change) -> dict[str, InputFile]:
    inputs = {"image": IMAGE, "audio": VOICE}
    return {**inputs, role: replace(inputs[role], **change)}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"length_ms": 20_000}, "audio_too_long"),
        ({"inputs": with_input("image", width=399)}, "image_size"),
        ({"inputs": with_input("image", height=7001)}, "image_size"),
        ({"inputs": with_input("image", content_type="image/gif")}, "image_unsuitable"),
        ({"inputs": with_input("audio", content_type="audio/flac")}, "audio_unsuitable"),
        ({"inputs": with_input("audio", bytes=15 * 1024 * 1024)}, "audio_unsuitable"),
        ({"model": "wan-9"}, "model_unsuitable"),
    ],
)
def test_what_the_vendor_does_not_make_is_left_to_others(change, code):
    with pytest.raises(Unsuitable) as no:
        wire.model(replace(order(), **change), {})
    assert no.value.code == code
    assert no.value.customer_message


@pytest.mark.parametrize(("width", "height"), [(2049, 1024), (1024, 199), (1600, 500)])
def test_a_clip_of_another_shape_is_left_to_others(width, height):
    inputs = {"image": IMAGE, "video": replace(CLIP, width=width, height=height)}
    with pytest.raises(Unsuitable) as no:
        wire.model(order("wan-2.2-animate", inputs=inputs, options={}), {})
    assert no.value.code == "video_unsuitable"


def test_regions_and_workspaces():
    assert wire.base_url({}) == "https://dashscope.aliyuncs.com/api/v1"
    assert wire.base_url({"region": "ap-southeast-1"}) == "https://dashscope-intl.aliyuncs.com/api/v1"
    place = wire.base_url({"region": "eu-central-1", "workspace": "llm-x"})
    assert place == "https://llm-x.eu-central-1.maas.aliyuncs.com/api/v1"
    with pytest.raises(AccountRefused):
        wire.base_url({"region": "eu-central-1"})
    assert wire.model(order("wan-2.2-animate", options={}), {"region": "ap-southeast-1"})
    with pytest.raises(Unsuitable):
        wire.model(order(), {"region": "ap-southeast-1"})


def test_bodies():
    addresses = {"image": "oss://i", "audio": "oss://a"}
    assert wire.submission("wan2.2-s2v", order(), addresses) == {
        "model": "wan2.2-s2v",
        "input": {"image_url": "oss://i", "audio_url": "oss://a"},
        "parameters": {"resolution": "480P"},
    }
    boxes = {"face_bbox": [1, 2, 3, 4], "ext_bbox": [0, 0, 9, 9], "style_level": "calm"}
    emo = wire.submission("emo-v1", order("emo-v1", options=boxes), addresses)
    assert emo["input"]["ext_bbox"] == [0, 0, 9, 9]
    assert emo["parameters"] == {"style_level": "calm"}
    moves = wire.submission(
        "wan2.2-animate-mix", order("wan-2.2-animate", route={"mode": "wan-pro"}), addresses
    )
    assert moves["parameters"] == {"mode": "wan-pro", "check_image": True}


# --- lists --------------------------------------------------------------------------------------------------

CREATED = datetime.fromtimestamp(1795140000.123, UTC)
LOST = Lost(tag="t", model="wan-2.2-s2v", since=CREATED)


def test_a_list_shows_what_is_not_ours_yet():
    listed = captured("listed")
    assert wire.unaccounted(listed, LOST, 1000) == [ID]
    assert wire.unaccounted(listed, replace(LOST, known={ID}), 1000) == []
    assert wire.unaccounted(listed, replace(LOST, since=CREATED + timedelta(minutes=1)), 1000) == []


@pytest.mark.parametrize("data", [None, [5], [{"task_id": ID}], [{"task_id": "../x", "gmt_create": 1}]])
def test_a_list_of_something_else_tells_nothing(data):
    with pytest.raises(OutcomeUnknown):
        wire.unaccounted({"data": data}, LOST, 1000)
