"""The vendor's own SDK against the double: what it cannot tell from the vendor, an adapter cannot either."""

from __future__ import annotations

import pytest
from wavespeed import Client

from tests.jobs.drive import SAMPLES
from tests.vendors.server import running, sound_ms
from tests.vendors.wavespeed.double import KEY, WaveSpeed

MODEL = "wavespeed-ai/wan-2.2/speech-to-video"


@pytest.fixture
def vendor():
    with running(WaveSpeed()) as double:
        yield double


@pytest.fixture
def sdk(vendor) -> Client:
    return Client(KEY, base_url=vendor.url, retry_interval=0.01)


def ordered(sdk: Client) -> dict[str, str]:
    return {
        "image": sdk.upload(str(SAMPLES / "portrait.jpg")),
        "audio": sdk.upload(str(SAMPLES / "speech.wav")),
    }


def test_upload_run_and_output(sdk, vendor):
    vendor.polls_to_end = 2
    result = sdk.run(MODEL, ordered(sdk), poll_interval=0.01)
    (task,) = vendor.tasks.values()
    assert result == {"outputs": [f"{vendor.url}/outputs/{task.id}.mp4"]}
    sent = [upload["content"] for upload in vendor.uploads.values()]
    assert sent == [(SAMPLES / name).read_bytes() for name in ("portrait.jpg", "speech.wav")]
    assert task.length_ms == sound_ms((SAMPLES / "speech.wav").read_bytes())


def test_a_failure_is_the_vendors(sdk, vendor):
    vendor.ending = 1402
    with pytest.raises(RuntimeError, match="Prediction failed"):
        sdk.run(MODEL, ordered(sdk), poll_interval=0.01)


@pytest.mark.parametrize(
    ("kind", "status"), [("refusal", 400), ("throttle", 429), ("denied", 401), ("error", 502)]
)
def test_refusals(sdk, vendor, kind, status):
    inputs = ordered(sdk)
    vendor.fault("submit", kind)
    with pytest.raises(RuntimeError, match=f"HTTP {status}"):
        sdk.run(MODEL, inputs)
    assert not vendor.tasks


def test_errors_while_polling_are_lived_through(sdk, vendor):
    vendor.fault("poll", "error", "throttle")
    assert sdk.run(MODEL, ordered(sdk), poll_interval=0.01)["outputs"]


def test_a_cut_connection_leaves_a_task_behind(sdk, vendor):
    inputs = ordered(sdk)
    vendor.fault("submit", "cut_after")
    with pytest.raises(RuntimeError):
        sdk.run(MODEL, inputs)
    assert len(vendor.tasks) == 1
