"""The organization's money."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from billing import free, ledger
from billing.free_models import THOUSANDTHS
from jobs.dialects.rest.contract import Answer, operation
from jobs.dialects.rest.schemas import account as schemas
from jobs.dialects.rest.views.base import View


class Balance(View):
    read_scope = "billing:read"

    @operation(
        "getBalance", "See the balance", tag="Account", answers={200: Answer("The balance.", schemas.BALANCE)}
    )
    def get(self, request: Request) -> Response:
        """What can be spent, and what is free of each model before anything of it is paid."""
        now = ledger.balance(self.caller.organization)
        body = {
            "available_micros": now.available_micros,
            "held_micros": now.held_micros,
            "currency": "USD",
            "free": [_free(quota) for quota in free.quotas(self.caller.organization)],
        }
        return Response(body)


def _free(quota: free.Quota) -> dict[str, Any]:
    return {
        "model": quota.model,
        "unit": quota.unit,
        "units": quota.given / THOUSANDTHS,
        "held": quota.held / THOUSANDTHS,
        "used": quota.used / THOUSANDTHS,
        "left": quota.left / THOUSANDTHS,
    }
