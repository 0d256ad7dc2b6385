"""Balance, models, prices, usage, bills, the webhooks' secret."""

from __future__ import annotations

import uuid

import pytest

from accounts.models import ApiKey
from billing import ledger
from jobs.models import Asset
from jobs.sealed import SigningSecret
from jobs.storage import asset_url
from providers.models import Route
from tests.dialects.wavespeed.conftest import S2V
from tests.dialects.wavespeed.shapes import captured, missing
from tests.dialects.wavespeed.test_files import TICKET, VOICE, put
from tests.jobs import drive
from tests.world import api_client, make_key

PRICE = "/api/v3/model/price"
MODEL = "wavespeed-ai/wan-2.2/speech-to-video"
ACCOUNT = captured("account")


def data(answer):
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert (body["code"], body["message"]) == (200, "success")
    return body["data"]


# --- balance ------------------------------------------------------------------------------------------------


def test_balance_is_what_can_be_spent(wave, inputs):
    assert data(wave.get("/api/v3/balance"))["balance"] == 20
    wave.post(S2V, inputs)
    found = data(wave.get("/api/v3/balance"))
    assert found["balance"] == 19.88
    assert missing(found, ACCOUNT["balance"]) == []
    alias = data(wave.get("/api/v3/account/balance"))
    assert missing(alias, ACCOUNT["account_balance"]) == []
    assert alias["balance"] == 19.88


# --- models -------------------------------------------------------------------------------------------------


def test_the_catalogue_is_a_bare_list(wave):
    Route.objects.filter(model="wan-2.2-animate").delete()
    found = data(wave.get("/api/v3/models"))
    assert missing(found, captured("models")["data"]) == []
    by_id = {entry["model_id"]: entry for entry in found}
    s2v, animate = by_id[MODEL], by_id["wavespeed-ai/wan-2.2/animate"]
    assert (s2v["base_price"], animate["base_price"]) == (0.09, 0.2)
    assert s2v["formula"] == "clamp(ceil(audio_seconds), 3, 600) * {480p: 0.03, 720p: 0.06}[resolution]"
    assert (s2v["available"], animate["available"]) == (True, False)
    schema = s2v["api_schema"]["api_schemas"][0]
    assert schema["server"] + schema["api_path"] == f"http://testserver/api/v3/{MODEL}"
    assert schema["request_schema"]["properties"]["seed"]["minimum"] == -1


def test_the_catalogue_needs_no_scope(org, alice):
    client = api_client(make_key(org, "jobs:read", by=alice))
    assert client.get("/api/v3/models").status_code == 200
    assert client.get("/api/v3/balance").status_code == 403


# --- prices -------------------------------------------------------------------------------------------------


def test_without_inputs_a_quote_is_the_floor(wave):
    found = data(wave.post(PRICE, {"model_id": MODEL}))
    assert missing(found, ACCOUNT["price"]) == []
    assert (found["price"], found["discounted_price"], found["exact"]) == (0.09, 0.09, False)
    assert "least" in found["note"]


def test_a_foreign_address_gives_the_floor_too(wave):
    inputs = {"audio": "https://example.com/voice.wav", "resolution": "720p"}
    found = data(wave.post(PRICE, {"model_id": MODEL, "inputs": inputs}))
    assert (found["price"], found["exact"]) == (0.18, False)


@pytest.mark.parametrize(
    ("duration_ms", "resolution", "price"),
    [
        (2000, "480p", 0.09),
        (3200, "480p", 0.12),
        (5100, "480p", 0.18),
        (7300, "480p", 0.24),
        (600_000, "480p", 18.0),
        (4000, "720p", 0.24),
    ],
)
def test_our_own_file_gives_the_real_price(wave, org, duration_ms, resolution, price):
    voice = drive.asset(org, "audio", duration_ms=duration_ms)
    inputs = {"audio": asset_url(voice.id, voice.filename), "resolution": resolution}
    found = data(wave.post(PRICE, {"model_id": MODEL, "inputs": inputs}))
    assert (found["price"], found["exact"]) == (price, True)
    assert "note" not in found


def test_the_quote_is_what_is_charged(wave, org, inputs):
    quoted = data(wave.post(PRICE, {"model_id": MODEL, "inputs": inputs}))["price"]
    wave.post(S2V, inputs)
    drive.run_all()
    assert ledger.balance(org).available_micros == 20_000_000 - round(quoted * 1_000_000)


def test_a_file_uploaded_by_ticket_is_measured_for_its_quote(wave):
    ticket = data(wave.post(TICKET, {"filename": "s.wav", "size": len(VOICE)}))
    assert put(ticket, VOICE).is_success
    found = data(wave.post(PRICE, {"model_id": MODEL, "inputs": {"audio": ticket["download_url"]}}))
    assert found["exact"]
    seconds = -(-Asset.objects.get().duration_ms // 1000)
    assert found["price"] == pytest.approx(max(3, seconds) * 0.03)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 404, "model_unknown"),
        ({"model_id": "nobody/nothing"}, 404, "model_unknown"),
        ({"model_id": MODEL, "inputs": {"seed": -2}}, 400, "parameter_invalid"),
        ({"model_id": MODEL, "inputs": {"colour": "red"}}, 400, "parameter_invalid"),
        ({"model_id": MODEL, "inputs": []}, 400, "parameter_invalid"),
        ({"model_id": 5}, 400, "parameter_invalid"),
        ({"model_id": MODEL, "inputs": {"audio": "http://127.0.0.1/a"}}, 400, "url_private"),
        ({"model_id": MODEL, "inputs": {"audio": str(uuid.uuid4())}}, 400, "file_unknown"),
    ],
)
def test_wrong_questions_are_refused_like_wrong_submits(wave, body, status, code):
    answer = wave.post(PRICE, body)
    assert (answer.status_code, answer.json()["error_code"]) == (status, code)


