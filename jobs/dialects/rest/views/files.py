"""Files of the customer."""

from __future__ import annotations

from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from jobs import uploads
from jobs.bodies import BoundedMultipart
from jobs.dialects.rest.contract import Answer, operation
from jobs.dialects.rest.errors import FILE_CODES
from jobs.dialects.rest.reading import address
from jobs.dialects.rest.schemas import files as schemas
from jobs.dialects.rest.views.base import View
from jobs.dialects.rest.wire import files as files_wire
from jobs.errors import Invalid, NotFound
from jobs.models import Asset


class Files(View):
    parser_classes = [BoundedMultipart]
    write_scope = "files:write"

    @operation(
        "uploadFile",
        "Upload a file",
        tag="Files",
        body=schemas.UPLOAD,
        body_type="multipart/form-data",
        answers={201: Answer("The file, looked into.", schemas.FILE)},
        refusals=(*FILE_CODES, "storage_unavailable"),
    )
    def post(self, request: Request) -> Response:
        """A picture, a recording or a video. It is looked into at once; what cannot be used is refused here."""
        file = request.FILES.get("file")
        if file is None:
            raise Invalid("parameter_missing", "Send the file as the multipart field 'file'.", field="file")
        row = uploads.store(self.caller.organization, file=file, filename=file.name or "file", by=self.caller)
        row.refresh_from_db(fields=["created_at"])
        return Response(files_wire.file(row, address(row)), status=201)


class OneFile(View):
    @operation(
        "getFile",
        "Look at a file",
        tag="Files",
        answers={200: Answer("The file, with a fresh address.", schemas.FILE)},
        refusals=("file_not_found", "not_found"),
    )
    def get(self, request: Request, file_id: UUID) -> Response:
        row = Asset.objects.for_org(self.caller.organization).live().filter(pk=file_id).first()
        if row is None:
            raise NotFound("file_not_found", "There is no such file.")
        return Response(files_wire.file(row, address(row)))
