"""Files of the customer."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from jobs import gallery, uploads
from jobs.bodies import BoundedMultipart
from jobs.dialects.rest.contract import Answer, operation
from jobs.dialects.rest.errors import FILE_CODES
from jobs.dialects.rest.reading import address
from jobs.dialects.rest.schemas import files as schemas
from jobs.dialects.rest.schemas.parts import UUID as AN_ID
from jobs.dialects.rest.views.base import View, limit
from jobs.dialects.rest.wire import files as files_wire
from jobs.errors import Invalid, NotFound
from jobs.models import Asset

MISSING = ("file_not_found", "not_found")


class FileView(View):
    write_scope = "files:write"

    def file(self, file_id: UUID) -> Asset:
        row = Asset.objects.for_org(self.caller.organization).live().filter(pk=file_id).first()
        if row is None:
            raise NotFound("file_not_found", "There is no such file.")
        return row


class Files(FileView):
    parser_classes = [BoundedMultipart]

    @operation(
        "listFiles",
        "List files",
        tag="Files",
        query={
            "after": {**AN_ID, "title": "the id of a file", "description": "The `next` of the page before."},
            "limit": limit(),
        },
        answers={200: Answer("A page of files, the newest first.", schemas.FILES)},
    )
    def get(self, request: Request) -> Response:
        """What was uploaded or fetched, what was announced, and the outputs of jobs."""
        rows = Asset.objects.for_org(self.caller.organization).live().order_by("-id")
        if after := self.query.get("after"):
            rows = rows.filter(pk__lt=after)
        most = self.query["limit"]
        page = list(rows[: most + 1])
        data = [files_wire.file(row, address(row)) for row in page[:most]]
        more = len(page) > most
        return Response({"data": data, "has_more": more, "next": data[-1]["id"] if more else None})

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


class Tickets(FileView):
    @operation(
        "createUploadTicket",
        "Announce a file",
        tag="Files",
        body=schemas.ANNOUNCED,
        answers={201: Answer("Where to send it.", schemas.TICKET)},
        refusals=("file_too_large", "storage_full", "content_type_invalid", "storage_unavailable"),
    )
    def post(self, request: Request) -> Response:
        """For files that should not pass through here: the address leads straight to the store. It takes exactly the
        announced number of bytes, once, within the hour; then complete the file, or use it right away. What is not
        sent in time is forgotten.
        """
        size = int(self.body["bytes"])
        try:
            row, put = uploads.ticket(
                self.caller.organization,
                filename=self.body["filename"],
                size=size,
                content_type=self.body.get("content_type", ""),
                sha256=self.body.get("sha256", ""),
                exact=True,
                by=self.caller,
            )
        except Invalid as refusal:
            field = "bytes" if refusal.field == "size" else refusal.field
            raise Invalid(refusal.code, refusal.message, field=field) from None
        row.refresh_from_db(fields=["created_at"])
        ends = row.created_at + timedelta(seconds=uploads.TICKET_SECONDS)
        return Response(files_wire.ticket(row, address(row), put, ends), status=201)


class Complete(FileView):
    @operation(
        "completeFile",
        "Complete an announced file",
        tag="Files",
        answers={200: Answer("The file: ready, or refused with its reasons.", schemas.FILE)},
        refusals=(*MISSING, "file_not_uploaded", "probe_timeout", "probe_crashed", "storage_unavailable"),
    )
    def post(self, request: Request, file_id: UUID) -> Response:
        """Looks into it now that its bytes are there. Again: nothing changes. A file that nobody completes is looked into
        when it is first used.
        """
        row = uploads.complete(self.file(file_id))
        return Response(files_wire.file(row, address(row)))


class OneFile(FileView):
    @operation(
        "getFile",
        "Look at a file",
        tag="Files",
        answers={200: Answer("The file, with a fresh address.", schemas.FILE)},
        refusals=MISSING,
    )
    def get(self, request: Request, file_id: UUID) -> Response:
        row = self.file(file_id)
        return Response(files_wire.file(row, address(row)))

    @operation(
        "deleteFile",
        "Delete a file",
        tag="Files",
        answers={204: Answer("It is gone.")},
        refusals=(*MISSING, "file_in_use", "file_is_output", "storage_unavailable"),
    )
    def delete(self, request: Request, file_id: UUID) -> Response:
        """Not while a job that has not ended needs it. The outputs of a job go with the job."""
        gallery.delete_file(self.file(file_id))
        return Response(status=204)