def test_too_long_a_voice_has_no_price(wave, org):
    voice = drive.asset(org, "audio", duration_ms=660_000)
    answer = wave.post(PRICE, {"model_id": MODEL, "inputs": {"audio": str(voice.id)}})
    assert (answer.status_code, answer.json()["error_code"]) == (400, "audio_too_long")


def test_the_legacy_quote(wave, inputs):
    found = data(wave.post("/api/v3/model/pricing", {"model_id": MODEL, "inputs": inputs}))
    assert missing(found, ACCOUNT["pricing"]) == []
    assert found["unit_price"] == 0.12


# --- usage and bills ----------------------------------------------------------------------------------------


@pytest.fixture
def used(wave, inputs):
    """One finished video of 4 s and one failed."""
    wave.post(S2V, inputs)
    wave.post(S2V, {**inputs, "prompt": "[fake fail=x]"})
    drive.run_all()
    return wave


def test_usage_counts_what_was_charged(used, stranger):
    found = data(used.post("/api/v3/user/usage_stats"))
    assert missing(found, ACCOUNT["usage"]) == []
    (model,) = found["per_model_usage"]
    assert (model["model_uuid"], model["total_cost"], model["total_count"]) == (MODEL, 0.12, 1)
    assert model["unit_price"] == 0.03
    (day,) = found["daily_usage"]
    assert (day["amount"], day["count"]) == (0.12, 1)
    assert found["summary"] == {"total_cost": 0.12, "total_requests": 2, "success_requests": 1}
    assert data(stranger.post("/api/v3/user/usage_stats"))["summary"]["total_requests"] == 0


def test_usage_of_a_span_and_of_a_model(used):
    old = {"start_time": "2020-01-01T00:00:00Z", "end_time": "2020-02-01T00:00:00Z"}
    assert data(used.post("/api/v3/user/usage_stats", old))["summary"]["total_requests"] == 0
    other = {"model_uuid": "wavespeed-ai/wan-2.2/animate"}
    found = data(used.post("/api/v3/user/usage_stats", other))
    assert found["per_model_usage"] == found["daily_usage"] == []
    assert found["summary"] == {"total_cost": 0, "total_requests": 0, "success_requests": 0}
    answer = used.post("/api/v3/user/usage_stats", {"start_time": "soon"})
    assert (answer.status_code, answer.json()["error_code"]) == (400, "parameter_invalid")


def test_the_bill_shows_money_in_and_what_jobs_cost(used, stranger):
    body = {"page": 1, "page_size": 20}
    found = data(used.post("/api/v3/billings/search", body))
    assert missing(found, ACCOUNT["billings"]) == []
    cost, credit = found["items"]
    assert (cost["billing_type"], cost["price"], cost["prediction"]["model"]) == ("consumption", 0.12, MODEL)
    assert cost["access_key_uuid"] == ApiKey.objects.get(name="test key", organization__name="Acme").pk.hex
    assert (credit["billing_type"], credit["price"]) == ("grant", 20)
    assert (found["page"], found["has_more"]) == (1, False)
    assert data(stranger.post("/api/v3/billings/search", body))["items"] == []


def test_the_bill_is_filtered_and_paged(used):
    def items(**body):
        return data(used.post("/api/v3/billings/search", {"page": 1, "page_size": 20, **body}))

    assert [item["billing_type"] for item in items(billing_type="grant")["items"]] == ["grant"]
    assert [item["billing_type"] for item in items(model_uuid=MODEL)["items"]] == ["consumption"]
    assert items(access_key_uuid=uuid.uuid4().hex)["items"] == []
    assert items(end_time="2020-01-01T00:00:00Z")["items"] == []
    assert items(page_size=1)["has_more"] is True
    assert [item["billing_type"] for item in items(page_size=1, page=2)["items"]] == ["grant"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"page": 1, "page_size": 1, "billing_type": "x"},
        {"page": 1, "page_size": 1, "access_key_uuid": "x"},
    ],
)
def test_wrong_bill_questions(wave, body):
    answer = wave.post("/api/v3/billings/search", body)
    assert answer.status_code == 400
    assert answer.json()["error_code"].startswith("parameter_")


# --- the secret ---------------------------------------------------------------------------------------------


def test_the_webhook_secret_is_ours_and_stays(wave, stranger):
    secret = data(wave.get("/api/v3/webhook/secret"))["secret"]
    assert secret.startswith("whsec_")
    assert len(secret) >= 38
    assert data(wave.get("/api/v3/webhook/secret"))["secret"] == secret
    assert data(stranger.get("/api/v3/webhook/secret"))["secret"] != secret
    assert all(secret.removeprefix("whsec_") not in row.sealed for row in SigningSecret.objects.all())
