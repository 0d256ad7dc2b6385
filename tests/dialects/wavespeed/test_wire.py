"""The pure translations: no database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.errors import (
    BudgetReached,
    InsufficientFunds,
    ModelNotAllowed,
    PriceMissing,
    QuotaReached,
    RateLimited,
)
from jobs.dialects.wavespeed.webhooks import signature
from jobs.dialects.wavespeed.wire import bodies, faults, predictions
from jobs.dialects.wavespeed.wire.models import formula, path_of, request_schema, slug_of
from jobs.dialects.wavespeed.wire.submissions import Base64WithWebhook, submission
from jobs.errors import Conflict, Invalid, NoRoute, NotFound, Unpayable
from jobs.models import Job
from jobs.states import Status
from providers import catalogue
from tests.dialects.wavespeed.shapes import captured, missing

BASE = "https://video.example"
CREATED = datetime(2026, 1, 15, 8, 30, 12, 481920, tzinfo=UTC)
S2V = catalogue.model("wan-2.2-s2v")
ANIMATE = catalogue.model("wan-2.2-animate")
INPUTS = {"image": "https://example.com/face.png", "audio": "https://example.com/voice.wav"}
SEVEN = {"created", "processing", "completed", "failed", "cancelled", "timeout", "deleted"}


def job(status: str = Status.QUEUED, **fields) -> Job:
    row = Job(model="wan-2.2-s2v", status=status, **fields)
    row.created_at = CREATED
    return row


# --- models -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "slug"),
    [
        ("wavespeed-ai/wan-2.2/speech-to-video", "wan-2.2-s2v"),
        ("wavespeed-ai/wan-2.2/animate", "wan-2.2-animate"),
        ("voicereel/wan-2.2-s2v", "wan-2.2-s2v"),
        ("wan-2.2-s2v", None),
        ("wan-2.2-animate", None),  # the vendor's page name is no model id
        ("wavespeed-ai/wan-2.2/animate/", None),
        ("voicereel/", None),
        ("", None),
    ],
)
def test_a_path_names_a_model(path, slug):
    assert slug_of(path, catalogue.models()) == slug


def test_every_model_has_a_path_that_leads_back_to_it():
    assert {slug_of(path_of(slug), catalogue.models()) for slug in catalogue.models()} == set(
        catalogue.models()
    )


def test_schema_is_flat_and_closed():
    schema = request_schema(S2V)
    assert schema["required"] == ["image", "audio"]
    assert schema["additionalProperties"] is False
    assert schema["x-order-properties"] == list(schema["properties"])
    assert {"image", "audio", "resolution", "seed", "enable_sync_mode"} <= set(schema["properties"])


class Rate:
    def __init__(self, resolution, micros):
        self.resolution, self.micros_per_unit = resolution, micros
        self.step_ms, self.min_units, self.max_units = 1000, 3, 600


def test_formula_reads_like_the_price_list():
    text = formula(S2V, [Rate("480p", 30_000), Rate("720p", 60_000)])
    assert text == "clamp(ceil(audio_seconds), 3, 600) * {480p: 0.03, 720p: 0.06}[resolution]"


# --- submissions --------------------------------------------------------------------------------------------


def test_the_flat_body_is_split_into_inputs_and_options():
    body = {**INPUTS, "prompt": "a smile", "resolution": "720p", "seed": 3, "enable_sync_mode": True}
    wanted = submission(S2V, body, webhook="https://example.com/hook", idempotency_key="k")
    assert wanted.request.inputs == INPUTS
    assert wanted.request.options == {"prompt": "a smile", "resolution": "720p", "seed": 3}
    assert (wanted.request.dialect, wanted.request.webhook_url) == ("wavespeed", "https://example.com/hook")
    assert (wanted.sync, wanted.base64, wanted.request.idempotency_key) == (True, False, "k")


def test_controls_never_reach_the_options():
    wanted = submission(S2V, {**INPUTS, "enable_base64_output": True, "enable_sync_mode": False})
    assert wanted.request.options == {}
    assert wanted.request.wire == {"base64": True}


def test_null_means_absent():
    assert submission(S2V, {**INPUTS, "prompt": None}).request.options == {}


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ([], "", "JSON object"),
        ("text", "", "JSON object"),
        ({**INPUTS, "colour": "red"}, "colour", "Unknown parameter 'colour'"),
        ({**INPUTS, "video": "https://example.com/v.mp4"}, "video", "Unknown parameter 'video'"),
        ({**INPUTS, "enable_sync_mode": "yes"}, "enable_sync_mode", "true or false"),
        ({**INPUTS, "prompt": "a\0b"}, "prompt", "not text"),
        ({**INPUTS, "prompt": "\ud800"}, "prompt", "not text"),
        ({**INPUTS, "audio": "data:audio/wav;base64,AAAA"}, "audio", "upload the file first"),
        ({**INPUTS, "audio": "A" * 5000}, "audio", "upload the file first"),
    ],
)
def test_a_wrong_body_names_the_field(body, field, says):
    with pytest.raises(Invalid, match=says) as caught:
        submission(S2V, body)
    assert caught.value.field == field
    assert caught.value.code == "parameter_invalid"


def test_long_headers_and_webhooks_are_refused():
    with pytest.raises(Invalid, match="Idempotency-Key"):
        submission(S2V, INPUTS, idempotency_key="k" * 256)
    with pytest.raises(Invalid, match="webhook"):
        submission(S2V, INPUTS, webhook="https://example.com/" + "a" * 2000)


def test_base64_and_a_webhook_exclude_each_other():
    with pytest.raises(Base64WithWebhook):
        submission(S2V, {**INPUTS, "enable_base64_output": True}, webhook="https://example.com/hook")


# --- predictions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (Status.PREPARING, "created"),
        (Status.QUEUED, "created"),
        (Status.RUNNING, "processing"),
        (Status.SAVING, "processing"),
        (Status.SUCCEEDED, "completed"),
        (Status.FAILED, "failed"),
        (Status.CANCELED, "cancelled"),
        (Status.EXPIRED, "timeout"),
    ],
)
def test_status_words(status, word):
    assert predictions.prediction(job(status), [], BASE)["status"] == word
    assert status in predictions.statuses(word)


def test_every_state_has_one_of_the_seven_words():
    assert {predictions.STATUS[status] for status in Status} | {predictions.DELETED} == SEVEN


def test_a_new_prediction_has_the_captured_shape():
    ours = predictions.prediction(job(), [], BASE)
    assert missing(ours, captured("submitted")["data"]) == []
    assert ours["created_at"] == "2026-01-15T08:30:12.481Z"
    assert (ours["error"], ours["code"], ours["outputs"], ours["has_nsfw_contents"]) == ("", 0, [], [])
    assert ours["urls"]["get"] == f"{BASE}/api/v3/predictions/{ours['id']}/result"
    assert predictions.ID.fullmatch(ours["id"])


def test_a_finished_one_tells_its_time_in_milliseconds():
    row = job(Status.SUCCEEDED, started_at=CREATED, finished_at=CREATED + timedelta(seconds=25.729))
    ours = predictions.prediction(row, ["https://video.example/files/1/t/a.mp4"], BASE)
    assert missing(ours, captured("completed")["data"]) == []
    assert ours["timings"]["inference"] == ours["executionTime"] == 25729


@pytest.mark.parametrize(
    ("code", "number"),
    [
        ("parameter_missing", 1400),
        ("parameter_invalid", 1401),
        ("audio_too_long", 1401),
        ("image_too_small", 1401),
        ("face_not_found", 1401),
        ("not_media", 1401),
        ("url_private", 1402),
        ("url_redirect_private", 1402),
        ("url_unreachable", 1402),
        ("url_too_large", 1401),
        ("file_not_uploaded", 1402),
        ("insufficient_funds", 1407),
        ("no_route", 5003),
        ("provider_unavailable", 5003),
        ("output_unusable", 1405),
        ("anything_new", 1405),
        ("engine_failed", 5000),
    ],
)
def test_failures_carry_the_vendors_number_and_our_code(code, number):
    ours = predictions.prediction(job(Status.FAILED, error_code=code, error_message="No."), [], BASE)
    assert missing(ours, captured("failed")["data"]) == []
    assert (ours["code"], ours["error_code"], ours["error"]) == (number, code, "No.")


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELED, Status.EXPIRED])
def test_an_unhappy_end_always_has_a_reason(status):
    ours = predictions.prediction(job(status), [], BASE)
    assert ours["error"]
    assert ours["code"] != 0


def test_a_deleted_one_says_so():
    ours = predictions.prediction(job(Status.SUCCEEDED, deleted_at=CREATED), [], BASE)
    assert ours["status"] == "deleted"
    assert ours["error"]


@given(st.text(), st.sampled_from(["HTTP 5", "HTTP 429", "HTTP 503", "HTTP 429 from upstream"]), st.text())
def test_no_error_text_makes_the_sdk_pay_twice(before, poison, after):
    row = job(Status.FAILED, error_code="provider_failed", error_message=before + poison + after)
    text = predictions.prediction(row, [], BASE)["error"]
    assert "HTTP 5" not in text
    assert "HTTP 429" not in text


def test_a_sync_timeout_has_the_marks_the_sdk_looks_for():
    ours = predictions.timed_out(predictions.prediction(job(Status.RUNNING), [], BASE), "waited 90 s.")
    assert missing(ours, captured("sync_timeout")["data"]) == []
    assert (ours["status"], ours["code"]) == ("processing", 5004)
    assert ours["error"].startswith("Sync mode timed out")
    assert ours["urls"]["get"] in ours["error"]


def test_a_webhook_echoes_the_request():
    row = job(Status.SUCCEEDED, request={"inputs": INPUTS, "options": {"resolution": "480p"}})
    ours = predictions.with_echo(predictions.prediction(row, ["https://video.example/a.mp4"], BASE), row)
    assert missing(ours, captured("webhook")) == []
    assert ours["input"] == {**INPUTS, "resolution": "480p"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "9f2c61d07b3e4c0fa1d2e3f40516273",
        "9F2C61D07B3E4C0FA1D2E3F405162738",
        "9f2c61d0-7b3e-4c0f-a1d2-e3f405162738",
        "../../etc",
    ],
)
def test_only_32_lowercase_hex_digits_are_an_id(text):
    assert predictions.read_id(text) is None


# --- refusals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Invalid("parameter_invalid", "No."), 400),
        (Invalid("file_too_large", "No."), 413),
        (NotFound("prediction_not_found", "Prediction not found."), 404),
        (NotFound("model_unknown", "No."), 404),
        (Conflict("idempotency_conflict", "No."), 409),
        (NoRoute("no_route", "No."), 503),
        (Unpayable("insufficient_funds", "No."), 402),
        (Unpayable("monthly_budget", "No."), 402),
        (Unpayable("key_spend_cap", "No."), 402),
        (Unpayable("queued_jobs_limit", "No."), 429),
        (Unpayable("model_not_allowed", "No."), 403),
        (Unpayable("clip_too_long", "No."), 400),
        (Unpayable("price_missing", "No."), 503),
        (InsufficientFunds(needed_micros=2, available_micros=1), 402),
        (BudgetReached(budget_micros=2, used_micros=2, needed_micros=1), 402),
        (QuotaReached("queued_jobs_limit", "No."), 429),
        (RateLimited("No.", retry_after=7), 429),
        (ModelNotAllowed("x"), 403),
        (PriceMissing("x", "480p", "second"), 503),
    ],
)
def test_refusals_have_a_status_and_a_short_body(error, status):
    found = faults.fault(error)
    assert found.status == status
    assert found.body() == {"code": status, "message": error.message, "error_code": error.code}


def test_every_429_says_when_to_come_back():
    assert faults.fault(RateLimited("No.", retry_after=7)).retry_after == 7
    assert faults.fault(Unpayable("queued_jobs_limit", "No.")).retry_after == 5


# --- smaller bodies -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"page": 1},
        {"page": 0, "page_size": 1},
        {"page": 1, "page_size": 101},
        {"page": "1", "page_size": 1},
        {"page": True, "page_size": 1},
        {"page": 10**30, "page_size": 1},
        {"page": 1.0, "page_size": 20},
    ],
)
def test_pages_are_bounded(body):
    with pytest.raises(Invalid):
        bodies.page(body)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-01-15T08:30:12Z", datetime(2026, 1, 15, 8, 30, 12, tzinfo=UTC)),
        ("2026-01-15T08:30:12.5+02:00", datetime(2026, 1, 15, 6, 30, 12, 500_000, tzinfo=UTC)),
        ("2026-01-15T08:30:12", datetime(2026, 1, 15, 8, 30, 12, tzinfo=UTC)),
        ("2026-01-15", datetime(2026, 1, 15, tzinfo=UTC)),
    ],
)
def test_times_are_read_as_utc(text, at):
    assert bodies.moment({"t": text}, "t") == at


@pytest.mark.parametrize("value", ["yesterday", "2026-13-01", "2026-02-30T00:00:00Z", 5, "a\0"])
def test_other_times_are_refused(value):
    with pytest.raises(Invalid):
        bodies.moment({"t": value}, "t")


def test_ids_that_are_none_are_passed_over():
    good = "9f2c61d07b3e4c0fa1d2e3f405162738"
    assert [found.hex for found in bodies.ids({"ids": [good, "nonsense", 5, None]})] == [good]
    with pytest.raises(Invalid):
        bodies.ids({"ids": good})


# --- the signature ------------------------------------------------------------------------------------------


def test_the_published_signature():
    body = b'{"id":"t1","status":"completed","outputs":[]}'
    expected = "v3,ead3738b4c2b2327f8656da3c66c1ff14a35c6c96fd3ad65c3329d7189511caa"
    assert signature("whsec_demo0123456789", "evt0001", "1767225600", body) == expected
