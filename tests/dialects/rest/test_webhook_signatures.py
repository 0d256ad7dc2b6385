"""Signatures, checked as receivers would: `v1` by the Standard Webhooks library, `v1a` from the published keys alone."""

from __future__ import annotations

import base64
import binascii
import json
import time

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.core.management import call_command
from django.test import Client
from django.test.utils import override_settings
from standardwebhooks import Webhook, WebhookVerificationError

from jobs.models import Delivery, WebhookEndpoint
from jobs.sealed import PlatformKey
from tests.dialects.rest.hooks import Hook
from tests.jobs import drive
from tests.jobs.database_clock import DatabaseClock

DAY = 86_400


@pytest.fixture
def hook():
    found = Hook()
    with override_settings(FETCH_ALLOW_HOSTS=[found.host]):
        yield found
    found.close()


@pytest.fixture
def endpoint(api, hook):
    return api.post("/v1/webhooks", {"url": hook.url}, format="json").json()


def pinged(api, endpoint, hook):
    assert api.post(f"/v1/webhooks/{endpoint['id']}/test").status_code == 202
    assert drive.tell() == 1
    return hook.got[-1]


def published() -> list[dict]:
    answer = Client().get("/.well-known/jwks.json")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/jwk-set+json")
    assert "max-age" in answer.headers["Cache-Control"]
    return answer.json()["keys"]


def checked_by(jwk: dict, headers: dict, body: bytes) -> bool:
    """A receiver that knows only the key set: does one of the v1a signatures stand?"""
    assert (jwk["kty"], jwk["crv"], jwk["alg"], jwk["use"]) == ("OKP", "Ed25519", "EdDSA", "sig")
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(jwk["x"] + "=="))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    for part in headers["webhook-signature"].split(" "):
        version, _, text = part.partition(",")
        try:
            if version == "v1a":
                public.verify(base64.b64decode(text, validate=True), signed)
                return True
        except (InvalidSignature, binascii.Error):
            continue
    return False


def accepts(secret: str, message) -> bool:
    try:
        Webhook(secret).verify(message.body, message.headers)
    except WebhookVerificationError:
        return False
    return True


def test_the_receivers_way_of_checking_knows_the_published_vector():
    """The example of the standard's own Go library."""
    private = Ed25519PrivateKey.from_private_bytes(b"TESTSIGNINGKEYDONOTUSETHISFORANY")
    x = base64.urlsafe_b64encode(private.public_key().public_bytes_raw()).rstrip(b"=").decode()
    jwk = {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "x": x}
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,AAAA v1a,"
        "tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag==",
    }
    assert checked_by(jwk, headers, b'{"test": 2432232314}')
    assert not checked_by(jwk, headers, b'{"test": 2432232315}')


def test_a_message_carries_both_signatures(api, endpoint, hook):
    message = pinged(api, endpoint, hook)
    assert accepts(endpoint["secret"], message)
    (key,) = published()
    assert checked_by(key, message.headers, message.body)
    assert not checked_by(key, message.headers, message.body.replace(b"ping", b"pong"))
    for name, other in (("webhook-id", "0" * 32), ("webhook-timestamp", str(int(time.time()) + 1))):
        assert not checked_by(key, {**message.headers, name: other}, message.body)
    versions = [part.partition(",")[0] for part in message.headers["webhook-signature"].split(" ")]
    assert versions == ["v1", "v1a"]
    assert message.headers["webhook-id"] == message.told["id"]
    assert message.headers["content-type"] == "application/json"
    assert not accepts(api.get("/v1/webhooks/secret").json()["secret"], message)


def test_every_endpoint_has_a_secret_of_its_own(api, endpoint, hook):
    other = api.post("/v1/webhooks", {"url": hook.url}, format="json").json()
    message = pinged(api, other, hook)
    assert accepts(other["secret"], message)
    assert not accepts(endpoint["secret"], message)


