"""The captured payloads, read by the adapter's wire; and what an order's form says."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from providers.base import InputFile, Lost, Order, State
from providers.errors import AccountRefused, NotFound, OutcomeUnknown, Unavailable, Unsuitable
from providers.openai_videos import wire

FOLDER = Path(__file__).parents[2] / "wire" / "openai_videos"
ID = "video_gen_0f6a2b8c4d1e4f5a9b7c3d2e1f0a9b8c"


class NoWorkspace:
    def put_url(self, name: str) -> str:
        raise NotImplementedError

    get_url = put_url


ORDER = Order(
    tag="t" * 32,
    model="wan-2.2-s2v",
    inputs={
        "image": InputFile("https://store/p.jpg", "image/jpeg", 1, width=800, height=600),
        "audio": InputFile("https://store/v.wav", "audio/wav", 1, duration_ms=9_000),
    },
    options={"resolution": "480p", "seed": 7, "prompt": ""},
    length_ms=9_000,
    workspace=NoWorkspace(),
    life_seconds=60,
)


def captured(name: str):
    return json.loads((FOLDER / f"{name}.json").read_text())


def test_states():
    assert wire.update(ID, captured("queued")).state is State.WAITING
    running = wire.update(ID, captured("in_progress"))
    assert (running.state, running.progress) == (State.RUNNING, 0.4)
    done = wire.update(ID, captured("completed"))
    assert (done.state, done.outputs[0].held, done.outputs[0].url) == (State.SUCCEEDED, True, "")


def test_a_failure_keeps_the_servers_words_for_operators():
    update = wire.update(ID, captured("failed"))
    assert (update.state, update.code, update.retryable) == (State.FAILED, "provider_failed", True)
    assert "CUDA" in update.note
    assert "CUDA" not in update.message


@pytest.mark.parametrize(
    "said", [{}, {"id": ID}, {"id": ID, "status": "asleep"}, {"id": "x", "status": "failed"}]
)
def test_an_answer_that_says_nothing_is_no_update(said):
    with pytest.raises(Unavailable):
        wire.update(ID, said)


def test_a_form():
    fields = wire.form(ORDER)
    assert json.loads(fields["image_reference"]) == {"image_url": "https://store/p.jpg"}
    assert json.loads(fields["audio_reference"]) == {"audio_url": "https://store/v.wav"}
    assert (fields["seed"], fields["fps"], fields["user"]) == ("7", "16", "t" * 32)
    assert fields["prompt"] == wire.PROMPT  # the server insists on one
    tuned = wire.form(
        replace(ORDER, route={"flow_shift": 3.0, "extra_params": {"preencode_mp4": True}, "other": 1})
    )
    assert (tuned["flow_shift"], json.loads(tuned["extra_params"])) == ("3.0", {"preencode_mp4": True})
    assert "other" not in tuned


@pytest.mark.parametrize(
    ("width", "height", "resolution", "size"),
    [
        (832, 480, "480p", (832, 480)),
        (1280, 720, "720p", (1280, 720)),
        (512, 512, "480p", (624, 624)),
        (480, 832, "480p", (480, 832)),
        (10_000, 10, "480p", (1248, 304)),
    ],
)
def test_the_videos_shape_is_the_pictures(width, height, resolution, size):
    image = replace(ORDER.inputs["image"], width=width, height=height)
    order = replace(
        ORDER, inputs={**ORDER.inputs, "image": image}, options={"resolution": resolution, "seed": 1}
    )
    assert wire.size(order) == size


def test_other_models_are_left_to_others():
    with pytest.raises(Unsuitable):
        wire.check(replace(ORDER, model="wan-2.2-animate"))


def test_refusals():
    assert type(wire.complaint(400, captured("problem"))) is Unsuitable
    assert type(wire.complaint(422, {"detail": [{"msg": "x"}]})) is Unsuitable
    assert type(wire.complaint(405, None)) is AccountRefused
    assert type(wire.complaint(404, {"error": {"message": "no such video", "code": 404}})) is NotFound
    assert type(wire.complaint(404, {"detail": "Video not found"})) is NotFound
    assert type(wire.complaint(503, {"error": {"message": "busy", "code": 503}})) is Unavailable
    assert [wire.complaint(status, None) for status in (400, 401, 404, 413, 429, 500, 503)] == [None] * 7
    assert wire.complaint(404, {"detail": "Not Found"}) is None  # of a path that the server does not have


def test_a_list_shows_what_is_not_ours_yet():
    lost = Lost(tag="t", model="wan-2.2-s2v", since=datetime.fromtimestamp(1795140000, UTC))
    assert wire.unaccounted(captured("listed"), lost, 1) == [ID]
    assert wire.unaccounted(captured("listed"), replace(lost, known={ID}), 1) == []
    with pytest.raises(OutcomeUnknown):
        wire.unaccounted({"data": [{"id": "x"}]}, lost, 1)
