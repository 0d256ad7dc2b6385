"""Webhooks of jobs submitted through `/v1`, as Standard Webhooks (HMAC, `v1`) wants them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time

from accounts.models import Organization
from jobs.dialects.rest.reading import shown
from jobs.models import Delivery, Job
from jobs.secrets import kept_secret

PREFIX = "whsec_"
SECRET_BYTES = 32


def render(job: Job, delivery: Delivery) -> tuple[dict[str, str], bytes]:
    """Headers and body of one try. The id is the event's, the same on every try; the timestamp is of this one."""
    event = {"id": delivery.id.hex, "type": f"job.{job.status}", "data": shown([job])[0]}
    body = json.dumps(event, separators=(",", ":")).encode()
    timestamp = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "webhook-id": delivery.id.hex,
        "webhook-timestamp": timestamp,
        "webhook-signature": signature(signing_secret(job.organization), delivery.id.hex, timestamp, body),
    }
    return headers, body


def signature(secret: str, name: str, timestamp: str, body: bytes) -> str:
    """The key is the base64 after `whsec_`, decoded."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    digest = hmac.digest(key, f"{name}.{timestamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode()


def signing_secret(organization: Organization) -> str:
    """The organization's secret, made when it is first asked for."""
    fresh = base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    return kept_secret(organization, "rest", lambda: PREFIX + fresh)