def test_a_jobs_own_address_gets_both_signatures_too(org, api, hook):
    drive.fund(org)
    drive.fake_route(org)
    inputs = {role: str(drive.asset(org, role).id) for role in ("image", "audio")}
    api.post("/v1/jobs", {"model": "wan-2.2-s2v", "inputs": inputs, "webhook_url": hook.url}, format="json")
    drive.run_all()
    drive.tell()
    (message,) = hook.got
    assert accepts(api.get("/v1/webhooks/secret").json()["secret"], message)
    assert checked_by(published()[0], message.headers, message.body)
    assert message.told["organization"] == str(org.pk)


def test_while_a_secret_is_replaced_both_are_good_and_then_the_new_one_alone(api, endpoint, hook):
    clock = DatabaseClock()
    path = f"/v1/webhooks/{endpoint['id']}/rotate"
    rotated = api.post(path, {"overlap_seconds": 3600}, format="json").json()
    assert rotated["secret"] != endpoint["secret"]
    message = pinged(api, endpoint, hook)
    assert accepts(endpoint["secret"], message)
    assert accepts(rotated["secret"], message)
    clock.advance(3601)
    message = pinged(api, endpoint, hook)
    assert not accepts(endpoint["secret"], message)
    assert accepts(rotated["secret"], message)
    at_once = api.post(path, {"overlap_seconds": 0}, format="json").json()
    message = pinged(api, endpoint, hook)
    assert [accepts(secret["secret"], message) for secret in (rotated, at_once)] == [False, True]
    assert "secret" not in api.get(f"/v1/webhooks/{endpoint['id']}").json()


@pytest.mark.parametrize("overlap", [-1, 604_801, "1", 1.5, True, None])
def test_an_overlap_has_bounds(api, endpoint, overlap):
    answer = api.post(f"/v1/webhooks/{endpoint['id']}/rotate", {"overlap_seconds": overlap}, format="json")
    assert (answer.status_code, answer.json()["field"]) == (422, "overlap_seconds")


def test_the_platforms_key_is_made_once_sealed_and_replaced_with_an_overlap(api, endpoint, hook):
    clock = DatabaseClock()
    (first,) = published()
    assert published() == [first]
    row = PlatformKey.objects.get()
    assert base64.urlsafe_b64encode(bytes(row.public)).decode().rstrip("=") == first["x"]

    call_command("rotate_webhook_key", overlap_hours=1)
    new, old = published()
    assert (old["kid"], new["kid"] != old["kid"]) == (first["kid"], True)
    message = pinged(api, endpoint, hook)
    assert checked_by(old, message.headers, message.body)
    assert checked_by(new, message.headers, message.body)

    clock.advance(3601)
    assert published() == [new]
    message = pinged(api, endpoint, hook)
    assert not checked_by(old, message.headers, message.body)
    assert checked_by(new, message.headers, message.body)


def test_a_secret_that_cannot_be_read_any_more_is_replaced(api, endpoint, hook):
    WebhookEndpoint.objects.update(sealed="gAAAAA")
    ping = api.post(f"/v1/webhooks/{endpoint['id']}/test").json()
    drive.tell()
    row = api.get(f"/v1/webhooks/deliveries/{ping['id']}").json()
    assert (row["payload"], row["status"]) == (None, "due")
    assert [entry["answer"] for entry in row["log"]] == ["The message could not be made."]
    assert api.get(f"/v1/webhooks/{endpoint['id']}").json()["failing_since"] is None  # our fault, not theirs
    new = api.post(f"/v1/webhooks/{endpoint['id']}/rotate", {}, format="json").json()
    Delivery.objects.update(due_at=Delivery.objects.get().created_at)
    drive.tell()
    assert accepts(new["secret"], hook.got[-1])


def test_a_key_that_cannot_be_opened_any_more_costs_no_delivery(api, endpoint, hook, caplog):
    published()
    PlatformKey.objects.update(sealed="gAAAAA")
    message = pinged(api, endpoint, hook)
    assert accepts(endpoint["secret"], message)
    assert "rotate it" in caplog.text
    assert json.loads(message.body)["type"] == "ping"
