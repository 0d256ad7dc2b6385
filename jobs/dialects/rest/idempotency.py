"""A request that is sent twice is done once: the first answer is kept for a day under its Idempotency-Key.

Only what went well is kept. A refusal changed nothing, so the same request may be tried again under its key.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from celery import shared_task
from django.core.files.uploadedfile import UploadedFile
from django.db import connection
from django.db.models.functions import Now
from django.http import HttpResponse, HttpResponseBase
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.tenancy import Caller
from jobs.errors import Conflict, Invalid
from jobs.kept import KeptAnswer
from jobs.secrets import SealBroken, seal, unseal

log = logging.getLogger(__name__)

JSON = "application/json"
HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
MAX_KEY = 255
SHAPE = re.compile(rf"[\x20-\x7e]{{1,{MAX_KEY}}}", re.ASCII)
# Longer than any request may take: a look at a large file, a long `Prefer: wait`.
LEASE_SECONDS = 180
KEPT_HOURS = 24
AGAIN_SECONDS = 1
BATCH = 1000

# Taken over: what has expired, and the same request again when whoever was at work on it has died.
CLAIM = """
INSERT INTO jobs_keptanswer AS kept
    (organization_id, key_id, idempotency_key, request, body_hash, headers, sealed, fence, lease_until, expires_at)
VALUES (%(organization)s, %(key)s, %(name)s, %(request)s, %(body)s, '{}', '', 1,
    statement_timestamp() + make_interval(secs => %(lease)s),
    statement_timestamp() + make_interval(hours => %(hours)s))
ON CONFLICT (key_id, idempotency_key) DO UPDATE SET
    request = excluded.request, body_hash = excluded.body_hash, status = NULL, headers = '{}', sealed = '',
    fence = kept.fence + 1, lease_until = excluded.lease_until, expires_at = excluded.expires_at
WHERE kept.expires_at < statement_timestamp()
    OR (kept.status IS NULL AND kept.lease_until < statement_timestamp()
        AND (kept.request, kept.body_hash) = (excluded.request, excluded.body_hash))
RETURNING id, fence
"""


class InProgress(Conflict):
    """The first request with this key has not been answered yet."""

    retry_after = AGAIN_SECONDS

    def __init__(self) -> None:
        message = f"The first request with this {HEADER} is still at work; repeat it in a moment."
        super().__init__("idempotency_in_progress", message, field=HEADER, retryable=True)


@dataclass(frozen=True)
class Claim:
    """The right to do a request and to keep its answer, as long as nobody raised the fence."""

    id: int
    fence: int

    def keep(self, response: HttpResponseBase) -> None:
        body = JSONRenderer().render(response.data) if isinstance(response, Response) else b""
        KeptAnswer.objects.filter(pk=self.id, fence=self.fence).update(
            status=response.status_code,
            headers={name: value for name, value in response.items() if name != "Content-Type"},
            sealed=seal(body.decode()),
            lease_until=None,
        )

    def let_go(self) -> None:
        KeptAnswer.objects.filter(pk=self.id, fence=self.fence).delete()


def once(caller: Caller, request: Request, do: Callable[[], HttpResponseBase]) -> HttpResponseBase:
    """What `do` answers, or what it answered before. Raises Conflict: another request under this key, or the same one
    still at work.
    """
    name = request.headers.get(HEADER)
    if name is None:
        return do()
    if not SHAPE.fullmatch(name):
        message = f"{HEADER} must be a text of 1 to {MAX_KEY} characters of ASCII."
        raise Invalid("parameter_invalid", message, field=HEADER)
    what, body = f"{request.method} {request.path}", body_hash(request)
    claim = _claim(caller, name, what, body)
    return _earlier(caller, name, what, body) if claim is None else _done(claim, do)


def _done(claim: Claim, do: Callable[[], HttpResponseBase]) -> HttpResponseBase:
    try:
        response = do()
    except BaseException:
        claim.let_go()
        raise
    claim.keep(response)
    return response


def _claim(caller: Caller, name: str, what: str, body: str) -> Claim | None:
    assert caller.key is not None
    values: dict[str, Any] = {"organization": caller.organization.pk, "key": caller.key.pk, "name": name}
    values |= {"request": what, "body": body, "lease": LEASE_SECONDS, "hours": KEPT_HOURS}
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, values)
        row = cursor.fetchone()
    return Claim(*row) if row else None


def _earlier(caller: Caller, name: str, what: str, body: str) -> HttpResponse:
    kept = (
        KeptAnswer.objects.for_org(caller.organization).filter(key=caller.key, idempotency_key=name).first()
    )
    if kept is not None and (kept.request, kept.body_hash) != (what, body):
        message = f"This {HEADER} was used with a different request."
        raise Conflict("idempotency_conflict", message, field=HEADER)
    if kept is None or kept.status is None:
        raise InProgress
    try:
        answer = HttpResponse(
            unseal(kept.sealed), status=kept.status, headers=kept.headers, content_type=JSON
        )
    except SealBroken:
        message = f"The answer under this {HEADER} can no longer be read; use a new key."
        raise Conflict("idempotency_conflict", message, field=HEADER) from None
    if not answer.content:
        del answer["Content-Type"]
    answer[REPLAYED] = "true"
    return answer


def body_hash(request: Request) -> str:
    """Of what was sent, not of how: a form's boundary is another at each try, and a file is read piece by piece."""
    digest = hashlib.sha256(request.META.get("QUERY_STRING", "").encode())
    for part in _parts(request):
        digest.update(part)
    return digest.hexdigest()


def _parts(request: Request) -> Iterator[bytes]:
    data: Any = request.data
    if not hasattr(data, "lists"):
        yield json.dumps(data, sort_keys=True).encode()
        return
    for name, values in sorted(data.lists()):
        for value in values:
            if not isinstance(value, UploadedFile):
                yield json.dumps([name, value]).encode()
                continue
            yield json.dumps([name, value.name, value.size, value.content_type]).encode()
            yield from value.chunks()
            value.seek(0)


def forget() -> int:
    """Delete the answers whose day is over; how many."""
    gone = 0
    while True:
        expired = KeptAnswer.objects.filter(expires_at__lt=Now()).values("pk")[:BATCH]
        count, _ = KeptAnswer.objects.filter(pk__in=expired).delete()
        gone += count
        if count < BATCH:
            return gone


@shared_task(name="jobs.forget_answers")
def forget_task() -> None:
    forget()
