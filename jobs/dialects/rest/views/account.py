"""The organization's money."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from billing import ledger
from jobs.dialects.rest.contract import Answer, operation
from jobs.dialects.rest.schemas import account as schemas
from jobs.dialects.rest.views.base import View


class Balance(View):
    read_scope = "billing:read"

    @operation(
        "getBalance", "See the balance", tag="Account", answers={200: Answer("The balance.", schemas.BALANCE)}
    )
    def get(self, request: Request) -> Response:
        now = ledger.balance(self.caller.organization)
        body = {"available_micros": now.available_micros, "held_micros": now.held_micros, "currency": "USD"}
        return Response(body)
