"""The content check: what it refuses, marks and withholds, and what happens where it does not answer."""

from __future__ import annotations

import importlib.util
import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from PIL import Image

from billing import ledger
from jobs import settle, storage, uploads
from jobs.models import Asset, Job
from jobs.submit import submit
from jobs.types import JobRequest
from tests.dialects.speakers import SPEAKERS
from tests.jobs import drive
from tests.jobs import media_files as make
from tests.world import api_client

pytestmark = pytest.mark.django_db
RED, BLUE = (220, 20, 20), (20, 20, 220)
REFUSED = {
    "rest": ("content_refused", 422),
    "wavespeed": ("content_refused", 400),
    "dashscope": ("DataInspectionFailed", 400),
    "inferencesh": ("content_refused", 400),
}


@pytest.fixture(autouse=True)
def checker(settings):
    """Red pictures are flagged."""
    settings.MODERATION_CHECKER = "tests.jobs.colours.Colours"
    settings.MODERATION_LABELS = ["Red"]
    settings.MODERATION_THRESHOLD = 0.7


@pytest.fixture
def ready(org):
    drive.fund(org)
    drive.fake_route(org)


def jpeg(colour, size=(256, 256)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "JPEG")
    return out.getvalue()


def upload(api, colour):
    return api.post("/v1/files", {"file": SimpleUploadedFile("face.jpg", jpeg(colour))}, format="multipart")


def kept(org, colour) -> Asset:
    """A picture that was uploaded before there was a check."""
    row = Asset(organization=org, origin="upload", kind="image", status="ready", filename="face.jpg")
    row.key, row.content_type = storage.new_key(org.pk, row.id, row.filename), "image/jpeg"
    row.width = row.height = 256
    with tempfile.NamedTemporaryFile() as file:
        file.write(jpeg(colour))
        file.flush()
        storage.put(row.key, Path(file.name), content_type=row.content_type)
    row.bytes = len(jpeg(colour))
    row.save(force_insert=True)
    return row


def order(org, image: Asset, prompt: str = "") -> JobRequest:
    inputs = {"image": str(image.pk), "audio": str(drive.asset(org, "audio").pk)}
    return JobRequest(model="wan-2.2-s2v", inputs=inputs, options={"prompt": prompt}, dialect="rest")


def untouched(org) -> bool:
    return ledger.balance(org) == ledger.Balance(20 * drive.USD, 0)


# --- inputs -------------------------------------------------------------------------------------------------


def test_an_upload_is_judged_at_once(api):
    fine, bad = upload(api, BLUE), upload(api, RED)
    assert (fine.status_code, fine.json()["flagged"]) == (201, False)
    assert (bad.status_code, bad.json()["code"], bad.json()["field"]) == (422, "content_refused", "file")
    assert Asset.objects.count() == 1


@pytest.mark.parametrize("dialect", SPEAKERS)
def test_a_flagged_file_is_refused_before_any_money_is_held(ready, org, key, caller, dialect):
    bad = kept(org, RED)
    bad.status = "pending"
    bad.save()
    assert uploads.complete(bad).status == "refused"
    speaker = SPEAKERS[dialect](api_client(key))
    answers = []
    speaker.post = lambda path, body, **headers: answers.append(
        speaker.client.post(path, body, format="json", headers=headers)
    )
    inputs = {
        "image": storage.asset_url(bad.pk, "face.jpg"),
        "audio": storage.asset_url(drive.asset(org, "audio").pk, "a.wav"),
    }
    with pytest.raises(TypeError):  # there is no id in a refusal
        speaker.submit(inputs, "")
    code, status = REFUSED[dialect]
    assert answers[0].status_code == status, answers[0].content
    assert code in answers[0].content.decode()
    assert not Job.objects.exists()
    assert untouched(org)


@pytest.mark.parametrize(("colour", "end"), [(BLUE, ("succeeded", "")), (RED, ("failed", "content_refused"))])
def test_a_file_from_before_is_judged_before_it_is_rendered(ready, org, caller, colour, end):
    job = submit(caller, order(org, kept(org, colour)))
    assert job.status == "preparing"
    drive.run_all()
    job.refresh_from_db()
    assert (job.status, job.error_code) == end
    assert job.attempts.exists() == (end[0] == "succeeded")
    assert untouched(org) == (end[0] == "failed")
    # Nobody is asked twice: the word is kept with the file.
    row = Asset.objects.get(kind="image", origin="upload")
    assert row.moderation["flagged"] == (colour == RED)
    if colour == BLUE:
        assert submit(caller, order(org, row)).status == "queued"


