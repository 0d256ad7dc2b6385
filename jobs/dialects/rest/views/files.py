"""Files of the customer."""

from __future__ import annotations

from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from jobs import uploads
from jobs.bodies import BoundedMultipart
from jobs.dialects.rest.reading import address
from jobs.dialects.rest.views.base import View
from jobs.dialects.rest.wire import files as files_wire
from jobs.errors import Invalid, NotFound
from jobs.models import Asset


class Files(View):
    parser_classes = [BoundedMultipart]
    write_scope = "files:write"

    def post(self, request: Request) -> Response:
        file = request.FILES.get("file")
        if file is None:
            raise Invalid("parameter_missing", "Send the file as the multipart field 'file'.", field="file")
        row = uploads.store(self.caller.organization, file=file, filename=file.name or "file", by=self.caller)
        return Response(files_wire.file(row, address(row)), status=201)


class OneFile(View):
    def get(self, request: Request, file_id: UUID) -> Response:
        row = Asset.objects.for_org(self.caller.organization).live().filter(pk=file_id).first()
        if row is None:
            raise NotFound("file_not_found", "There is no such file.")
        return Response(files_wire.file(row, address(row)))
