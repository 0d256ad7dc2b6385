"""Submits that are answered with the end of the job."""

from __future__ import annotations

import pytest
from django.test.utils import override_settings

from tests.dialects.wavespeed.conftest import S2V
from tests.dialects.wavespeed.shapes import captured, missing
from tests.jobs import drive


@override_settings(WAVESPEED_SYNC_SECONDS=1)
def test_sync_gives_up_with_the_marks_of_a_timeout(wave, inputs):
    answer = wave.post(S2V, {**inputs, "enable_sync_mode": True})
    assert answer.status_code == 200
    assert missing(answer.json(), captured("sync_timeout")) == []
    data = answer.json()["data"]
    assert (data["status"], data["code"]) == ("processing", 5004)
    assert data["error"].startswith("Sync mode timed out: the video was not finished within 1 s.")
    drive.run_all()
    assert wave.result(data["id"])["status"] == "completed"


@pytest.mark.django_db(transaction=True)
def test_sync_waits_for_the_end(wave, inputs):
    with drive.worker():
        body = {**inputs, "enable_sync_mode": True, "prompt": "[fake seconds=0.1]"}
        data = wave.post(S2V, body).json()["data"]
    assert data["status"] == "completed"
    assert len(data["outputs"]) == 1


@pytest.mark.django_db(transaction=True)
def test_sync_tells_of_a_failure(wave, inputs):
    with drive.worker():
        body = {**inputs, "enable_sync_mode": True, "prompt": "[fake fail=face_not_found]"}
        data = wave.post(S2V, body).json()["data"]
    assert (data["status"], data["error_code"]) == ("failed", "face_not_found")


@override_settings(SYNC_WAITERS=0)
def test_sync_does_not_take_the_last_thread(wave, inputs):
    data = wave.post(S2V, {**inputs, "enable_sync_mode": True}).json()["data"]
    assert data["code"] == 5004
    assert data["error"].startswith("Sync mode timed out: too many requests are waiting")