def test_a_marked_video_of_ours_is_no_input(settings, org, caller):
    drive.fund(org)
    drive.fake_route(org, "wan-2.2-animate")
    film = drive.asset(org, "video")
    Asset.objects.filter(pk=film.pk).update(moderation={"flagged": True})
    face = kept(org, BLUE)
    Asset.objects.filter(pk=face.pk).update(moderation={"flagged": False})
    asked = JobRequest(
        model="wan-2.2-animate",
        inputs={"image": str(face.pk), "video": str(film.pk)},
        options={},
        dialect="rest",
    )
    with pytest.raises(Exception, match="video: This file did not pass") as caught:
        submit(caller, asked)
    assert caught.value.code == "content_refused"
    settings.MODERATION_CHECKS = ["output"]
    assert submit(caller, asked).status == "queued"


# --- outputs ------------------------------------------------------------------------------------------------


def filmed(org, caller, prompt="") -> Job:
    face = kept(org, BLUE)
    Asset.objects.filter(pk=face.pk).update(moderation={"flagged": False})
    job = submit(caller, order(org, face, prompt))
    drive.run_all()
    job.refresh_from_db()
    return job


def told(api, job) -> tuple[list, object]:
    """What WaveSpeed's clients and ours read of the video."""
    theirs = api.get(f"/api/v3/predictions/{job.pk.hex}/result").json()["data"]["has_nsfw_contents"]
    listed = api.post("/api/v3/predictions", {"page": 1, "page_size": 10}, format="json")
    assert listed.json()["data"]["items"][0]["has_nsfw_contents"] == theirs
    outputs = api.get(f"/v1/jobs/{job.pk}").json()["outputs"]
    return theirs, outputs[0]["flagged"] if outputs else None


@pytest.mark.parametrize(("threshold", "flagged"), [(0.0, True), (1.0, False)])
def test_a_video_is_marked(settings, ready, org, caller, api, alice_browser, threshold, flagged):
    settings.MODERATION_THRESHOLD = threshold
    job = filmed(org, caller)
    assert (job.status, job.charged_micros) == ("succeeded", job.quoted_micros)
    assert told(api, job) == ([flagged], flagged)
    assert ("Flagged" in alice_browser.get(f"/jobs/{job.pk}").content.decode()) == flagged


def test_a_flagged_video_may_be_withheld_and_is_free_then(settings, ready, org, caller, api):
    settings.MODERATION_THRESHOLD, settings.MODERATION_FLAGGED = 0.0, "withhold"
    job = filmed(org, caller)
    assert (job.status, job.error_code, job.charged_micros) == ("failed", "content_withheld", 0)
    assert not Asset.objects.filter(origin="output").exists()
    assert untouched(org)
    assert api.get(f"/api/v3/predictions/{job.pk.hex}/result").json()["data"]["code"] == 1200
    assert api.get(f"/api/v1/tasks/{job.pk}").json()["output"]["code"] == "DataInspectionFailed"


@pytest.mark.parametrize(
    ("prompt", "word"), [("", None), ("[fake flagged=no]", False), ("[fake flagged=yes]", True)]
)
def test_without_a_check_nothing_is_known_but_what_the_provider_says(
    settings, ready, org, caller, api, prompt, word
):
    settings.MODERATION_CHECKER = ""
    job = filmed(org, caller, prompt)
    assert told(api, job) == ([] if word is None else [word], word)


def test_what_the_provider_flags_is_withheld_too(settings, ready, org, caller):
    settings.MODERATION_CHECKER, settings.MODERATION_FLAGGED = "", "withhold"
    assert filmed(org, caller, "[fake flagged=yes]").error_code == "content_withheld"


