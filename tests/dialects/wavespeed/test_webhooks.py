"""What a receiver gets, checked as a receiver would: by code that knows only the vendor's documentation."""

from __future__ import annotations

import json
import time

import pytest
from django.test.utils import override_settings

from jobs.models import Delivery, Job
from jobs.sealed import SigningSecret
from jobs.secrets import SealBroken, seal, unseal
from tests.dialects.wavespeed.conftest import S2V
from tests.dialects.wavespeed.receiver import Receiver, verify
from tests.dialects.wavespeed.shapes import captured, missing
from tests.jobs import drive


def test_the_verifier_knows_the_published_vector():
    headers = {
        "webhook-id": "evt0001",
        "webhook-timestamp": "1767225600",
        "webhook-signature": "v3,ead3738b4c2b2327f8656da3c66c1ff14a35c6c96fd3ad65c3329d7189511caa",
    }
    body = b'{"id":"t1","status":"completed","outputs":[]}'
    assert verify("whsec_demo0123456789", headers, body, now=1767225600)
    assert not verify("whsec_demo0123456780", headers, body, now=1767225600)


@pytest.fixture
def receiver():
    found = Receiver()
    with override_settings(FETCH_ALLOW_HOSTS=[f"127.0.0.1:{found.port}"]):
        yield found
    found.close()


def secret_of(wave) -> str:
    return wave.get("/api/v3/webhook/secret").json()["data"]["secret"]


def run(wave, inputs, receiver, prompt: str = "") -> str:
    """Submits with a webhook, finishes the job, and makes one try to deliver."""
    body = {**inputs, "prompt": prompt, "resolution": "480p"}
    name = wave.post(f"{S2V}?webhook={receiver.url()}", body).json()["data"]["id"]
    drive.run_all()
    drive.tell()
    return name


def test_a_finished_video_is_told_and_signed(wave, inputs, receiver):
    name = run(wave, inputs, receiver)
    ((headers, body),) = receiver.got
    assert headers["Content-Type"] == "application/json"
    assert verify(secret_of(wave), headers, body, now=time.time())
    assert not verify(secret_of(wave), headers, body.replace(b"completed", b"failed"), now=time.time())
    told = json.loads(body)
    assert missing(told, captured("webhook")) == []
    assert (told["id"], told["status"], told["error"]) == (name, "completed", "")
    assert told["input"] == {**inputs, "prompt": "", "resolution": "480p"}
    assert told["outputs"][0].startswith("http://testserver/files/")
    assert Delivery.objects.get().status == Delivery.Status.DELIVERED


def test_a_failure_is_told_too(wave, inputs, receiver):
    run(wave, inputs, receiver, "[fake fail=face_not_found]")
    told = json.loads(receiver.got[0][1])
    assert (told["status"], told["error_code"], told["outputs"]) == ("failed", "face_not_found", [])
    assert told["error"]


def test_a_second_try_keeps_the_id_and_signs_anew(wave, inputs):
    receiver = Receiver(statuses=(503,))
    with override_settings(FETCH_ALLOW_HOSTS=[f"127.0.0.1:{receiver.port}"]):
        run(wave, inputs, receiver)
        delivery = Delivery.objects.get()
        assert delivery.status == Delivery.Status.DUE
        Delivery.objects.update(due_at=delivery.created_at)
        drive.tell()
    receiver.close()
    (first, one), (second, other) = receiver.got
    assert first["webhook-id"] == second["webhook-id"]
    assert all(verify(secret_of(wave), *sent, now=time.time()) for sent in ((first, one), (second, other)))


def test_each_organization_signs_with_its_own_secret(wave, stranger, inputs, receiver):
    run(wave, inputs, receiver)
    assert not verify(secret_of(stranger), *receiver.got[0], now=time.time())


def test_the_secret_is_sealed_and_survives_a_change_of_key(wave):
    secret = secret_of(wave)
    sealed = SigningSecret.objects.get().sealed
    assert secret not in sealed
    with override_settings(SECRET_KEY="another", SECRET_KEY_FALLBACKS=["a-secret-for-tests-only"]):
        assert unseal(sealed) == secret
    with override_settings(SECRET_KEY="another", SECRET_KEY_FALLBACKS=[]), pytest.raises(SealBroken):
        unseal(sealed)


def test_sealing_twice_gives_two_texts():
    assert seal("same") != seal("same")
    assert unseal(seal("same")) == "same"


def test_the_address_may_not_be_private(wave, inputs):
    answer = wave.post(f"{S2V}?webhook=http://127.0.0.1:9/hook", inputs)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "url_private")
    assert not Job.objects.exists()
