"""The captured payloads, read by the adapter's wire; and what no payload should be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from providers.base import State
from providers.errors import (
    AccountRefused,
    Forged,
    NotFound,
    OutcomeUnknown,
    Refused,
    Throttled,
    Unavailable,
    Unsuitable,
)
from providers.inferencesh import wire

FOLDER = Path(__file__).parents[2] / "wire" / "inferencesh"
ID = "4r2m8k0c5v7x9z1b3n5q7w9e2t"
VIDEO = "https://cloud.inference.sh/o/1/video.mp4"


def captured(name: str):
    return json.loads((FOLDER / f"{name}.json").read_text())


@pytest.mark.parametrize("name", ["completed", "completed_object", "old_numbers"])
def test_a_finished_task_whatever_its_shape_or_numbers(name):
    update = wire.update(ID, captured(name))
    assert (update.state, [output.url for output in update.outputs]) == (State.SUCCEEDED, [VIDEO])


def test_without_a_name_the_number_counts_by_the_present_enum():
    said = captured("old_numbers")
    del said["data"]["status_text"]
    assert wire.update(ID, said).state is State.RUNNING  # 9 is UPLOADING now


def test_a_failed_task_keeps_the_vendors_words_for_operators():
    update = wire.update(ID, captured("failed"))
    assert (update.state, update.code, update.retryable) == (State.FAILED, "provider_failed", True)
    assert "matching resources" in update.note
    assert "matching" not in update.message + update.hint


@pytest.mark.parametrize("name", wire.NAMES)
def test_every_status_has_a_state(name):
    said = captured("running")
    said["data"] |= {"status": wire.NAMES.index(name), "status_text": name.upper()}
    assert isinstance(wire.update(ID, said).state, State)


def test_states():
    assert wire.update(ID, captured("started")).state is State.WAITING
    assert wire.update(ID, captured("running")).state is State.RUNNING


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"id": ID},
        {"id": ID, "status": "sleeping"},
        {"id": ID, "status": 14},
        {"id": ID, "status": True},
        {"id": "x", "status": 10},
    ],
)
def test_an_answer_that_says_nothing_is_no_update(data):
    with pytest.raises(Unavailable):
        wire.update(ID, {"data": data})


@pytest.mark.parametrize("file", [None, 5, "", "/etc/passwd", {"uri": "inf://x"}])
def test_completed_without_a_usable_output_is_a_failure(file):
    said = captured("completed")
    said["data"]["output"] = {"file": file}
    assert wire.update(ID, said).code == "provider_failed"


def test_a_run_that_was_taken_and_one_that_was_rejected():
    assert wire.started_id(captured("started")) == ID
    assert wire.started_id(captured("started")["data"]) == ID  # without an envelope
    with pytest.raises(AccountRefused):
        wire.started_id(captured("rejected"))
    with pytest.raises(OutcomeUnknown):
        wire.started_id({"data": {"id": "../tasks"}})


def test_an_upload():
    assert wire.upload(captured("files")) == (
        "https://store.example/put/1?signature=x",
        "https://cloud.inference.sh/u/1/face.png",
    )
    with pytest.raises(Unavailable):
        wire.upload({"data": []})


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        (402, captured("problem"), AccountRefused),
        (403, {"type": "https://api.inference.sh/errors/insufficient_scope"}, AccountRefused),
        (410, {"type": "https://api.inference.sh/errors/app_retired"}, AccountRefused),
        (403, {"type": "https://api.inference.sh/errors/blocked_by_usage_policy"}, Refused),
        (422, {"type": "https://api.inference.sh/errors/validation_error", "detail": "fps"}, Unsuitable),
        (400, {"success": False, "status": 400, "error": {"code": "x", "message": "old shape"}}, Unsuitable),
        (503, {"type": "https://api.inference.sh/errors/app_maintenance"}, Unavailable),
        (500, {"type": "https://api.inference.sh/errors/entitlement_unavailable"}, Unavailable),
        (400, {"type": "https://api.inference.sh/errors/rate_limited"}, Throttled),
        (404, {"type": "https://api.inference.sh/errors/not_found", "detail": "x"}, NotFound),
    ],
)
def test_refusals(status, said, kind):
    assert type(wire.complaint(status, said)) is kind


def test_statuses_that_need_no_reading():
    assert [wire.complaint(status, None) for status in (400, 401, 404, 429, 500, 503)] == [None] * 6


@pytest.mark.parametrize(
    ("rating", "flagged"),
    [
        ("safe", False),
        ("sexual_suggestive", True),
        ("sexual_explicit", True),
        ("violence_non_graphic", True),
        ("violence_graphic", True),
        ("gore", True),
        ("unrated", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_the_vendors_own_check_of_a_film(rating, flagged):
    said = captured("completed")
    assert wire.update(ID, said).outputs[0].flagged is None
    said["data"]["rating"] = rating
    assert wire.update(ID, said).outputs[0].flagged is flagged


def test_a_call_names_a_task_and_nothing_more():
    assert wire.called_id(json.dumps(captured("webhook")).encode()) == ID


@pytest.mark.parametrize("body", [b"", b"[]", b'{"id": 5}', b'{"id": "../x"}', b"[" * 100_000])
def test_a_call_about_nothing_is_forged(body):
    with pytest.raises(Forged):
        wire.called_id(body)


def test_a_task_is_an_attempts_by_the_address_it_was_ordered_with():
    assert wire.is_for(captured("completed"), "https://example.com/hook")
    assert not wire.is_for(captured("completed"), "https://example.com/other")
    assert not wire.is_for(captured("completed"), "")
    assert not wire.is_for(captured("running"), "")