# --- a check that does not answer ---------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["broken", "lying", "hostile"])
def test_what_nobody_could_judge_is_not_used(settings, ready, org, caller, api, way):
    settings.MODERATION_MODEL = way
    asked = upload(api, BLUE)
    assert (asked.status_code, asked.json()["flagged"]) == (201, None)
    job = submit(caller, order(org, Asset.objects.get()))
    drive.run_all()
    job.refresh_from_db()
    assert (job.status, job.error_code, job.error_retryable) == ("failed", "moderation_unavailable", True)
    assert not job.attempts.exists()
    assert untouched(org)


def test_a_label_that_the_checker_does_not_know_is_no_silent_pass(settings, tmp_path):
    settings.MODERATION_LABELS = ["nsfw"]
    path = tmp_path / "face.jpg"
    path.write_bytes(jpeg(BLUE))
    with pytest.raises(CommandError, match=r"none of the checker's labels: blue, green, red"):
        call_command("judge", str(path))


def test_a_video_that_nobody_could_judge_is_not_handed_out(
    settings, ready, org, caller, console, monkeypatch
):
    monkeypatch.setattr(settle, "SAVE_TRIES", 2)
    settings.MODERATION_CHECKS, settings.MODERATION_MODEL = ["output"], "broken"
    job = filmed(org, caller)
    assert (job.status, job.error_code, job.charged_micros) == ("failed", "moderation_unavailable", 0)
    assert untouched(org)
    cache.clear()
    page = console.get("/console/").content.decode()
    assert "1 jobs failed within a day because it did not answer" in page


def test_where_the_operator_lets_it_pass_it_is_never_called_clean(settings, ready, org, caller, api):
    settings.MODERATION_FAILED, settings.MODERATION_MODEL = "pass", "broken"
    job = submit(caller, order(org, kept(org, RED)))
    drive.run_all()
    job.refresh_from_db()
    assert job.status == "succeeded"
    assert told(api, job) == ([], None)
    assert Asset.objects.get(role="video").moderation == {"failed": True}


# --- what the operator sees ---------------------------------------------------------------------------------


def test_the_console_says_whether_it_is_on(settings, console):
    for name, words in (
        ("", "only what providers flag"),
        ("x.Y", "inputs and outputs; flagged videos are marked"),
    ):
        settings.MODERATION_CHECKER = name
        cache.clear()
        assert words in console.get("/console/").content.decode()


def test_a_film_is_judged_all_along(settings, tmp_path, capsys):
    """One flagged moment in the middle of a minute is found."""
    settings.MODERATION_LABELS = ["green"]
    for name, colour in (("calm", None), ("wild", (0, 255, 0))):
        path = tmp_path / f"{name}.gif"
        frames = [
            Image.new("RGB", (128, 128), colour if at == 7 and colour else (at, 20, 220)) for at in range(8)
        ]
        frames[0].save(path, save_all=True, append_images=frames[1:])
        call_command("judge", str(path))
    lines = capsys.readouterr().out.splitlines()
    assert ": fine (green" in lines[0]
    assert ": flagged (green 0.99" in lines[1]
    path = make.film(tmp_path / "film.mp4", seconds=4, sound=None)
    settings.MODERATION_LABELS, settings.MODERATION_THRESHOLD = ["red"], 0.3
    call_command("judge", str(path))
    assert ": flagged (red" in capsys.readouterr().out


# --- the real classifier ------------------------------------------------------------------------------------

PYTHON = os.environ.get("TEST_MODERATION_PYTHON", "")


WITHOUT = not PYTHON and not importlib.util.find_spec("transformers")


@pytest.mark.skipif(WITHOUT, reason="needs the extra `moderation`, here or in TEST_MODERATION_PYTHON")
def test_a_transformers_classifier_out_of_a_folder(settings, tmp_path, api):
    model = tmp_path / "model"
    trained = Path(__file__).with_name("tiny_classifier.py")
    subprocess.run([PYTHON or sys.executable, str(trained), str(model)], check=True, capture_output=True)
    settings.MODERATION_CHECKER, settings.MODERATION_LABELS = "transformers", ["nsfw"]
    settings.MODERATION_PYTHON, settings.MODERATION_MODEL = PYTHON, str(model)
    assert upload(api, BLUE).json()["flagged"] is False
    assert upload(api, RED).json()["code"] == "content_refused"
