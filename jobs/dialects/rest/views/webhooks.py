"""Webhooks: what verifies them."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from jobs.dialects.rest import webhooks
from jobs.dialects.rest.contract import Answer, operation
from jobs.dialects.rest.schemas import webhooks as schemas
from jobs.dialects.rest.views.base import View


class WebhookSecret(View):
    read_scope = "jobs:write"

    @operation(
        "getWebhookSecret",
        "See the webhooks' secret",
        tag="Webhooks",
        answers={200: Answer("The secret.", schemas.SECRET)},
    )
    def get(self, request: Request) -> Response:
        """What verifies the webhooks of jobs submitted here; as secret as the key itself."""
        return Response({"secret": webhooks.signing_secret(self.caller.organization)})
