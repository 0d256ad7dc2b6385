"""face-detect over HTTP, answered by the real detector in its confined child."""

from __future__ import annotations

import uuid

import numpy as np
import pytest
from PIL import Image, ImageFilter

from billing import ledger, quotas
from billing.models import Hold, Limits, Price
from jobs import detect, storage
from jobs.fetch import refusals
from jobs.models import Asset, Job
from providers.base import InputFile
from providers.errors import ProviderError, Throttled, Unavailable
from providers.local import detect as parent
from providers.local.adapter import LocalAdapter
from providers.models import Route
from tests.dialects.dashscope.conftest import SYNTHESIS, Dash
from tests.jobs import drive

PATH = "/api/v1/services/aigc/image2video/face-detect"
PRICE = 574


def picture(org, image: Image.Image, tmp_path, kind: str = "PNG", **options) -> str:
    """The picture as a file of the organization."""
    path = tmp_path / "picture"
    image.convert("RGB").save(path, kind, **options)
    asset = Asset(organization=org, origin="upload", kind="image", status="ready", content_type="image/png")
    asset.key = storage.new_key(org.pk, asset.id, "picture")
    asset.width, asset.height = image.size
    storage.put(asset.key, path, content_type="image/png")
    asset.save(force_insert=True)
    return str(asset.id)


def portrait() -> Image.Image:
    return Image.open(drive.SAMPLES / "portrait.jpg").convert("RGB")


def two_people() -> Image.Image:
    both = Image.new("RGB", (1024, 512))
    both.paste(portrait(), (0, 0))
    both.paste(portrait().transpose(Image.Transpose.FLIP_LEFT_RIGHT), (512, 0))
    return both


def far_away() -> Image.Image:
    canvas = Image.new("RGB", (900, 900), (128, 128, 128))
    canvas.paste(portrait().resize((270, 270), Image.Resampling.BOX), (300, 300))
    return canvas


def half_hidden() -> Image.Image:
    found = portrait()
    found.paste((190, 140, 120), (170, 85, 226, 121))
    return found


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(5).integers(0, 255, (600, 600, 3), np.uint8))


def ask(dash: Dash, image: str, model: str = "wan2.2-s2v-detect", **parameters):
    body = {"model": model, "input": {"image_url": image}}
    if parameters:
        body["parameters"] = parameters
    return dash.client.post(PATH, body, format="json")


def spent(org) -> tuple[int, int]:
    found = ledger.balance(org)
    return 20_000_000 - found.available_micros, found.held_micros


def test_a_good_portrait_passes_and_is_billed(dash, org):
    answer = ask(dash, str(drive.asset(org, "image").id))
    assert answer.status_code == 200, answer.content
    assert answer.json() == {
        "output": {"check_pass": True, "humanoid": True},
        "usage": {"image_count": 1},
        "request_id": answer["X-Request-Id"],
    }
    assert spent(org) == (PRICE, 0)
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("make", "code", "humanoid"),
    [
        (two_people, "InvalidFile.MultiHuman", True),
        (far_away, "InvalidFile.BodyProportion", True),
        (half_hidden, "InvalidFile.FacePose", True),
        (lambda: portrait().filter(ImageFilter.GaussianBlur(3)), "InvalidFile.Value", True),
        (lambda: portrait().point(lambda value: value * 0.18), "InvalidFile.Value", True),
        (lambda: Image.new("RGB", (600, 600), (90, 90, 90)), "InvalidFile.NoHuman", False),
        (noise, "InvalidFile.NoHuman", False),
        (lambda: portrait().resize((399, 399)), "InvalidFile.Resolution", False),
    ],
    ids=["two", "far", "eye", "blur", "dark", "grey", "noise", "small"],
)
def test_refused_pictures_say_why_and_are_billed(dash, org, tmp_path, make, code, humanoid):
    answer = ask(dash, picture(org, make(), tmp_path))
    assert answer.status_code == 200, answer.content
    output = answer.json()["output"]
    assert (output["check_pass"], output["code"], output["humanoid"]) == (False, code, humanoid)
    assert output["message"]
    assert answer.json()["usage"] == {"image_count": 1}
    assert "code" not in answer.json()
    assert spent(org) == (PRICE, 0)


@pytest.mark.parametrize(("ratio", "shape"), [("1:1", 1.0), ("3:4", 0.75), (None, 1.0)])
def test_emo_gets_boxes(dash, org, tmp_path, ratio, shape):
    large = portrait().resize((1024, 1024), Image.Resampling.LANCZOS)
    parameters = {"ratio": ratio} if ratio else {}
    output = ask(dash, picture(org, large, tmp_path), "emo-detect-v1", **parameters).json()["output"]
    assert set(output) == {"check_pass", "face_bbox", "ext_bbox"}
    face, frame = output["face_bbox"], output["ext_bbox"]
    assert all(type(corner) is int for corner in face + frame)
    # the astronaut's face, seen by eye
    assert all(abs(seen - told) < 25 for seen, told in zip((346, 126, 550, 352), face, strict=True))
    assert 0 <= frame[0] <= face[0] < face[2] <= frame[2] <= 1024
    assert 0 <= frame[1] <= face[1] < face[3] <= frame[3] <= 1024
    assert (frame[2] - frame[0]) / (frame[3] - frame[1]) == shape


