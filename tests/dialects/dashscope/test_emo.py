"""EMO: detected, submitted with the boxes, and rendered to its own sizes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from django.conf import settings

from billing import ledger
from jobs.models import Job
from providers.local.adapter import spec
from providers.local.worker.protocol import RenderError, read_order
from providers.local.worker.talking_portrait import picture as pictures
from providers.local.worker.talking_portrait.plan import plan
from tests.dialects.dashscope.test_detection import ask
from tests.jobs import drive

FACE, SQUARE, TALL = [173, 63, 275, 176], [96, 7, 351, 262], [71, 0, 377, 408]


@pytest.fixture
def emo(org, s2v) -> dict:
    drive.fake_route(org, model="emo-v1")
    boxes = {"face_bbox": FACE, "ext_bbox": SQUARE}
    return {"model": "emo-v1", "input": {**s2v["input"], **boxes}, "parameters": {"style_level": "active"}}


@pytest.mark.parametrize(("box", "ratio", "price"), [(SQUARE, "1:1", 11_470), (TALL, "3:4", 22_940)])
def test_the_box_decides_the_shape_and_the_price(dash, org, emo, box, ratio, price):
    emo["input"]["ext_bbox"] = box
    task = dash.started(emo)
    job = Job.objects.get()
    assert (job.model, job.options["resolution"], job.options["style_level"]) == ("emo-v1", ratio, "active")
    assert job.options["ext_bbox"] == box
    assert job.quoted_micros == 4 * price
    drive.run_all()
    body = dash.task(task)
    assert body["output"]["task_status"] == "SUCCEEDED"
    assert body["usage"] == {"video_duration": 4.0, "video_ratio": ratio}
    assert ledger.balance(org).available_micros == 20_000_000 - 4 * price
    assert dash.tasks(model_name="emo-v1").json()["total"] == 1


def test_what_detection_gave_is_what_generation_takes(dash, org, emo):
    for ratio in ("1:1", "3:4"):
        found = ask(dash, emo["input"]["image_url"], "emo-detect-v1", ratio=ratio).json()["output"]
        emo["input"] |= {name: found[name] for name in ("face_bbox", "ext_bbox")}
        dash.started(emo)
    assert set(Job.objects.values_list("options__resolution", flat=True)) == {"1:1", "3:4"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("face_bbox", None),
        ("ext_bbox", [1, 2, 3]),
        ("ext_bbox", [1, 2, 3, "4"]),
        ("ext_bbox", [1.5, 2, 300, 400]),
        ("ext_bbox", [True, 2, 300, 400]),
        ("ext_bbox", [300, 0, 100, 200]),
        ("ext_bbox", [-5, 0, 95, 100]),
        ("ext_bbox", [0, 0, 160, 90]),
        ("style_level", "wild"),
    ],
)
def test_wrong_boxes_and_styles(dash, emo, name, value):
    part = emo["parameters"] if name == "style_level" else emo["input"]
    part[name] = value
    answer = dash.submit(emo)
    assert (answer.status_code, answer.json()["code"]) == (400, "InvalidParameter")
    assert name in answer.json()["message"]


def test_a_voice_of_more_than_a_minute(dash, org, emo):
    emo["input"]["audio_url"] = str(drive.asset(org, "audio", duration_ms=61_000).id)
    answer = dash.submit(emo)
    assert (answer.status_code, answer.json()["code"]) == (400, "InvalidURL")


# --- the engine ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ratio", "size"), [("1:1", (512, 512)), ("3:4", (512, 704))])
def test_shots_have_one_size(ratio, size):
    film = plan(2.0, 3000, 500, ratio)
    assert (film.width, film.height) == size


def test_a_crop_is_given_in_the_pictures_own_pixels():
    path = drive.SAMPLES / "portrait.jpg"
    whole = pictures.read_picture(path)
    part = pictures.cropped(whole[::2, ::2], (96, 8, 352, 264), *pictures.upright_size(path))
    assert (part == whole[8:264:2, 96:352:2]).all()


@pytest.mark.parametrize("box", [(0, 0, 513, 100), (-1, 0, 100, 100), (100, 0, 100, 100), (0, 0, 20, 200)])
def test_crops_outside_the_picture(box):
    whole = pictures.read_picture(drive.SAMPLES / "portrait.jpg")
    with pytest.raises(RenderError) as refused:
        pictures.cropped(whole, box, 512, 512)
    assert refused.value.code == "parameter_invalid"


@pytest.mark.parametrize("crop", [[1, 2, 3], "1234", [1, 2, 3, 4.5], {"a": 1}])
def test_orders_with_a_crop_that_is_none(tmp_path, crop):
    order = {"image": "in", "audio": "in", "crop": crop}
    (tmp_path / "order.json").write_text(json.dumps(order))
    with pytest.raises(RenderError, match="crop"):
        read_order(tmp_path)


def test_the_engine_films_the_box_at_the_shots_size(tmp_path):
    for role, sample in (("image", "portrait.jpg"), ("audio", "speech.wav")):
        (tmp_path / role).write_bytes((drive.SAMPLES / sample).read_bytes())
    order = {"image": "image", "audio": "audio", "resolution": "3:4", "crop": TALL, "fps": 5, "seed": 1}
    (tmp_path / "order.json").write_text(json.dumps(order))
    done = subprocess.run(
        [sys.executable, "-s", "-m", "providers.local.worker", "talking_portrait", str(tmp_path)],
        cwd=settings.BASE_DIR, capture_output=True, check=True, timeout=120,
    )  # fmt: skip
    last = json.loads(done.stdout.splitlines()[-1])
    assert (last["event"], last["width"], last["height"]) == ("done", 512, 704)


def test_the_crop_travels_with_the_order(dash, emo):
    dash.started(emo)

    class Place:
        put_url = get_url = staticmethod(lambda name: name)

    class Order:
        options, length_ms, inputs, workspace, life_seconds = Job.objects.get().options, 4000, {}, Place, 5

    assert spec(Order)["options"]["crop"] == SQUARE
    assert spec(Order)["options"]["resolution"] == "1:1"
