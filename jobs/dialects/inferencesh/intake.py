"""Files on their way in.

The SDK puts a file with its type as the only header, so a store could not be told to refuse a second file under
the same address: it comes through us, once. Also here: `data:` addresses, and prompts that the SDK took for base64.
"""

from __future__ import annotations

import base64
import hashlib
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from django.conf import settings
from django.core import signing
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from accounts.tenancy import Caller
from jobs import storage, uploads
from jobs.dialects.inferencesh import faults
from jobs.dialects.inferencesh.wire.files import Announced
from jobs.dialects.inferencesh.wire.problems import Problem
from jobs.models import Asset

SALT = "jobs.dialects.inferencesh.upload"
CHUNK = 256 * 1024
OCTETS = "application/octet-stream"
# A prompt of 2,000 base64 letters carries this many bytes.
PROMPT_BYTES = 1500


def announce(caller: Caller, file: Announced) -> tuple[Asset, str]:
    """The file's Asset, pending, and the address that takes its bytes once."""
    asset, _ = uploads.ticket(
        caller.organization,
        filename=file.filename,
        size=file.size,
        content_type=file.content_type,
        by=caller,
    )
    token = signing.TimestampSigner(salt=SALT).sign_object(asset.id.hex)
    return asset, f"{settings.PUBLIC_URL}/uploads/{token}"


@csrf_exempt
@require_http_methods(["PUT"])
def upload(request: HttpRequest, token: str) -> HttpResponse:
    """The bytes of an announced file. The same ones again are fine, others are not."""
    try:
        name = signing.TimestampSigner(salt=SALT).unsign_object(token, max_age=uploads.TICKET_SECONDS)
        asset = Asset.objects.live().filter(pk=UUID(name)).first()
    except (signing.BadSignature, ValueError):
        asset = None
    if asset is None:
        return faults.response(Problem(403, "forbidden", "This address is not valid (any more)."))
    sent_type = request.headers.get("Content-Type", "").strip().lower()
    if asset.content_type and asset.status == Asset.Status.PENDING and sent_type != asset.content_type:
        return _refused(400, f"Send this file as {asset.content_type}, as it was announced.")
    if request.headers.get("Content-Length", "") != str(asset.bytes):
        return _refused(400, f"Send exactly the {asset.bytes} bytes that were announced.")
    with tempfile.TemporaryDirectory(prefix="voicereel-upload-") as folder:
        path = Path(folder) / "file"
        try:
            size, digest = _copied(request, path)
        except UnreadablePostError:
            size, digest = -1, ""
        if size != asset.bytes:
            return _refused(400, "The upload ended before the whole file was here.")
        return _keep(asset, path, digest)


def _copied(request: HttpRequest, path: Path) -> tuple[int, str]:
    digest = hashlib.sha256()
    size = 0
    with path.open("wb") as file:
        while chunk := request.read(CHUNK):
            size += len(chunk)
            digest.update(chunk)
            file.write(chunk)
    return size, digest.hexdigest()


def _keep(asset: Asset, path: Path, digest: str) -> HttpResponse:
    # Whoever writes the digest first owns the file; a second sender with other bytes touches no row.
    mine = Asset.objects.filter(pk=asset.pk, sha256="", status=Asset.Status.PENDING)
    if not mine.update(sha256=digest):
        if Asset.objects.filter(pk=asset.pk, sha256=digest).exists():
            return HttpResponse(status=200)
        return faults.response(Problem(412, "conflict", "This file has already been uploaded."))
    try:
        storage.put(asset.key, path, content_type=asset.content_type or OCTETS)
    except storage.StorageUnavailable:
        Asset.objects.filter(pk=asset.pk, sha256=digest).update(sha256="")
        return faults.response(faults.STORE_AWAY)
    return HttpResponse(status=200)


def _refused(status: int, detail: str) -> HttpResponse:
    return faults.response(Problem(status, "invalid_request", detail))


def inputs(caller: Caller, given: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The inputs with every `data:` address kept as a file of ours; under one Idempotency-Key, once."""
    return {role: _input(caller, role, value, key) for role, value in given.items()}


def _input(caller: Caller, role: str, value: str, key: str) -> str:
    if not uploads.is_data(value):
        return value
    if not key:
        return str(uploads.store_data(caller, value, role=role).pk)
    # Derived, so that a request that is sent again names the same file and counts as the same.
    digest = hashlib.sha256(value.encode()).hexdigest()
    name = uuid5(NAMESPACE_URL, f"{caller.organization.pk}/{key}/{role}/{digest}")
    if not Asset.objects.filter(pk=name).exists():
        with suppress(IntegrityError):  # another one of the same request was faster
            uploads.store_data(caller, value, role=role, asset_id=name)
    return str(name)


def prompt(caller: Caller, text: Any) -> Any:
    """The prompt as its author wrote it.

    The SDK takes a text of 16 or more base64 letters in fours for a file, uploads what it decodes to, and sends the
    file's address as the prompt. Encoding those bytes again gives back the very same letters.
    """
    if not isinstance(text, str):
        return text
    try:
        asset_id = storage.asset_id_of(text)
    except storage.AddressExpired:
        return text
    asset = (
        Asset.objects.for_org(caller.organization).live().filter(pk=asset_id).first() if asset_id else None
    )
    if asset is None or asset.bytes > PROMPT_BYTES or storage.size(asset.key) != asset.bytes:
        return text
    with storage.open(asset.key) as file:
        return base64.b64encode(file.read()).decode()
