"""The vendor's own SDK against the double: what it cannot tell from the vendor, an adapter cannot either."""

from __future__ import annotations

import pytest
from inferencesh import TaskStatus, inference
from inferencesh.models.errors import APIError

from tests.jobs.drive import SAMPLES
from tests.vendors.inferencesh.double import APP, KEY, InferenceSh
from tests.vendors.server import running, sound_ms

GIVEN = {"image": str(SAMPLES / "portrait.jpg"), "audio": str(SAMPLES / "speech.wav"), "prompt": "a talk"}


@pytest.fixture
def vendor():
    with running(InferenceSh()) as double:
        yield double


@pytest.fixture
def sdk(vendor):
    return inference(api_key=KEY, base_url=vendor.url)


def test_local_paths_are_uploaded_and_a_run_is_waited_for(sdk, vendor):
    result = sdk.run({"app": APP, "input": GIVEN})
    (task,) = vendor.tasks.values()
    assert result["status"] == TaskStatus.COMPLETED
    assert result["output"] == {"file": f"{vendor.url}/outputs/{task.id}.mp4"}
    sent = [file["content"] for file in vendor.files.values()]
    assert sent == [(SAMPLES / name).read_bytes() for name in ("portrait.jpg", "speech.wav")]
    assert task.length_ms == sound_ms((SAMPLES / "speech.wav").read_bytes())


def test_a_failure_is_the_vendors(sdk, vendor):
    vendor.ending = "failed"
    with pytest.raises(RuntimeError, match="matching resources"):
        sdk.run({"app": APP, "input": GIVEN})


def test_polls_and_cancel(sdk, vendor):
    vendor.polls_to_end = 100
    task = sdk.run({"app": APP, "input": GIVEN, "webhook": "https://example.com/x"}, wait=False)
    assert task["status"] == TaskStatus.QUEUED
    assert sdk.get_task(task["id"]).data["webhook"] == "https://example.com/x"
    sdk.cancel(task["id"])
    assert sdk.get_task(task["id"]).data["status"] == TaskStatus.CANCELLED


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("refusal", 400, "blocked_by_usage_policy"),
        ("throttle", 429, "rate_limited"),
        ("denied", 402, "payment_required"),
        ("error", 500, "internal_error"),
    ],
)
def test_refusals(sdk, vendor, kind, status, code):
    vendor.fault("submit", kind)
    with pytest.raises(APIError) as refusal:
        sdk.run({"app": APP, "input": GIVEN}, wait=False)
    assert (refusal.value.status_code, refusal.value.code) == (status, code)
    assert not vendor.tasks


def test_an_unknown_task_is_a_problem(sdk):
    with pytest.raises(APIError) as refusal:
        sdk.get_task("nobody")
    assert refusal.value.status_code == 404
