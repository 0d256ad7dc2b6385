"""Our own webhooks as Standard Webhooks wants them: HMAC (`v1`) and Ed25519 (`v1a`) in one header."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

from accounts.models import Organization
from jobs import signing
from jobs.dialects.rest.reading import shown
from jobs.dialects.rest.wire import webhooks as wire
from jobs.models import Delivery, Job
from jobs.secrets import kept_secret
from jobs.webhooks import PREFIX, new_secret, secrets_of


def render(job: Job | None, delivery: Delivery) -> tuple[dict[str, str], bytes]:
    """Headers and body of one try. The id is the same on every try; the timestamp is of this one."""
    message = wire.message(delivery, shown([job])[0] if job else None)
    body = json.dumps(message, separators=(",", ":")).encode()
    timestamp = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "webhook-id": delivery.id.hex,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(
            signatures(delivery, f"{delivery.id.hex}.{timestamp}.".encode() + body)
        ),
    }
    return headers, body


def signatures(delivery: Delivery, content: bytes) -> list[str]:
    """By every secret that is good for this receiver, and by the installation's keys."""
    secrets = secrets_of(delivery.endpoint) if delivery.endpoint else [signing_secret(delivery.organization)]
    symmetric = [_text("v1", hmac.digest(_key(secret), content, hashlib.sha256)) for secret in secrets]
    return symmetric + [_text("v1a", signature) for signature in signing.sign(content)]


def signing_secret(organization: Organization) -> str:
    """The organization's secret for addresses that jobs name themselves, made when it is first asked for."""
    return kept_secret(organization, "rest", new_secret)


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(PREFIX))


def _text(version: str, signature: bytes) -> str:
    return f"{version},{base64.b64encode(signature).decode()}"
