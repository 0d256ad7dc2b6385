"""Balance, usage, bills, the webhooks' secret."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.auth import needs
from billing import ledger, usage
from billing.money import to_number
from jobs.dialects.wavespeed import bills, webhooks
from jobs.dialects.wavespeed.views.base import View, known_model, success
from jobs.dialects.wavespeed.wire import bodies as wire
from jobs.errors import Invalid


class Balance(View):
    permission_classes = [needs("billing:read")]

    def get(self, request: Request) -> Response:
        available = ledger.balance(self.caller.organization).available_micros
        return success({"balance": to_number(available), "currency": "USD"})


class Usage(View):
    permission_classes = [needs("billing:read")]

    def post(self, request: Request) -> Response:
        path = wire.text(self.body, "model_uuid", "model_id")
        start, end = wire.moment(self.body, "start_time"), wire.moment(self.body, "end_time")
        slug = known_model(path).slug if path else None
        return success(bills.usage_stats(self.caller.organization, start, end, slug))


class Billings(View):
    permission_classes = [needs("billing:read")]

    def post(self, request: Request) -> Response:
        page, size = wire.page(self.body)
        path, word = wire.text(self.body, "model_uuid", "model_id"), wire.text(self.body, "billing_type")
        if word and word not in bills.KINDS:
            raise Invalid(
                "parameter_invalid",
                f"billing_type must be one of {', '.join(bills.KINDS)}.",
                field="billing_type",
            )
        found = usage.billings(
            self.caller.organization,
            start=wire.moment(self.body, "start_time"),
            end=wire.moment(self.body, "end_time"),
            kinds=(bills.KINDS[word],) if word else tuple(bills.BILLING_TYPES),
            key_id=wire.key_id(self.body, "access_key_uuid"),
            model=known_model(path).slug if path else None,
            skip=(page - 1) * size,
            size=size,
        )
        items = [bills.billing(row) for row in found.rows]
        return success({"page": page, "has_more": found.after is not None, "items": items})


class WebhookSecret(View):
    permission_classes = [needs("jobs:write")]

    def get(self, request: Request) -> Response:
        return success({"secret": webhooks.signing_secret(self.caller.organization)})
