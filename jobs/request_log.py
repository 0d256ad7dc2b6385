"""The log of what programmes asked: noted in memory, told to Redis in batches, written to its table by the sweeper.

A request with a key costs an entry in a list and nothing else: no statement, no word to Redis. Neither bodies nor
queries nor headers are in it. It is a log, not the books: what a process that is killed noted in its last half second
is lost, and so is what was asked while Redis was away.
"""

from __future__ import annotations

import atexit
import json
import logging
import re
import threading
import time
from collections import deque
from datetime import timedelta
from functools import cache
from typing import Any

import redis
from celery import shared_task
from django.conf import settings
from django.db import DataError, connection, transaction
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from accounts.shortcut import shortcut
from accounts.tenancy import Caller
from jobs.requested import ApiRequest
from jobs.types import least_id, new_id

log = logging.getLogger(__name__)

LIST = "requests"
# What a process keeps until the next batch, and Redis until the sweeper comes; beyond that the oldest are dropped.
MOST_IN_MEMORY = 20_000
MOST_IN_REDIS = 200_000
PAUSE_SECONDS = 0.5
BATCH = 1000
BATCHES = 5
DELETED_AT_ONCE = 5000
PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>|\^\(\?P<(\w+)>.*\)\$$")
LONGEST_CODE = 64

WRITE = """
INSERT INTO jobs_apirequest
    (id, organization_id, key_id, request_id, method, path, status, code, duration_ms, address, at)
SELECT id, organization, key, request_id, method, path, status, code, ms, address, to_timestamp(at)
FROM jsonb_to_recordset(%s::jsonb) AS line(id uuid, organization uuid, key uuid, request_id text, method text,
     path text, status int, code text, ms int, address inet, at double precision)
ON CONFLICT (id) DO NOTHING
"""

_noted: deque[dict[str, Any]] = deque(maxlen=MOST_IN_MEMORY)
_teller: list[threading.Thread] = []
_starting = threading.Lock()


def note(request: HttpRequest, response: HttpResponseBase, *, seconds: float) -> None:
    """Keep what became of a request, if a key let it in: nobody else's belongs to an organization."""
    caller = getattr(request, "auth", None)
    if not isinstance(caller, Caller) or caller.key is None or not settings.REQUEST_LOG_DAYS:
        return
    route = request.resolver_match.route if request.resolver_match else ""
    _noted.append(
        {
            "id": new_id(),
            "organization": caller.organization.pk,
            "key": caller.key.pk,
            "request_id": request.META.get("HTTP_X_REQUEST_ID", ""),
            "method": (request.method or "")[:10],
            "path": template(route),
            "status": response.status_code,
            "code": _code(response),
            "ms": round(seconds * 1000),
            "address": caller.address,
            "at": time.time() - seconds,
        }
    )
    if not _teller:
        _start()


@cache
def template(route: str) -> str:
    """A route as the documents write it: /v1/jobs/{job_id}. What was asked for by name stays out of the log."""
    return "/" + PARAMETER.sub(lambda found: "{" + (found[1] or found[2]) + "}", route)


def flush() -> None:
    """Tell Redis what this process has noted. Dropped where Redis is away: memory is not for keeping it."""
    lines: list[str] = []
    while _noted:
        lines.append(json.dumps(_noted.popleft(), default=str))

    def tell(store: redis.Redis) -> None:
        with store.pipeline(transaction=False) as pipe:
            pipe.rpush(LIST, *lines)
            pipe.ltrim(LIST, -MOST_IN_REDIS, -1)
            pipe.execute()

    if lines:
        shortcut().ask(tell, None)


def drain() -> int:
    """Write what waits in Redis to the table; how many lines. One process does so at a time: the leading sweeper."""
    count = 0
    for _ in range(BATCHES):
        lines: Any = shortcut().ask(_first, None)
        if not lines:
            break
        try:
            # Written before it is taken away; whoever dies in between writes the same ids again.
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(WRITE, [f"[{b','.join(lines).decode()}]"])
        except DataError:
            log.exception("%d lines of the request log could not be written; they are dropped", len(lines))
        written = len(lines)
        shortcut().ask(lambda store: store.ltrim(LIST, written, -1), None)  # noqa: B023  called at once
        count += written
        if written < BATCH:
            break
    return count


def _first(store: redis.Redis) -> Any:
    return store.lrange(LIST, 0, BATCH - 1)


def forget() -> int:
    """Delete what is older than REQUEST_LOG_DAYS, and of each organization all but the newest REQUEST_LOG_ROWS."""
    before = timezone.now() - timedelta(days=settings.REQUEST_LOG_DAYS)
    count = _delete(ApiRequest.objects.filter(pk__lt=least_id(before)))
    most = settings.REQUEST_LOG_ROWS
    totals = ApiRequest.objects.values_list("organization_id").annotate(n=Count("pk"))
    for organization_id, _ in totals.filter(n__gt=most).order_by():
        mine = ApiRequest.objects.filter(organization_id=organization_id)
        oldest = mine.order_by("-id").values_list("pk", flat=True)[most]
        count += _delete(mine.filter(pk__lte=oldest))
    return count


def _delete(rows: QuerySet[ApiRequest]) -> int:
    count = 0
    while found := list(rows.order_by("id").values_list("pk", flat=True)[:DELETED_AT_ONCE]):
        count += ApiRequest.objects.filter(pk__in=found).delete()[0]
    return count


def _code(response: HttpResponseBase) -> str:
    """The dialect's own word for a refusal; numbers say no more than the status."""
    data = getattr(response, "data", None)
    code = data.get("code") if response.status_code >= 400 and isinstance(data, dict) else ""  # noqa: PLR2004  HTTP's errors
    return code[:LONGEST_CODE] if isinstance(code, str) else ""


def _start() -> None:
    with _starting:
        if not _teller:
            thread = threading.Thread(target=_tell, daemon=True, name="request-log")
            _teller.append(thread)
            thread.start()
            atexit.register(flush)


def _tell() -> None:
    while True:
        time.sleep(PAUSE_SECONDS)
        try:
            flush()
        except Exception:
            log.exception("the request log could not be told")


@shared_task(name="jobs.forget_requests")
def forget_task() -> None:
    forget()
