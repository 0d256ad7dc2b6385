"""What was used."""

from __future__ import annotations

from datetime import UTC
from uuid import UUID

from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from billing import usage
from jobs.dialects.rest.contract import Answer, operation
from jobs.dialects.rest.schemas import usage as schemas
from jobs.dialects.rest.schemas.parts import DATE, listed, text
from jobs.dialects.rest.schemas.parts import UUID as AN_ID
from jobs.dialects.rest.views.base import View
from jobs.dialects.rest.wire import usage as wire
from jobs.errors import Invalid

CSV = "text/csv"
MOST_ROWS = 10_000


class Usage(View):
    read_scope = "billing:read"

    @operation(
        "getUsage",
        "See what was used",
        tag="Account",
        query={
            "from": {**DATE, "description": "The first day, in UTC; the first of `to`'s month if left out."},
            "to": {**DATE, "description": "The last day, included; today if left out."},
            "group_by": listed(
                schemas.GROUP,
                minItems=1,
                maxItems=3,
                default=["day"],
                description="Once for each; by day if left out.",
            ),
            "model": text(80, 1, description="Only this model, or picture check."),
            "key": {**AN_ID, "title": "the id of an API key", "description": "Only this API key."},
        },
        answers={
            200: Answer(
                "What was charged; with `Accept: text/csv` a table.", schemas.USAGE, media={CSV: schemas.CSV}
            )
        },
        refusals=("usage_too_large",),
    )
    def get(self, request: Request) -> Response | HttpResponse:
        """By day, model and key, at most 366 days at once. The sums are those of the ledger's captures."""
        asked = wire.span(self.query, timezone.now().astimezone(UTC).date())
        by = self.query["group_by"]
        rows = usage.grouped(
            self.caller.organization,
            asked.start,
            asked.end,
            by,
            model=self.query.get("model"),
            key_id=UUID(self.query["key"]) if "key" in self.query else None,
            most=MOST_ROWS + 1,
        )
        if len(rows) > MOST_ROWS:
            message = f"This has more than {MOST_ROWS} entries: ask for fewer days, or group by less."
            raise Invalid("usage_too_large", message, field="from")
        shown = wire.usage(asked, by, rows)
        if CSV in request.headers.get("Accept", ""):
            return HttpResponse(wire.table(shown), content_type=f"{CSV}; charset=utf-8")
        return Response(shown)
