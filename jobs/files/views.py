"""Addresses that serve files. Each authorises itself by its signature; there is no login and no cookie."""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass
from typing import BinaryIO
from uuid import UUID

from django.core.handlers.asgi import ASGIRequest
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseNotModified,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.utils.http import parse_etags, quote_etag
from django.views.decorators.http import require_safe

from jobs import storage
from jobs.files.ranges import AsyncSlice, SyncSlice, Unsatisfiable, parse
from jobs.models import Asset
from jobs.storage.backend import disposition
from jobs.storage.files import FileBackend
from jobs.storage.tokens import TokenExpired, TokenInvalid, check_file_token, unseal

# Only what a probe has called one of these is shown in a browser; anything else is a download of plain bytes.
SHOWN = ("image/", "audio/", "video/")
PLAIN = "application/octet-stream"
# Long enough to pause a film that was reached through a redirect to the store.
REDIRECT_SECONDS = 3600
MAX_CACHE_SECONDS = 24 * 3600
POLICY = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox"


def refused(status: int, code: str, message: str) -> HttpResponse:
    response = JsonResponse({"code": code, "message": message}, status=status)
    response["Cache-Control"] = "no-store"
    return response


@dataclass(frozen=True)
class Shown:
    """How a stored object is to appear in the answer."""

    content_type: str
    filename: str
    inline: bool
    etag: str
    cache_seconds: int


@require_safe
def asset_file(request: HttpRequest, asset_id: UUID, token: str, name: str) -> HttpResponseBase:
    """A customer's file by its stable address. `?download` saves it instead of showing it."""
    try:
        left = check_file_token(asset_id, token)
    except TokenInvalid:
        return refused(403, "file_address_invalid", "This file address is not valid.")
    except TokenExpired:
        return refused(403, storage.AddressExpired.code, storage.AddressExpired.message)
    asset = Asset.objects.filter(pk=asset_id).first()
    if asset is None:
        return refused(404, "file_unknown", "There is no such file.")
    if asset.deleted_at is not None:
        return refused(410, "file_deleted", "This file has been deleted.")
    return _serve(request, asset.key, _appearance(request, asset, name, left))


def _appearance(request: HttpRequest, asset: Asset, name: str, left: int) -> Shown:
    # Before the probe the type is the uploader's word, which could name a web page.
    known = asset.status == Asset.Status.READY and asset.content_type.startswith(SHOWN)
    return Shown(
        content_type=asset.content_type if known else PLAIN,
        filename=storage.safe_name(name),
        inline=known and "download" not in request.GET,
        etag=quote_etag(asset.sha256) if asset.sha256 else "",
        cache_seconds=min(left, MAX_CACHE_SECONDS) if known else 0,
    )


def _serve(request: HttpRequest, key: str, shown: Shown) -> HttpResponseBase:
    backend = storage.backend()
    if isinstance(backend, FileBackend):
        try:
            return stream(request, backend.open(key), shown)
        except FileNotFoundError:
            return refused(404, "file_unknown", "There is no such file.")
    if request.method == "HEAD":
        return _head(key, shown)
    url = storage.signed_get(
        key,
        seconds=REDIRECT_SECONDS,
        filename=shown.filename,
        inline=shown.inline,
        content_type=shown.content_type,
    )
    response = HttpResponseRedirect(url)
    # A player may come back for the next range; half the signature's life is left for it then.
    response["Cache-Control"] = f"private, max-age={min(shown.cache_seconds, REDIRECT_SECONDS // 2)}"
    return _headers(response)


def _head(key: str, shown: Shown) -> HttpResponseBase:
    """A signed GET address does not answer HEAD, so the store is asked from here."""
    size = storage.size(key)
    if size is None:
        return refused(404, "file_unknown", "There is no such file.")
    return _describe(HttpResponse(headers={"Content-Length": str(size)}), shown)


def stream(request: HttpRequest, file: BinaryIO, shown: Shown) -> HttpResponseBase:
    """A local file, whole or one range of it. Takes over the open file."""
    size = file.seek(0, 2)
    etag = shown.etag
    if etag and etag in parse_etags(request.headers.get("If-None-Match", "")):
        file.close()
        response: HttpResponseBase = HttpResponseNotModified()
        return _describe(response, shown)
    wanted = request.headers.get("Range", "")
    if request.headers.get("If-Range", etag) != etag:
        wanted = ""
    try:
        part = parse(wanted, size)
    except Unsatisfiable:
        file.close()
        response = refused(416, "range_unsatisfiable", "The file ends before this range.")
        response["Content-Range"] = f"bytes */{size}"
        return _headers(response)
    start, stop = part or (0, size)
    if request.method == "HEAD":
        file.close()
        response = HttpResponse()
    else:
        response = StreamingHttpResponse(_body(request, file, start, stop))
    if part:
        response.status_code = 206
        response["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    response["Content-Length"] = str(stop - start)
    return _describe(response, shown)


def _body(request: HttpRequest, file: BinaryIO, start: int, stop: int) -> AsyncSlice | SyncSlice:
    if isinstance(request, ASGIRequest):
        return AsyncSlice(file, start, stop)
    return SyncSlice(file, start, stop)


def _describe(response: HttpResponseBase, shown: Shown) -> HttpResponseBase:
    response["Content-Type"] = shown.content_type
    response["Content-Disposition"] = disposition(shown.filename, inline=shown.inline)
    response["Accept-Ranges"] = "bytes"
    response["Cache-Control"] = (
        f"private, max-age={shown.cache_seconds}" if shown.cache_seconds else "no-store"
    )
    if shown.etag:
        response["ETag"] = shown.etag
    return _headers(response)


def _headers(response: HttpResponseBase) -> HttpResponseBase:
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = POLICY
    # The address is the permission and no cookie counts, so customers' own pages may show and read the file.
    response["Cross-Origin-Resource-Policy"] = "cross-origin"
    response["Access-Control-Allow-Origin"] = "*"
    return response


def stored(request: HttpRequest, token: str) -> HttpResponseBase:
    """GET or HEAD of one object of the plain-file storage, by `storage.signed_get`."""
    try:
        content = unseal(token)
    except (TokenInvalid, TokenExpired):
        return refused(403, "address_refused", "This address is not valid (any more).")
    backend = storage.backend()
    if content["m"] != "get" or not isinstance(backend, FileBackend):
        return refused(403, "address_refused", "This address does not read files.")
    key = content["k"]
    guessed = content["t"] or mimetypes.guess_type(key)[0] or PLAIN
    known = guessed.startswith(SHOWN) and guessed != "image/svg+xml"
    shown = Shown(
        content_type=guessed if known else PLAIN,
        filename=content["n"] or storage.safe_name(key),
        inline=bool(content["i"]) and known,
        etag="",
        cache_seconds=0,
    )
    try:
        return stream(request, backend.open(key), shown)
    except FileNotFoundError:
        return refused(404, "file_unknown", "There is no such file.")
