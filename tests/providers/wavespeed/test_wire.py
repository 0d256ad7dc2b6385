"""The captured payloads, read by the adapter's wire; and what no payload should be."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from providers.base import Lost, State
from providers.errors import (
    AccountRefused,
    Forged,
    NotFound,
    OutcomeUnknown,
    ProviderError,
    Refused,
    Unavailable,
    Unsuitable,
)
from providers.wavespeed import wire

FOLDER = Path(__file__).parents[2] / "wire" / "wavespeed"
ID = "9f2c61d07b3e4c0fa1d2e3f405162738"
LOST = Lost(tag="a" * 32, model="wan-2.2-s2v", since=datetime(2026, 1, 1, tzinfo=UTC))


def captured(name: str):
    return json.loads((FOLDER / f"{name}.json").read_text())


def test_a_completed_prediction():
    update = wire.update(ID, captured("completed"))
    assert (update.state, update.progress) == (State.SUCCEEDED, 1.0)
    assert [output.url for output in update.outputs] == [
        "https://cdn.wavespeed.ai/outputs/9f2c61d07b3e4c0f.mp4"
    ]


def test_a_failed_prediction_keeps_the_vendors_words_for_operators():
    update = wire.update(ID, captured("failed"))
    assert (update.state, update.code, update.retryable) == (State.FAILED, "input_unreachable", True)
    assert "could not be reached" in update.note
    assert "URL" not in update.message + update.hint


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("created", State.WAITING),
        ("processing", State.RUNNING),
        ("cancelled", State.CANCELED),
        ("deleted", State.LOST),
        ("timeout", State.FAILED),
    ],
)
def test_every_status_has_its_state(status, state):
    said = captured("submitted")
    said["data"]["status"] = status
    assert wire.update(ID, said).state is state


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"id": ID},
        {"id": ID, "status": 7},
        {"id": ID, "status": "sleeping"},
        {"id": "other", "status": "completed"},
    ],
)
def test_an_answer_that_says_nothing_is_no_update(data):
    with pytest.raises(Unavailable):
        wire.update(ID, {"code": 200, "data": data})


@pytest.mark.parametrize("outputs", [[], None, [7], ["ftp://x/y"], ["javascript:1"], [{"url": "x"}]])
def test_completed_without_a_usable_output_is_a_failure(outputs):
    said = captured("completed")
    said["data"]["outputs"] = outputs
    update = wire.update(ID, said)
    assert (update.state, update.code, update.retryable) == (State.FAILED, "provider_failed", True)


def test_an_upload_ticket():
    put, headers, address = wire.ticket(captured("ticket"))
    assert (put, address) == ("https://store.example/put/123", "https://media.example/x/a%20b.png")
    assert headers == {"Content-Type": "image/png", "If-None-Match": "*"}


@pytest.mark.parametrize(
    "data", [{}, {"upload": 5}, {"upload": {"url": "u", "headers": {"a": 1}}, "download_url": "https://x"}]
)
def test_a_ticket_that_is_none(data):
    with pytest.raises(Unavailable):
        wire.ticket({"data": data})


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        (400, {"code": 400, "message": "x", "data": {"code": 1200}}, Refused),
        (400, {"code": 400, "message": "x", "data": {"code": 1401}}, Unsuitable),
        (400, {"error": "x"}, Unsuitable),
        (400, {"code": 400, "message": "no credit", "data": {"code": 1407}}, AccountRefused),
        (400, {"message": "no credit", "error_code": "1407"}, AccountRefused),
        (404, {"code": 404, "message": "Prediction not found"}, NotFound),
        (404, {"message": "Prediction not found"}, NotFound),
        (413, {"code": 413, "message": "x"}, Unsuitable),
        (503, {"code": 503, "message": "x"}, Unavailable),
    ],
)
def test_refusals(status, said, kind):
    error = wire.complaint(status, said)
    assert isinstance(error, ProviderError)
    assert type(error) is kind
    assert "x" not in getattr(error, "customer_message", "").split()


def test_statuses_that_need_no_reading():
    assert [wire.complaint(status, None) for status in (401, 403, 429, 500, 503)] == [None] * 5


@pytest.mark.parametrize("said", [None, ["x"], {"message": "no Route matched"}, {"error": "Not Found"}])
def test_a_404_in_somebody_elses_words_is_not_about_a_prediction(said):
    assert wire.complaint(404, said) is None
    assert wire.complaint(503, said) is None


def test_an_error_under_a_200_has_its_status_in_the_envelope():
    meant = [wire.meant(200, {"code": code}) for code in (200, 401, 500, 0, 1407, "401", None, True)]
    assert meant == [200, 401, 500, 200, 200, 200, 200, 200]
    assert wire.meant(404, {"code": 500}) == 404
    assert wire.meant(200, [5]) == 200


def test_history_without_inputs_shows_nothing():
    assert wire.in_history(captured("history"), LOST) == wire.Page()


def test_history_with_inputs():
    said = captured("history")
    (item,) = said["data"]["items"]
    item["input"] = {"image": "https://media.example/x/other.png"}
    assert wire.in_history(said, LOST) == wire.Page(echoes=True)
    later = replace(LOST, since=datetime(2026, 1, 16, tzinfo=UTC))
    assert wire.in_history(said, later) == wire.Page(echoes=True, goes_back=True)
    for moment in ("2026-01-15", "2026-01-15T08:30:12", "yesterday", 7, None):
        item["created_at"] = moment
        assert not wire.in_history(said, later).goes_back
    item["input"] = {"image": f"https://media.example/x/{LOST.tag}-image.png"}
    assert wire.in_history(said, LOST) == wire.Page(found=ID)
    assert wire.in_history({"data": {"items": []}}, LOST) == wire.Page(echoes=True)
    with pytest.raises(OutcomeUnknown):
        wire.in_history({"data": None}, LOST)


# --- webhooks -----------------------------------------------------------------------------------------------

# The reference's own vector.
SIGNED = {
    "webhook-id": "evt0001",
    "webhook-timestamp": "1767225600",
    "webhook-signature": "v3,ead3738b4c2b2327f8656da3c66c1ff14a35c6c96fd3ad65c3329d7189511caa",
}
BODY = b'{"id":"t1","status":"completed","outputs":[]}'
SECRET = "whsec_demo0123456789"


@pytest.fixture
def then(monkeypatch):
    monkeypatch.setattr(wire.time, "time", lambda: 1767225610)


def test_a_signed_call(then):
    assert wire.called_id(SIGNED, BODY, SECRET) == "t1"


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "evt0002"},
        {"webhook-timestamp": "1767225601"},
        {"webhook-timestamp": "1767220000"},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "٣"},
        {"webhook-signature": "v3," + "0" * 64},
        {"webhook-signature": SIGNED["webhook-signature"].replace("v3", "v1")},
        {"webhook-signature": ""},
    ],
)
def test_a_forged_call(then, change):
    with pytest.raises(Forged):
        wire.called_id({**SIGNED, **change}, BODY, SECRET)


@pytest.mark.parametrize(("body", "secret"), [(BODY + b" ", SECRET), (BODY, "whsec_other"), (BODY, "")])
def test_a_call_of_another_body_or_secret_is_forged(then, body, secret):
    with pytest.raises(Forged):
        wire.called_id(SIGNED, body, secret)
