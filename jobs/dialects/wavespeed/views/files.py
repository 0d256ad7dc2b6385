"""Files come in: by ticket straight into storage, or as a form."""

from __future__ import annotations

import mimetypes
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.auth import needs
from jobs import bodies, storage, uploads
from jobs.dialects.wavespeed.views.base import View, success
from jobs.dialects.wavespeed.wire import bodies as wire
from jobs.errors import Invalid
from jobs.models import Asset


class Ticket(View):
    permission_classes = [needs("files:write")]

    def post(self, request: Request) -> Response:
        body = self.body
        asset, put = uploads.ticket(
            self.caller.organization,
            filename=wire.text(body, "filename") or "upload",
            size=wire.size(body),
            content_type=wire.text(body, "content_type"),
            by=self.caller,
        )
        upload = {"method": "PUT", "url": put.url, "headers": dict(put.headers)}
        return success({**described(asset), "upload": upload})


class Upload(View):
    """A file in the form field `file`, looked into at once."""

    permission_classes = [needs("files:write")]
    parser_classes = [bodies.BoundedMultipart]

    def kept(self) -> Asset:
        file = self.request.FILES.get("file")
        if file is None:
            raise Invalid("parameter_missing", "Send the file as the form field `file`.", field="file")
        return uploads.store(
            self.caller.organization,
            file=file,
            filename=file.name or "upload",
            content_type=(file.content_type or "") if file.content_type != "application/octet-stream" else "",
            by=self.caller,
        )

    def post(self, request: Request) -> Response:
        return success(described(self.kept()))


class PlainUpload(Upload):
    """The same, with the oldest answer."""

    def post(self, request: Request) -> Response:
        asset = self.kept()
        return success({"url": storage.asset_url(asset.id, asset.filename)})


def described(asset: Asset) -> dict[str, Any]:
    guess = (
        asset.kind
        or (asset.content_type or mimetypes.guess_type(asset.filename)[0] or "file").partition("/")[0]
    )
    return {
        "type": guess,
        "filename": asset.filename,
        "size": asset.bytes,
        "download_url": storage.asset_url(asset.id, asset.filename),
    }
