"""A look at a picture, answered by the real detector in its confined child."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image

from billing import ledger
from billing.models import DayUse, Hold
from jobs import detect
from jobs.errors import JobError
from jobs.models import Asset
from providers.models import Route
from tests.jobs import drive
from tests.world import api_client

PRICE = 574
PICTURE = (drive.SAMPLES / "portrait.jpg").read_bytes()


@pytest.fixture
def funded(org):
    drive.fund(org)
    return org


def ask(api, image: str, **more):
    return api.post("/v1/detect", {"image": image, **more}, format="json")


def data(content: bytes, kind: str = "image/jpeg") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def spent(org) -> tuple[int, int]:
    found = ledger.balance(org)
    return 20_000_000 - found.available_micros, found.held_micros


def grey() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (600, 600), (90, 90, 90)).save(out, "PNG")
    return out.getvalue()


def test_a_good_portrait_is_fit_and_the_answer_says_what_it_cost(funded, api):
    Route.objects.filter(model=detect.S2V).update(cost_micros_per_second=100)  # by the picture
    row = drive.asset(funded, "image")
    address = api.get(f"/v1/files/{row.pk}").json()["url"]
    for image in (str(row.pk), address, data(PICTURE)):
        answer = ask(api, image)
        assert answer.status_code == 200, answer.content
        body = answer.json()
        assert (body["fit"], body["person"], body["reason"]) == (True, True, None)
        assert (body["model"], body["price"]) == ("wan-2.2-s2v", {"currency": "USD", "charged_micros": PRICE})
    assert spent(funded) == (3 * PRICE, 0)
    assert api.get("/v1/usage?group_by=model").json()["data"][0]["micros"] == 3 * PRICE
    use = DayUse.objects.get()
    assert (use.provider, use.unit, use.jobs, use.cost_micros) == ("local", "image", 3, 300)
    assert use.route_id == Route.objects.get(model=detect.S2V).pk


def test_a_refused_picture_says_why_and_costs_the_same(funded, api):
    body = ask(api, data(grey(), "image/png")).json()
    assert (body["fit"], body["person"], body["reason"]["code"]) == (False, False, "face_not_found")
    assert body["reason"]["message"]
    assert spent(funded) == (PRICE, 0)


def test_emo_tells_the_face_and_the_frame(funded, api):
    body = ask(api, str(drive.asset(funded, "image").pk), model="emo-v1", ratio="3:4").json()
    assert body["fit"]
    left, top, right, bottom = body["face"]
    assert body["frame"][0] <= left < right <= body["frame"][2]
    assert body["frame"][1] <= top < bottom <= body["frame"][3]


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"image": ""}, "parameter_invalid", "image"),
        ({"image": 7}, "parameter_invalid", "image"),
        ({"image": "portrait.jpg"}, "url_scheme", "image"),
        ({"image": "http://127.0.0.1/a.jpg"}, "url_private", "image"),
        ({"image": "data:image/png;base64,!!"}, "url_invalid", "image"),
        ({"image": data(b"words, no picture\n" * 40)}, "not_media", "image"),
        ({"image": "0198a3f2-0000-7000-8000-000000000000"}, "file_unknown", "image"),
        ({"image": "x", "model": "sora"}, "parameter_invalid", "model"),
        ({"image": "x", "ratio": "3:4"}, "parameter_invalid", "ratio"),
        ({"image": "x", "model": "emo-v1", "ratio": "16:9"}, "parameter_invalid", "ratio"),
        ({}, "parameter_missing", "image"),
    ],
)
def test_a_wrong_question_is_free_and_refused_by_name(funded, api, body, code, field):
    answer = api.post("/v1/detect", body, format="json")
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, code, field)
    assert spent(funded) == (0, 0)


def test_a_sound_is_no_picture(funded, api):
    answer = ask(api, str(drive.asset(funded, "audio").pk))
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "wrong_type", "image")
    assert spent(funded) == (0, 0)


def test_a_file_whose_bytes_have_not_come_is_free(funded, api):
    ticket = api.post("/v1/files/tickets", {"filename": "a.jpg", "bytes": 5}, format="json").json()
    answer = ask(api, ticket["file"]["id"])
    assert (answer.status_code, answer.json()["code"]) == (409, "file_not_uploaded")
    assert spent(funded) == (0, 0)


def test_a_look_that_failed_is_free(funded, api, monkeypatch):
    def away(*args):
        raise JobError("provider_unavailable", "The picture could not be looked at.", retryable=True)

    monkeypatch.setattr(detect, "_ask", away)
    answer = ask(api, str(drive.asset(funded, "image").pk))
    assert (answer.status_code, answer.json()["code"], answer.json()["retryable"]) == (
        503,
        "provider_unavailable",
        True,
    )
    assert spent(funded) == (0, 0)
    assert Hold.objects.get().status == "released"


def test_without_money_nobody_looks(org, api):
    answer = ask(api, str(drive.asset(org, "image").pk))
    assert (answer.status_code, answer.json()["code"]) == (402, "insufficient_funds")


def test_another_tenants_picture_is_unknown(funded, api, other_org, other_key):
    drive.fund(other_org)
    answer = ask(api_client(other_key), str(drive.asset(funded, "image").pk))
    assert (answer.status_code, answer.json()["code"]) == (422, "file_unknown")
    assert Asset.objects.count() == 1
