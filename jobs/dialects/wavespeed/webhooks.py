"""Webhooks as this API's callers know them: the bare prediction, signed with a secret of the organization."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time

from accounts.models import Organization
from jobs.dialects.wavespeed import predictions
from jobs.dialects.wavespeed.wire.predictions import with_echo
from jobs.dialects.wavespeed.wire.submissions import DIALECT
from jobs.models import Delivery, Job
from jobs.secrets import kept_secret

PREFIX = "whsec_"
VERSION = "v3"


def render(job: Job, delivery: Delivery) -> tuple[dict[str, str], bytes]:
    """Headers and body of one try. The id stays the same on every try, the timestamp is of this one."""
    body = json.dumps(with_echo(predictions.shown(job), job), separators=(",", ":")).encode()
    name, timestamp = delivery.id.hex, str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": timestamp,
        "webhook-signature": signature(signing_secret(job.organization), name, timestamp, body),
    }
    return headers, body


def signature(secret: str, name: str, timestamp: str, body: bytes) -> str:
    """The key is the text after `whsec_`, as it stands: it is not base64."""
    content = f"{name}.{timestamp}.".encode() + body
    digest = hmac.new(secret.removeprefix(PREFIX).encode(), content, hashlib.sha256).hexdigest()
    return f"{VERSION},{digest}"


def signing_secret(organization: Organization) -> str:
    """The organization's secret, made when it is first asked for."""
    return kept_secret(organization, DIALECT, lambda: PREFIX + secrets.token_hex(24))
