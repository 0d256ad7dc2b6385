"""Request ids, the log of requests, and the content security policy."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.gzip import GZipMiddleware

from config.logs import request_id
from jobs import request_log

GetResponse = Callable[[HttpRequest], HttpResponse]
GIVEN_ID = re.compile(r"^[A-Za-z0-9._-]{8,64}$")

POLICY = (
    "default-src 'self'; img-src 'self' data: blob: {media}; media-src 'self' blob: {media}; connect-src 'self' {media}; "
    "style-src 'self'; script-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'self'{elsewhere}"
)


class RequestIdMiddleware:
    """Takes X-Request-Id if it is harmless, else makes one; puts it into the answer and into every log line."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-Id", "")
        name = given if GIVEN_ID.match(given) else secrets.token_hex(12)
        # where views find it: they know nothing of this room
        request.META["HTTP_X_REQUEST_ID"] = name
        token = request_id.set(name)
        try:
            response = self.get_response(request)
        finally:
            request_id.reset(token)
        response["X-Request-Id"] = name
        return response


class RequestLogMiddleware:
    """Notes what became of each request that a key made; see jobs.request_log."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        start = time.monotonic()
        response = self.get_response(request)
        request_log.note(request, response, seconds=time.monotonic() - start)
        return response


class PackedPagesMiddleware(GZipMiddleware):
    """Packs pages, which shrink to a fifth. Streams go out as they are: packing would hold their events back.

    Django pads what it packs by a random length, so that sizes tell nothing of a page's secrets.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if response.streaming or not response.get("Content-Type", "").startswith("text/html"):
            return response
        return super().process_response(request, response)


class ContentSecurityPolicyMiddleware:
    """A strict policy on every page. Media may come from the object store, whose host signed addresses name."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.console = f"/{settings.CONSOLE_PATH}"
        # Browsers hold form-action against the redirect that follows a form, too.
        paying = ["https://checkout.stripe.com", "https://billing.stripe.com"]
        elsewhere = [*settings.SIGN_IN_ORIGINS, *(paying if settings.STRIPE_SECRET_KEY else ())]
        self.policy = POLICY.format(
            media=settings.S3_PUBLIC_ENDPOINT, elsewhere="".join(f" {place}" for place in elsewhere)
        )

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not request.path.startswith(self.console):  # its pages evaluate expressions and carry styles
            response.setdefault("Content-Security-Policy", self.policy)
        return response