def test_boxes_are_those_of_the_upright_picture_at_its_own_size(dash, org, tmp_path):
    """Larger than the detector works at, and lying on its side by its EXIF data."""
    upright = portrait().resize((5000, 5000), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 8  # turn it a quarter to the left to see it upright
    lying = upright.transpose(Image.Transpose.ROTATE_270)
    output = ask(dash, picture(org, lying, tmp_path, "JPEG", exif=exif), "emo-detect-v1").json()["output"]
    middle = (output["face_bbox"][0] + output["face_bbox"][2]) / 2 / 5000
    assert 0.41 < middle < 0.47
    assert output["face_bbox"][3] - output["face_bbox"][1] > 800


def test_a_picture_of_a_foreign_address_that_cannot_be_fetched_is_free(dash, org, monkeypatch):
    def refuse(*args, **kwargs):
        raise refusals.FetchRefused("url_timeout")

    monkeypatch.setattr("jobs.fetch.download", refuse)
    answer = ask(dash, "https://example.com/a.jpg")
    assert (answer.status_code, answer.json()["code"]) == (400, "InvalidURL.Timeout")
    assert spent(org) == (0, 0)
    assert Hold.objects.get().status == "released"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"model": None}, "BadRequest.EmptyModel"),
        ({"model": "wan9-detect"}, "InvalidParameter"),
        ({"model": "wan2.2-s2v"}, "InvalidParameter"),
        ({"input": {}}, "BadRequest.EmptyInput"),
        ({"input": {"image_url": 5}}, "InvalidParameter"),
        ({"input": {"image_url": "http://127.0.0.1/a.jpg"}}, "InvalidURL"),
        ({"input": {"image_url": str(uuid.uuid4())}}, "InvalidURL"),
        ({"model": "emo-detect-v1", "parameters": {"ratio": "16:9"}}, "InvalidParameter"),
    ],
)
def test_wrong_requests_are_free(dash, org, change, code):
    body = {"model": "wan2.2-s2v-detect", "input": {"image_url": "https://example.com/a.jpg"}, **change}
    answer = dash.client.post(PATH + "/", body, format="json")
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert spent(org) == (0, 0)


def test_a_voice_is_no_picture(dash, org):
    answer = ask(dash, str(drive.asset(org, "audio").id))
    assert (answer.status_code, answer.json()["code"]) == (400, "InvalidFile.Format")
    assert spent(org) == (0, 0)


def test_another_tenants_picture_does_not_exist(dash, other_org):
    answer = ask(dash, str(drive.asset(other_org, "image").id))
    assert (answer.status_code, answer.json()["code"]) == (400, "InvalidURL")


def test_it_is_synchronous_and_says_so(dash, org):
    body = {"model": "wan2.2-s2v-detect", "input": {"image_url": str(drive.asset(org, "image").id)}}
    answer = dash.client.post(PATH, body, format="json", headers={"X-DashScope-Async": "enable"})
    assert (answer.status_code, answer.json()["code"]) == (403, "AccessDenied")


def test_a_detector_is_no_model_of_the_other_address(dash, s2v):
    s2v["model"] = "wan2.2-s2v-detect"
    answer = dash.submit(s2v, SYNTHESIS)
    assert (answer.status_code, answer.json()["code"]) == (400, "InvalidParameter")
    assert PATH in answer.json()["message"]


def test_money_and_routes(dash, org):
    image = str(drive.asset(org, "image").id)
    Limits.objects.filter(organization=org).update(monthly_budget_micros=PRICE - 1)
    quotas.forget()
    assert ask(dash, image).json()["code"] == "Arrearage"
    Limits.objects.filter(organization=org).update(monthly_budget_micros=None)
    Price.objects.filter(unit="image").delete()
    assert ask(dash, image).status_code == 503
    Route.objects.filter(model="wan-2.2-s2v-detect").update(enabled=False)
    answer = ask(dash, image)
    assert (answer.status_code, answer.json()["code"]) == (503, "ModelUnavailable")
    assert spent(org) == (0, 0)


@pytest.mark.parametrize("error", [Unavailable("down"), Throttled("busy"), TimeoutError()])
def test_a_detector_that_fails_is_free(dash, org, monkeypatch, error):
    async def fail(*args):
        raise error

    monkeypatch.setattr(LocalAdapter, "check", fail)
    answer = ask(dash, str(drive.asset(org, "image").id))
    assert (answer.status_code, answer.json()["code"]) == (503, "ModelUnavailable")
    assert spent(org) == (0, 0)


def test_a_look_whose_process_died_gives_its_money_back(dash, org, caller, monkeypatch):
    look = detect._hold(caller, detect.S2V)
    assert spent(org) == (PRICE, PRICE)
    assert detect.lost() == []
    Hold.objects.update(created_at="2026-01-01T00:00:00Z")
    assert detect.lost() == [look]
    detect.give_back(str(look))
    assert spent(org) == (0, 0)
    assert detect.lost() == []


# --- the child ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [b"", b"null", b"[]", b"{", b'{"fit": "yes"}', b'{"fit": false}', b'{"fit": true, "face": [1, 2, 3]}',
     b'{"fit": true, "face": "abcd"}', b'{"fit": true, "face": 5}', b" " * 5000 + b'{"fit": true}'],
)  # fmt: skip
def test_only_an_answer_in_form_is_believed(raw):
    with pytest.raises(ProviderError):
        parent.verdict(raw)


def test_a_file_that_is_no_picture_is_a_verdict_and_a_dead_child_is_not(tmp_path):
    (tmp_path / "picture").write_bytes(b"\xff\xd8" + b"garbage" * 100)
    (tmp_path / "ratio").write_text("")
    found = parent.verdict(parent._child(tmp_path))
    assert (found.fit, found.code) == (False, "image_unreadable")
    with pytest.raises(Unavailable):
        parent._child(tmp_path / "nothing")


def test_a_picture_that_does_not_arrive(settings):
    image = InputFile("http://127.0.0.1:9/none", "image/png", 5)
    with pytest.raises(Unavailable):
        parent.look(image, "")


def test_the_child_knows_no_secrets():
    assert not {
        name for name in parent.environment() if "SECRET" in name or "DATABASE" in name or "KEY" in name
    }
