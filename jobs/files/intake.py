"""PUT of one object into the plain-file storage, the stand-in for a store's presigned PUT."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase, UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from jobs import storage
from jobs.files.views import refused, stored
from jobs.storage.files import FileBackend
from jobs.storage.tokens import TokenExpired, TokenInvalid, unseal

CHUNK = 256 * 1024


class TooLarge(Exception):
    """More bytes than the address allows."""


class CutOff(Exception):
    """Fewer bytes than were announced."""


@csrf_exempt
@require_http_methods(["GET", "HEAD", "PUT"])
def storage_object(request: HttpRequest, token: str) -> HttpResponseBase:
    return take(request, token) if request.method == "PUT" else stored(request, token)


def take(request: HttpRequest, token: str) -> HttpResponse:
    """The statuses are those of an S3 store, except 413, which it cannot give."""
    try:
        content = unseal(token)
    except (TokenInvalid, TokenExpired):
        return refused(403, "address_refused", "This address is not valid (any more).")
    backend = storage.backend()
    if content["m"] != "put" or not isinstance(backend, FileBackend):
        return refused(403, "address_refused", "This address does not take files.")
    if content["t"] and request.headers.get("Content-Type", "").strip().lower() != content["t"].lower():
        return refused(403, "type_refused", f"Send this file as {content['t']}.")
    length = request.headers.get("Content-Length", "")
    if content.get("e") and length != str(content["b"]):
        return refused(403, "length_refused", f"Send exactly {content['b']} bytes, and say so beforehand.")
    if length.isdecimal() and int(length) > content["b"]:
        return refused(413, "file_too_large", "The file is larger than this address takes.")
    return _write(request, backend, content)


def _write(request: HttpRequest, backend: FileBackend, content: dict[str, Any]) -> HttpResponse:
    try:
        with backend.writing(content["k"], overwrite=bool(content["o"])) as file:
            for chunk in _capped(request, content["b"]):
                file.write(chunk)
    except FileExistsError:
        return refused(412, "file_exists", "This file has already been uploaded.")
    except TooLarge:
        return refused(413, "file_too_large", "The file is larger than this address takes.")
    except (CutOff, UnreadablePostError):
        return refused(400, "file_cut_off", "The upload ended before the whole file was here.")
    return HttpResponse(status=200)


def _capped(request: HttpRequest, most: int) -> Iterator[bytes]:
    size = 0
    for chunk in _chunks(request):
        size += len(chunk)
        if size > most:
            raise TooLarge
        yield chunk
    length = request.headers.get("Content-Length", "")
    if length.isdecimal() and size != int(length):
        raise CutOff


def _chunks(request: HttpRequest) -> Iterator[bytes]:
    """The body in pieces.

    Under WSGI Django takes a body without Content-Length for empty; a server that ends its stream says so.
    """
    source: Any = request
    if not isinstance(request, ASGIRequest) and "chunked" in request.headers.get("Transfer-Encoding", ""):
        if not request.META.get("wsgi.input_terminated"):
            raise CutOff
        source = request.META["wsgi.input"]
    while chunk := source.read(CHUNK):
        yield chunk
